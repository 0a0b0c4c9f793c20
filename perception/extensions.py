"""Tables of stages by name: rows of this package, and of others through entry points.

Each stage folder's __init__ holds a literal table name -> "module:Class"; a class is imported only
when it is asked for. May be imported by every room above; imports only errors.
"""

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from perception.errors import ConfigError, unknown


def load(table: Mapping[str, str], group: str, name: str) -> Any:
    """Return the class that `name` stands for in the table or the entry-point group.

    Raises ConfigError with the allowed names and the nearest where there is none.
    """
    target = table.get(name) or _entry_points(group).get(name)
    if target is None:
        raise ConfigError(unknown(name, names(table, group), group.removeprefix("perception.")))
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def names(table: Mapping[str, str], group: str) -> list[str]:
    """Return every name of the table and the entry-point group, sorted."""
    return sorted({*table, *_entry_points(group)})


def _entry_points(group: str) -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=group)}
