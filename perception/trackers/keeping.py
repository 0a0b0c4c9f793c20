"""The state of a tracker's parts, for the journal of a recording and for replay.

A part names the attributes that live from frame to frame in `kept`, or has `state` and `restore`.
Imports nothing.
"""

from typing import Any


def state(part: Any) -> dict[str, Any] | None:
    """Return a part's state: numbers and arrays by name; None where it cannot tell it."""
    if hasattr(part, "kept"):
        return {name: getattr(part, name) for name in part.kept}
    return part.state() if hasattr(part, "state") else None


def restore(part: Any, kept: dict[str, Any]) -> None:
    """Set the state that `state` returned. Raises KeyError or ValueError where it is none."""
    if hasattr(part, "kept"):
        for name in part.kept:
            setattr(part, name, kept[name])
    else:
        part.restore(kept)
