"""What looks at pictures and is no detector: lanes. It runs beside detection and delays nothing.

To add one: a file with a class that fits Analyser, one row in ANALYSERS. Imports geometry and
below.
"""

from typing import Any, Protocol

from pydantic import BaseModel

from perception.extensions import load
from perception.geometry.calibration import Calibration
from perception.pixels import Pixels
from perception.wire import Stamp
from perception.wire.topics import Message


class Analyser(Protocol):
    """Finds something in the pictures of one camera, in their order; it may remember earlier ones.

    topic: the row of wire.TOPICS that its messages are of.
    """

    Options: type[BaseModel]
    topic: str

    def __init__(self, options: Any, calibration: Calibration | None) -> None:
        """Load what it needs. Raises ModelError, which names the file and what is wrong."""
        ...

    def prepare(self, pixels: Pixels) -> Any:
        """Return what `analyse` needs of a picture, sharing no memory with it."""
        ...

    def analyse(self, prepared: Any, stamp: Stamp) -> Message:
        """Return the message of one frame, without t_taken_ns, t_done_ns and message_id."""
        ...


ANALYSERS = {
    "markings": "perception.analysers.lanes:LaneMarkings",
}


def analyser_class(name: str) -> Any:
    """Return the class of an analyser; ConfigError with the nearest name where there is none."""
    return load(ANALYSERS, "perception.analysers", name)
