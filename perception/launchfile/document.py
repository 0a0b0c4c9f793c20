"""YAML text -> checked values, every complaint with file, line and key. Imports errors."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from perception.errors import ConfigError, unknown

MAX_FILE_BYTES = 1 << 20

MAX_DEPTH = 32

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"

_MERGE = "tag:yaml.org,2002:merge"

_ENV = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

_SECRETS = (("secret",), ("password",), ("key",))
"""Last keys of what is never shown."""

_URL_SECRET = re.compile(r"://.*[@?]")
"""Of an URL that may hold a password or token."""

_NAME_FORM = (
    "expected a name of letters without accents, digits, - and _, at most 40, the first a letter "
    "or digit"
)

_PLAIN = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "int_parsing": "expected a whole number",
    "float_parsing": "expected a number",
    "missing": "is missing",
    "dict_type": "expected a mapping (key: value)",
    "list_type": "expected a list",
}
"""The commonest complaints of pydantic in words for people."""

Path_ = tuple[str | int, ...]

Model = TypeVar("Model", bound=BaseModel)


class Document:
    """A parsed launch file that knows on which line each key stands.

    written: the strings with ${NAME} in them as they stand in the file, by path.
    """

    def __init__(self, file: str, data: Any, lines: Mapping[Path_, int]) -> None:
        self.file, self.data, self._lines = file, data, lines
        self.written: dict[Path_, str] = {}

    def error(self, path: Path_, text: str) -> ConfigError:
        """Return a ConfigError that names the line of `path`, or of its nearest parent."""
        for end in range(len(path), -1, -1):
            if path[:end] in self._lines:
                return ConfigError(text, self.file, self._lines[path[:end]], _dotted(path))
        return ConfigError(text, self.file, None, _dotted(path))

    def validate(self, model: type[Model], data: Any, path: Path_ = ()) -> Model:
        """Return `data`, the part of the file at `path`, as `model`; ConfigError otherwise."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            raise self._translate(model, error, path) from None

    def _translate(
        self, model: type[BaseModel], error: ValidationError, path: Path_
    ) -> ConfigError:
        errors = error.errors(include_url=False)
        first = min(errors, key=lambda e: e["type"] != "extra_forbidden")
        place = (*path, *(part for part in first["loc"] if part != "[key]"))
        known = [p for p in (place[:end] for end in range(len(place), len(path), -1))]
        place = next((p for p in known if p in self._lines), place)
        if first["type"] == "extra_forbidden":
            key = str(place[-1])
            allowed = _fields_at(model, place[len(path) : -1])
            return self.error(place, unknown(key, allowed, "keys allowed here"))
        more = len(errors) - 1
        rest = f" (and {more} more)" if more else ""
        given = self._shown(place, first.get("input"))
        shown = "" if given is None else f", not {given!r}"
        text = _PLAIN.get(first["type"], first["msg"].removeprefix("Value error, "))
        if first.get("ctx", {}).get("pattern") == NAME_PATTERN:
            text = _NAME_FORM
        return self.error(place, f"{text}{shown}{rest}")

    def _shown(self, place: Path_, given: Any) -> str | int | float | bool | None:
        """Return a wrong value as it stands in the file, None for what may hold a secret."""
        for end in range(len(place), 0, -1):  # the short form of a source is its `url` too
            if place[:end] in self.written:
                given = self.written[place[:end]]
                break
        if place[-1:] in _SECRETS or not isinstance(given, str | int | float | bool):
            return None
        return None if isinstance(given, str) and _URL_SECRET.search(given) else given


def parse(text: str, file: str = "launch file") -> Document:
    """Parse launch-file text; see `load` for what is refused."""
    try:
        _check_size(text, file)
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            lines: dict[Path_, int] = {(): 1}
            if node is not None:
                _walk(node, (), lines, file)
            data = {} if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"not YAML: {problem}", file, mark and mark.line + 1) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not YAML: {error}", file) from None
    if not isinstance(data, dict):
        raise ConfigError(f"expected a mapping with `cameras:`, not {type(data).__name__}", file)
    document = Document(file, data, lines)
    document.data = _with_env(data, (), document)
    return document


def read_text(path: Path) -> str:
    """Return the text of a file. Raises ConfigError: unreadable, too large, not UTF-8."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"larger than {MAX_FILE_BYTES} bytes", str(path))
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", str(path)) from None
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", str(path)) from None


def _check_size(text: str, file: str) -> None:
    """Refuse what would cost more than it says: depth, and aliases (each use copies)."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError("aliases (*name) are not supported: write it out", file, line)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ConfigError(f"nested deeper than {MAX_DEPTH} levels", file, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _walk(node: yaml.Node, path: Path_, lines: dict[Path_, int], file: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError("a key has to be a word", file, line)
            if key_node.tag != _MERGE:  # `yes:` and `0:` are names here, not YAML's true and 0
                key_node.tag = "tag:yaml.org,2002:str"
            place = (*path, key_node.value)
            if place in lines:
                text = f"stands here twice (first on line {lines[place]})"
                raise ConfigError(text, file, line, _dotted(place))
            lines[place] = line
            _walk(value_node, place, lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            lines[(*path, i)] = item.start_mark.line + 1
            _walk(item, (*path, i), lines, file)


def _with_env(value: Any, path: Path_, document: Document) -> Any:
    """Replace ${NAME} in every string by the environment's value."""
    if isinstance(value, dict):
        items: dict[Any, Any] = value
        return {str(k): _with_env(v, (*path, str(k)), document) for k, v in items.items()}
    if isinstance(value, list):
        parts: list[Any] = value
        return [_with_env(v, (*path, i), document) for i, v in enumerate(parts)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise document.error(path, f"${{{name}}}: the environment has no {name}")
        return os.environ[name]

    replaced = _ENV.sub(replace, value)
    if replaced != value:
        document.written[path] = value
    return replaced


def _dotted(path: Path_) -> str | None:
    return ".".join(str(part) for part in path) or None


def _fields_at(model: Any, path: Path_) -> list[str]:
    """Return the field names of the model nested at `path` (through dict and list values)."""
    for part in path:
        fields: dict[str, Any] = getattr(model, "model_fields", {})
        if part in fields:
            model = _nested(fields[str(part)].annotation)
    return list(getattr(model, "model_fields", {}))


def _nested(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _nested(argument)
        if found is not None:
            return found
    return None
