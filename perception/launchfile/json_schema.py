"""The JSON Schema of launch files, the options of every stage included: for editors.

Command line only.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from perception import detectors, identity, rules, sinks, sources, trackers
from perception.launchfile.config import Launch
from perception.rules.zones import Line, Zone

_REF = "#/$defs/{model}"
Json = dict[str, Any]


def launch_schema() -> Json:
    """Return the JSON Schema (2020-12) of a launch file."""
    whole = Launch.model_json_schema(ref_template=_REF)
    defs: Json = whole["$defs"]
    source = _variants(defs, "source", sources.SOURCES, sources.source_class, None)
    detector = _variants(defs, "detector", detectors.DETECTORS, detectors.detector_class, "onnx")
    tracker = _variants(defs, "tracker", trackers.TRACKERS, trackers.tracker_class, "two_stage")
    rule = _variants(defs, "rule", rules.RULES, rules.rule_class, "")
    sink = _variants(defs, "sink", sinks.SINKS, sinks.sink_class, None)
    camera: Json = defs["Camera"]["properties"]
    short: Json = {"type": ["string", "integer"], "description": "path, URL, asset:NAME or index"}
    camera["source"] = {"anyOf": [short, source]}
    _values(camera["rules"], rule)
    for name, shape in (("zones", Zone), ("lines", Line)):
        points = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
        long = _take(defs, f"{shape.__name__}", shape)
        _values(camera[name], {"anyOf": [points, long]})
    _values(whole["properties"]["detectors"], detector)
    whole["properties"]["track"] = {**tracker, "description": "the tracker and its options"}
    _values(defs["Alerts"]["properties"]["sinks"], sink)
    _variants(defs, "embedder", identity.EMBEDDERS, identity.embedder_class, None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def _values(mapping: Json, shape: Json) -> None:
    """Say of what shape the values of a mapping with named keys are."""
    patterns: Json = mapping["patternProperties"]
    mapping["patternProperties"] = dict.fromkeys(patterns, shape)
    mapping["additionalProperties"] = False


def _variants(
    defs: Json,
    stage: str,
    table: Mapping[str, str],
    find: Callable[[str], Any],
    default: str | None,
) -> Json:
    """Return a schema for any row of a stage's table, told apart by `type`.

    default: the type where none is given; "" where one must be; None where it is inferred.
    """
    choices: list[Json] = []
    for name in table:
        made = _take(defs, f"{stage}.{name}", find(name).Options)
        variant = defs[made["$ref"].removeprefix("#/$defs/")]
        variant.setdefault("properties", {})["type"] = {"const": name}
        if default == "" or default not in (None, name):
            variant["required"] = [*variant.get("required", []), "type"]
        choices.append(made)
    return {"anyOf": choices}


def _take(defs: Json, name: str, model: type[BaseModel]) -> Json:
    """Put a model's schema and all it needs under the definitions; return a reference to it."""
    schema = model.model_json_schema(ref_template=_REF)
    defs.update(schema.pop("$defs", {}))
    defs[name] = schema
    return {"$ref": _REF.format(model=name)}
