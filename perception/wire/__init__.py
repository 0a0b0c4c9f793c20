"""What processes say to each other: THE schema, one file a message family, and its table of topics.

May be imported by every room above; imports clock and errors. codec.py derives the bytes, plan.py
is what the supervisor tells each process.
"""

from perception.wire.alerts import Alert, AlertMessage, AlertState, IdentityMessage
from perception.wire.detections import GREY_LONG_SIDE, DetectionMessage, Detections
from perception.wire.fields import (
    MAX_HEADER_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_ROWS,
    VERSION,
    Dotted,
    Finite,
    Name,
    Names,
    Natural,
    Side,
    Size,
    Small,
    Stamp,
    column,
    make_id,
    short_id,
    table_columns,
    text_id,
)
from perception.wire.frames import CODINGS, Coding, Damage, FrameMessage
from perception.wire.health import HealthMessage
from perception.wire.journal import JournalMessage
from perception.wire.lanes import LANE_PLACES, LaneLine, LaneLines, LaneMessage, OwnLane
from perception.wire.packets import PACKET_BLOCK, MetadataMessage, PacketMessage
from perception.wire.places import Place, View, ellipse
from perception.wire.topics import TOPICS, Message, Topic
from perception.wire.tracks import (
    CONFIRMED,
    LOST,
    MAX_TTC_S,
    REMOVED,
    STATE_NAMES,
    TENTATIVE,
    CatchUpEnd,
    CatchUpRequest,
    Metres,
    OwnMotion,
    Track,
    TrackMessage,
    Tracks,
    time_to_collision,
)

__all__ = [
    "CODINGS",
    "CONFIRMED",
    "GREY_LONG_SIDE",
    "LANE_PLACES",
    "LOST",
    "MAX_HEADER_BYTES",
    "MAX_MESSAGE_BYTES",
    "MAX_ROWS",
    "MAX_TTC_S",
    "PACKET_BLOCK",
    "REMOVED",
    "STATE_NAMES",
    "TENTATIVE",
    "TOPICS",
    "VERSION",
    "Alert",
    "AlertMessage",
    "AlertState",
    "CatchUpEnd",
    "CatchUpRequest",
    "Coding",
    "Damage",
    "DetectionMessage",
    "Detections",
    "Dotted",
    "Finite",
    "FrameMessage",
    "HealthMessage",
    "IdentityMessage",
    "JournalMessage",
    "LaneLine",
    "LaneLines",
    "LaneMessage",
    "Message",
    "MetadataMessage",
    "Metres",
    "Name",
    "Names",
    "Natural",
    "OwnLane",
    "OwnMotion",
    "PacketMessage",
    "Place",
    "Side",
    "Size",
    "Small",
    "Stamp",
    "Topic",
    "Track",
    "TrackMessage",
    "Tracks",
    "View",
    "column",
    "ellipse",
    "make_id",
    "short_id",
    "table_columns",
    "text_id",
    "time_to_collision",
]
