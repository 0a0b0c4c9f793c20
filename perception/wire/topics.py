"""THE table of topics: which message travels how, and whether it is recorded."""

from dataclasses import dataclass
from typing import Any, Literal

from perception.wire.alerts import AlertMessage, IdentityMessage
from perception.wire.detections import DetectionMessage
from perception.wire.frames import FrameMessage
from perception.wire.health import HealthMessage
from perception.wire.journal import JournalMessage
from perception.wire.lanes import LaneMessage
from perception.wire.packets import MetadataMessage, PacketMessage
from perception.wire.tracks import CatchUpEnd, CatchUpRequest, OwnMotion, TrackMessage

Message = (
    FrameMessage
    | PacketMessage
    | MetadataMessage
    | DetectionMessage
    | TrackMessage
    | LaneMessage
    | AlertMessage
    | IdentityMessage
    | HealthMessage
    | JournalMessage
    | OwnMotion
    | CatchUpRequest
    | CatchUpEnd
)


@dataclass(frozen=True, slots=True)
class Topic:
    """How one kind of message travels: newest only or a bounded queue; and is it recorded.

    bound: messages that wait at most for a reader, at its end. "newest" keeps one at the sender's.
    """

    name: str
    message: type[Any]
    delivery: Literal["newest", "queue"]
    bound: int
    recorded: bool


TOPICS = {
    topic.name: topic
    for topic in (
        Topic("frames", FrameMessage, "newest", 1024, False),
        Topic("packets", PacketMessage, "queue", 256, False),
        Topic("metadata", MetadataMessage, "queue", 256, False),
        Topic("detections", DetectionMessage, "queue", 256, True),
        Topic("tracks", TrackMessage, "queue", 1024, True),
        Topic("lanes", LaneMessage, "queue", 256, True),
        Topic("alerts", AlertMessage, "queue", 1024, True),
        Topic("identities", IdentityMessage, "queue", 1024, True),
        Topic("journal", JournalMessage, "queue", 1024, True),
        Topic("health", HealthMessage, "queue", 64, True),
        Topic("motion", OwnMotion, "queue", 64, True),
        Topic("catchup", CatchUpRequest, "queue", 64, False),
        Topic("caughtup", CatchUpEnd, "queue", 64, False),
    )
}
