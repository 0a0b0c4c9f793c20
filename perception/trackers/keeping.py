"""Saves and restores the state of a tracker's parts, for a recording's journal and for replay.

A part lists the attributes that change from frame to frame in `kept`, or it has `state` and
`restore`. Imports nothing.
"""

from typing import Any


def state(part: Any) -> dict[str, Any] | None:
    """Return the state of a part: numbers and arrays by name. None: it has no `kept` or `state`."""
    if hasattr(part, "kept"):
        return {name: getattr(part, name) for name in part.kept}
    return part.state() if hasattr(part, "state") else None


def restore(part: Any, kept: dict[str, Any]) -> None:
    """Set a state that `state` returned. Raises KeyError or ValueError if it does not fit."""
    if hasattr(part, "kept"):
        for name in part.kept:
            setattr(part, name, kept[name])
    else:
        part.restore(kept)
