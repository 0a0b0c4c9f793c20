"""Bytes of messages: encoder, decoder and checks, derived from the message classes of this room.

One message is one ZeroMQ part: magic, header length, a msgspec header, then NumPy columns. Nothing
is mirrored by hand. May be imported by transport and above; imports wire and errors.
"""

import functools
import math
import operator
import struct
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_type_hints

import msgspec
import numpy as np

from perception.errors import MessageError
from perception.wire.fields import (
    MAX_HEADER_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_ROWS,
    VERSION,
    Size,
    table_columns,
)
from perception.wire.topics import TOPICS, Message, Topic

_PREFIX = struct.Struct("<4sI")
_MAGIC = b"prc%d" % VERSION
_TOPIC_OF = {topic.message: topic.name for topic in TOPICS.values()}


@dataclass(frozen=True, slots=True)
class _Column:
    """An array on the wire: its place in the message, dtype and shape with letters."""

    path: str
    dtype: np.dtype[Any]
    spec: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where each column stands for certain sizes. floats: (dtype, count, start) of each run."""

    shapes: list[tuple[int, ...]]
    starts: list[int]
    size: int
    floats: list[tuple[np.dtype[Any], int, int]]


class _Codec:
    """Encoder and decoder of one message class, derived from its fields once at import.

    The header bears one size per shape letter. Columns stand by falling item size, floats first, so
    that each is aligned in one copy of the bytes and all floats of a kind are checked at once.
    """

    def __init__(self, topic: Topic) -> None:
        self.cls: Any = topic.message
        hints = get_type_hints(self.cls, include_extras=True)
        columns: list[_Column] = []
        tables: list[tuple[str, Any, list[str]]] = []
        names: list[str] = []
        for f in fields(self.cls):
            if "column" in f.metadata:
                columns.append(_Column(f.name, *f.metadata["column"]))
            elif is_dataclass(hints[f.name]):
                inner = [_Column(f"{f.name}.{n}", d, s) for n, d, s in table_columns(hints[f.name])]
                tables.append((f.name, hints[f.name], [column.path for column in inner]))
                columns += inner
            else:
                names.append(f.name)
        columns.sort(key=lambda c: (-c.dtype.itemsize, c.dtype.kind != "f"))
        self._columns = columns
        paths = [column.path for column in columns]
        sources: dict[str, tuple[int, int]] = {}
        for at, column in enumerate(columns):
            for side, letter in enumerate(column.spec):
                if isinstance(letter, str):
                    sources.setdefault(letter, (at, side))
        self._letters, self._sources = list(sources), list(sources.values())
        self._names = names
        self._header_values = _getter(names)
        self._arrays = _getter(paths)
        self._tables = [(n, cls, [paths.index(p) for p in inner]) for n, cls, inner in tables]
        self._direct = [(i, p) for i, p in enumerate(paths) if "." not in p]
        self._layout = functools.lru_cache(512)(self._lay_out)
        self.header: Any = msgspec.defstruct(
            f"{self.cls.__name__}Header",
            [*((n, hints[n]) for n in names), ("sizes", tuple[(Size,) * len(self._letters)])],
            tag_field="topic",
            tag=topic.name,
            frozen=True,
            forbid_unknown_fields=True,
        )

    def _lay_out(self, sizes: tuple[int, ...]) -> _Layout:
        known = dict(zip(self._letters, sizes, strict=True))
        shapes: list[tuple[int, ...]] = []
        starts: list[int] = []
        floats: dict[np.dtype[Any], list[int]] = {}
        start = 0
        for column in self._columns:
            shapes.append(tuple([known[s] if isinstance(s, str) else s for s in column.spec]))
            starts.append(start)
            count = math.prod(shapes[-1])
            if column.dtype.kind == "f":
                floats.setdefault(column.dtype, [0, start])[0] += count
            start += count * column.dtype.itemsize
        runs = [(dtype, count, first) for dtype, (count, first) in floats.items()]
        return _Layout(shapes, starts, start, runs)

    def encode(self, message: Any) -> bytes:
        """Return the bytes of a message for a socket."""
        header, parts = self.parts(message, _encoder)
        return b"".join((_PREFIX.pack(_MAGIC, len(header)), header, *parts))

    def parts(self, message: Any, encoder: Any) -> tuple[bytes, list[bytes]]:
        """Return the encoded header and the bytes of each column in its order."""
        arrays = [
            array if array.dtype is column.dtype else np.asarray(array, column.dtype)
            for array, column in zip(self._arrays(message), self._columns, strict=True)
        ]
        sizes = self._sizes([array.shape for array in arrays])
        header = encoder.encode(self.header(*self._header_values(message), sizes))
        if len(header) > MAX_HEADER_BYTES:
            raise MessageError("size", f"header of {len(header)} bytes, {MAX_HEADER_BYTES} at most")
        return header, [array.tobytes() for array in arrays]

    def table(self) -> dict[str, Any]:
        """Return the columns in their order, for who reads a recorded message without this code."""
        columns = [
            {"name": column.path, "dtype": column.dtype.str, "shape": list(column.spec)}
            for column in self._columns
        ]
        return {"sizes": self._letters, "columns": columns}

    def _sizes(self, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
        """Return the size of each letter; MessageError where shapes contradict the columns."""
        try:
            sizes = tuple([shapes[column][side] for column, side in self._sources])
        except IndexError:
            sizes = (0,) * len(self._letters)
        if shapes != self._layout(sizes).shapes or max(sizes, default=0) > MAX_ROWS:
            found = zip(self._columns, shapes, strict=True)
            said = ", ".join(f"{column.path} {shape} for {column.spec}" for column, shape in found)
            raise MessageError("shape", f"at most {MAX_ROWS} rows, and: {said}")
        return sizes

    def decode(self, header: Any, blob: memoryview) -> Any:
        layout = self._layout(header.sizes)
        if layout.size != len(blob):
            raise MessageError("size", f"columns of {layout.size} bytes in {len(blob)}")
        values = dict(zip(self._names, self._header_values(header), strict=True))
        if not self._columns:
            return self.cls(**values)
        own = bytearray(blob)
        for dtype, count, start in layout.floats:
            if b"\0" in np.isfinite(np.frombuffer(own, dtype, count, start)).tobytes():
                raise MessageError("not_finite", "a column has NaN or infinity")
        arrays = [
            np.ndarray(shape, column.dtype, own, start)
            for shape, column, start in zip(
                layout.shapes, self._columns, layout.starts, strict=True
            )
        ]
        for name, cls, places in self._tables:
            values[name] = cls(*[arrays[i] for i in places])
        for i, name in self._direct:
            values[name] = arrays[i]
        return self.cls(**values)


def _getter(paths: list[str]) -> Any:
    """Return a function that gives the values of these attributes as a tuple."""
    if len(paths) > 1:
        return operator.attrgetter(*paths)

    def few(message: Any) -> tuple[Any, ...]:
        return tuple(operator.attrgetter(path)(message) for path in paths)

    return few


_encoder = msgspec.msgpack.Encoder()
_json_encoder = msgspec.json.Encoder()
_LENGTH = struct.Struct("<I")
_CODECS = {name: _Codec(topic) for name, topic in TOPICS.items()}
_headers: Any = functools.reduce(operator.or_, (codec.header for codec in _CODECS.values()))
_decoder: Any = msgspec.msgpack.Decoder(_headers)
_json_decoder: Any = msgspec.json.Decoder(_headers)


def encode(message: Message) -> bytes:
    """Return the bytes of a message: one ZeroMQ part.

    Raises MessageError("shape") where arrays contradict each other or have over MAX_ROWS rows,
    MessageError("size") where the whole is larger than a receiver takes.
    """
    data = _CODECS[_TOPIC_OF[type(message)]].encode(message)
    if len(data) > MAX_MESSAGE_BYTES:
        raise MessageError("size", f"{len(data)} bytes, {MAX_MESSAGE_BYTES} at most")
    return data


def encode_record(message: Message) -> bytes:
    """Return a message as it is kept in files: length of a JSON header, header, columns.

    A stranger can read it with the table that `record_table` gives. Raises as `encode`.
    """
    header, parts = _CODECS[_TOPIC_OF[type(message)]].parts(message, _json_encoder)
    return b"".join((_LENGTH.pack(len(header)), header, *parts))


def decode_record(data: bytes | memoryview) -> Any:
    """Return the message in what `encode_record` gave. Raises MessageError as `decode`."""
    view = memoryview(data)
    if not _LENGTH.size <= len(view) <= MAX_MESSAGE_BYTES:
        raise MessageError("size", f"{len(view)} bytes")
    (length,) = _LENGTH.unpack_from(view)
    return _decode(view[_LENGTH.size :], length, _json_decoder, None)


def record_table(topic: str) -> dict[str, Any]:
    """Return what is needed to read a topic's recorded messages: columns, their order and sizes."""
    return {"topic": topic, "version": VERSION, **_CODECS[topic].table()}


def decode(data: bytes | memoryview, topic: str | None = None) -> Any:
    """Return the message in `data`, its arrays C-contiguous, writable and finite.

    topic: what the socket carries; another one is refused. Raises MessageError whose `reason` is
    size, magic, version, header, topic or not_finite; never anything else, whatever the bytes.
    """
    view = memoryview(data)
    if not _PREFIX.size <= len(view) <= MAX_MESSAGE_BYTES:
        raise MessageError("size", f"{len(view)} bytes")
    magic, length = _PREFIX.unpack_from(view)
    if magic[:3] == _MAGIC[:3] and magic != _MAGIC:
        raise MessageError("version", f"{bytes(magic[3:])!r}, this is version {VERSION}")
    if magic != _MAGIC:
        raise MessageError("magic", f"starts with {bytes(magic)!r}, expected {_MAGIC!r}")
    return _decode(view[_PREFIX.size :], length, _decoder, topic)


def _decode(view: memoryview, length: int, decoder: Any, topic: str | None) -> Any:
    """Return the message whose header of `length` bytes stands at the start of `view`."""
    if length > min(MAX_HEADER_BYTES, len(view)):
        raise MessageError("size", f"header of {length} bytes in {len(view)}")
    try:
        header = decoder.decode(view[:length])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise MessageError("header", str(error)) from None
    name = type(header).__struct_config__.tag
    if topic is not None and name != topic:
        raise MessageError("topic", f"{name} on a socket for {topic}")
    return _CODECS[name].decode(header, view[length:])
