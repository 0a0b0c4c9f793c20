"""Changes of one value in a launch file's text: nothing else of the file is touched.

The value's span is replaced where YAML's marks say it is; the result is parsed again and has to
differ in that value only. Imports document and errors.
"""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from perception import clock
from perception.errors import ConfigError
from perception.launchfile.document import parse

KEEP = 10
"""Old versions of a file that are kept."""
Key = tuple[str, ...]
"""Where a value stands: names of mappings from the top."""


class _Entry(NamedTuple):
    key: yaml.ScalarNode
    value: yaml.Node


def tag_of(text: str) -> str:
    """Return what tells this text from others: SHA-256, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def changed(text: str, place: Key, value: Any) -> str:
    """Return the text with another value at a place; a value of None removes its entry.

    value: JSON values, written on one line. Keys that are not there are added after the last one of
    their mapping. Raises ConfigError where the result would differ elsewhere, or is no YAML.
    """
    made = _changed(text, place, value)
    wanted = _with(parse(text).data, place, value)
    try:
        found = parse(made).data
    except ConfigError as error:
        raise ConfigError(f"the change would break the file: {error.text}") from None
    if found != wanted:
        raise ConfigError("this part of the file is written in a way that cannot be changed here")
    return made


def save(path: Path, text: str, before: str, history: Path) -> None:
    """Replace a file whose tag is `before`; KEEP old versions stay in `history`.

    Raises ConfigError where it has changed meanwhile, or cannot be written.
    """
    try:
        old = path.read_bytes().decode()
        if tag_of(old) != before:
            raise ConfigError("the file was changed meanwhile: load it again")
        history.mkdir(parents=True, exist_ok=True)
        name = f"{datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC):%Y%m%dT%H%M%S.%fZ}.yaml"
        (history / name).write_bytes(old.encode())
        for stale in sorted(history.glob("*.yaml"))[:-KEEP]:
            with contextlib.suppress(OSError):
                stale.unlink()
        part = path.with_name(f".{path.name}.part")
        with part.open("wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        part.chmod(path.stat().st_mode & 0o777)
        part.replace(path.resolve())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None


def _changed(text: str, place: Key, value: Any) -> str:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError("the file is no mapping")
    for depth, name in enumerate(place):
        entry = _find(node, name)
        last = depth == len(place) - 1
        if entry is None:
            if value is None:
                raise ConfigError(f"there is no {'.'.join(place)}")
            rest = value
            for inner in reversed(place[depth + 1 :]):
                rest = {inner: rest}
            return _added(text, node, name, rest)
        if last:
            return _removed(text, node, entry) if value is None else _put(text, entry, value)
        if not isinstance(entry.value, yaml.MappingNode):
            if _is_empty(entry.value):
                rest = value
                for inner in reversed(place[depth + 1 :]):
                    rest = {inner: rest}
                return _put(text, entry, rest)
            raise ConfigError(f"{name}: is no mapping")
        node = entry.value
    raise ConfigError("no place to change")


def _find(node: yaml.MappingNode, name: str) -> _Entry | None:
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == name:
            return _Entry(key, value)
    return None


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _put(text: str, entry: _Entry, value: Any) -> str:
    written = _flow(value)
    if _is_empty(entry.value) and not entry.value.value:
        at = entry.key.end_mark.index
        colon = text.index(":", at) + 1
        return f"{text[:colon]} {written}{text[colon:]}"
    start, end = entry.value.start_mark.index, _end(text, entry.value)
    if _is_block(entry.value):
        # A block begins on a line of its own, or after `- `: the new value stands behind the colon.
        start = text.index(":", entry.key.end_mark.index) + 1
        return f"{text[:start]} {written}{text[end:]}"
    return text[:start] + written + text[end:]


def _added(text: str, node: yaml.MappingNode, name: str, value: Any) -> str:
    written = f"{_flow(name)}: {_flow(value)}"
    if not node.value or node.flow_style:
        close = text.rindex("}", node.start_mark.index, node.end_mark.index)
        before = text[:close].rstrip()
        comma = "" if before.endswith(("{", ",")) else ","
        space = "" if before.endswith("{") else " "
        return f"{before}{comma}{space}{written}{text[close:]}"
    key, last = node.value[-1]
    end = _end(text, last) if not _is_empty(last) or last.value else key.end_mark.index
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end
    indent = " " * node.value[0][0].start_mark.column
    return f"{text[:line_end]}\n{indent}{written}{text[line_end:]}"


def _removed(text: str, node: yaml.MappingNode, entry: _Entry) -> str:
    start, end = entry.key.start_mark.index, _end(text, entry.value)
    if node.flow_style:
        rest = text[end:].lstrip()
        if rest.startswith(","):
            end = text.index(",", end) + 1
            end += len(text[end:]) - len(text[end:].lstrip(" "))
        else:
            before = text[:start].rstrip()
            start = len(before) - 1 if before.endswith(",") else start
        return text[:start] + text[end:]
    if len(node.value) == 1:
        return text[:start] + "{}" + text[end:]
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end + 1
    return text[:line_start] + text[line_end:]


def _is_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and not node.flow_style


def _end(text: str, node: yaml.Node) -> int:
    """Return where a value ends: of a block, where its last scalar or flow value does."""
    if _is_block(node) and node.value:
        last: Any = node.value[-1]
        key, value = last if isinstance(last, tuple) else (None, last)
        if key is not None and _is_empty(value) and not value.value:
            return text.index(":", key.end_mark.index) + 1
        return _end(text, value)
    end = node.end_mark.index
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return len(text[:end].rstrip())
    return end


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, dict):
        items: dict[str, Any] = value
        return "{" + ", ".join(f"{_flow(k)}: {_flow(v)}" for k, v in items.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_flow(part) for part in value) + "]"
    if isinstance(value, float):
        return repr(round(value, 4))
    said = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return said.removesuffix("\n...\n").removesuffix("\n")


def _with(data: Any, place: Key, value: Any) -> Any:
    """Return data with another value at a place."""
    if not place:
        return _rounded(value)
    given: dict[str, Any] = dict(data or {})
    if len(place) == 1 and value is None:
        given.pop(place[0], None)
        return given
    given[place[0]] = _with(given.get(place[0]), place[1:], value)
    return given


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        items: dict[str, Any] = value
        return {str(k): _rounded(v) for k, v in items.items()}
    if isinstance(value, list | tuple):
        parts: list[Any] = list(value)
        return [_rounded(part) for part in parts]
    return value
