"""Parses the class names in a model file: a list or a dict by id, as Python literal, JSON or YAML.

Ultralytics writes the `repr` of a dict into the ONNX metadata, other exporters write JSON. Used by
sessions.
"""

import ast
import json
from collections.abc import Callable
from typing import Any, cast

import yaml

MAX_CHARS = 1_000_000
MAX_CLASSES = 100_000
MAX_BRACKETS = 1_000
"""Texts with more opening brackets are not parsed: nesting is expensive for a parser."""
_PARSERS: tuple[Callable[[str], Any], ...] = (ast.literal_eval, json.loads, yaml.safe_load)
_REFUSALS = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, yaml.YAMLError)


def parse_names(text: str) -> list[str] | None:
    """Return class names in the order of their ids. None: the text has no class names.

    text: a list, or a dict from class id to name, at most MAX_CHARS characters. A missing id gets
    the name `class_<id>`. Control characters in a name become spaces.
    """
    if len(text) > MAX_CHARS or text.count("[") + text.count("{") > MAX_BRACKETS:
        return None
    for parser in _PARSERS:
        try:
            names = _ordered(parser(text))
        except _REFUSALS:
            continue
        if names:
            return [_printable(name) for name in names]
    return None


def _ordered(value: Any) -> list[str]:
    """Return names in order of their ids. Raises ValueError if value is no list or dict
    of names.
    """
    if isinstance(value, list | tuple):
        pairs = dict(enumerate(cast("list[Any]", value)))
    elif isinstance(value, dict):
        pairs = {int(key): name for key, name in cast("dict[Any, Any]", value).items()}
    else:
        raise ValueError(f"{type(value).__name__}, expected a list or a dict")
    if any(not isinstance(name, str | int | float) for name in pairs.values()):
        raise ValueError("a name is no text")
    if not pairs or min(pairs) < 0 or max(pairs) >= MAX_CLASSES:
        raise ValueError("class ids out of range")
    return [str(pairs.get(k, f"class_{k}")) for k in range(max(pairs) + 1)]


def _printable(name: str) -> str:
    return " ".join("".join(c if c >= " " and c != "\x7f" else " " for c in name).split())
