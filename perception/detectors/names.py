"""Class names as model files write them: Python literal, JSON or YAML; a list, or a dict by id.

Ultralytics writes `repr` of a dict into its ONNX metadata, other exporters JSON. Used by sessions.
"""

import ast
import json
from collections.abc import Callable
from typing import Any, cast

import yaml

MAX_CHARS = 1_000_000
MAX_CLASSES = 100_000
MAX_BRACKETS = 1_000
"""Deeper nesting would cost a parser more than any list of names."""
_PARSERS: tuple[Callable[[str], Any], ...] = (ast.literal_eval, json.loads, yaml.safe_load)
_REFUSALS = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, yaml.YAMLError)


def parse_names(text: str) -> list[str] | None:
    """Return class names in the order of their ids, None where the text cannot be read as names.

    text: a list, or a dict from class id to name, at most 1,000,000 characters. An id without a
    name is `class_<id>`. Control characters in a name become spaces.
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
    """Return names by id. Raises ValueError where value is no list or dict of names."""
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
