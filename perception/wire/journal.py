"""What a process took in besides its main input, for exact replay: names, gaps, states.

Sent only for cameras that are recorded. Imports fields.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from perception.wire.fields import Name, Natural, Stamp

MAX_STATE = 700_000
"""Bytes of a state as text; a larger one is not sent, so replay cannot begin there."""

JournalKind = Literal["manifest", "began", "state", "named", "lanes", "skipped", "ended"]


@dataclass(slots=True, eq=False, kw_only=True)
class JournalMessage:
    """Something that a process took in before it dealt with a track message, or its state then.

    message_id: of that track message. kind `manifest`: what runs, by the recorder, once a segment;
    `began`: the state that the process starts from before the message; `state`: its state, of
    tracking after the message, of the alert process before it; `named`: who a track is was taken
    before it; `lanes`: an OwnLane was taken before it; `skipped`: how many messages before it were
    not dealt with; `ended`: the run ended after it. data: JSON.
    """

    stamp: Stamp
    process: Name
    kind: JournalKind
    message_id: Natural
    data: Annotated[str, msgspec.Meta(max_length=MAX_STATE)]


def to_text(state: Any) -> str:
    """Return a state as JSON: JSON values, NumPy arrays and numbers, to the last bit."""
    return msgspec.json.encode(state, enc_hook=_array).decode()


def from_text(text: str) -> Any:
    """Return the state in what `to_text` gave. Raises ValueError."""
    return _restored(msgspec.json.decode(text))


def _array(value: Any) -> Any:
    if isinstance(value, (np.floating, np.integer, np.bool_)):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise NotImplementedError(f"{type(value).__name__} in a state")
    array: np.ndarray[Any, Any] = value
    return {"dtype": array.dtype.str, "shape": array.shape, "data": array.tobytes()}


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        items: list[Any] = value
        return [_restored(item) for item in items]
    if not isinstance(value, dict):
        return value
    fields: dict[str, Any] = value
    if set(fields) != {"dtype", "shape", "data"}:
        return {key: _restored(item) for key, item in fields.items()}
    dtype = np.dtype(str(fields["dtype"]))
    if dtype.kind not in "fiub":
        raise ValueError(f"an array of {dtype} in a state: numbers are expected")
    data = msgspec.convert(fields["data"], bytes)
    return np.frombuffer(data, dtype).reshape(fields["shape"]).copy()
