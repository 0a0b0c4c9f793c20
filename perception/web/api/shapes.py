"""Zones and lines of a camera: shown and changed in the launch file, taken by the running line."""

import os
from pathlib import Path
from typing import Literal

from fastapi import Query, Request
from pydantic import BaseModel, Field

from perception.errors import ConfigError
from perception.launchfile import config
from perception.launchfile.document import parse
from perception.launchfile.edit import changed, save, tag_of
from perception.rules.zones import Line, Zone
from perception.transport import rundir
from perception.web.api.cameras import camera_in_path
from perception.web.permissions import Routes
from perception.web.problems import Problem
from perception.web.site import Site

api = Routes("zones and lines")
Kind = Literal["zones", "lines"]
Points = list[tuple[float, float]]
_PACKAGE = Path(__file__).resolve().parents[2]
_WAIT_S = 20.0


class Shapes(BaseModel):
    """What the launch file says. tag: tells this state of the file from others.

    why_not: why it cannot be changed here; empty where it can.
    """

    tag: str
    zones: dict[str, Points]
    lines: dict[str, Points]
    why_not: str


class Change(BaseModel):
    """New points, in fractions of the picture, x right, y down. tag: of the file as it was read."""

    tag: str = Field(max_length=64)
    points: Points = Field(min_length=2, max_length=100)


class Done(Shapes):
    """The file after a change. said: what the running line made of it."""

    said: str


@api.add("GET", "/cameras/{camera}/shapes", may="viewer", camera=camera_in_path)
def shapes(request: Request, camera: str) -> Shapes:
    """Return zones and lines of a camera as its launch file has them."""
    return _shapes(request.app.state.site, camera)


@api.add("PUT", "/cameras/{camera}/{kind}/{shape}", may="admin", camera=camera_in_path)
def put(request: Request, camera: str, kind: Kind, shape: str, given: Change) -> Done:
    """Change or add a zone or line. 409: the file was changed meanwhile, or the line refuses it."""
    site: Site = request.app.state.site
    return _change(site, camera, kind, shape, given.tag, [list(point) for point in given.points])


@api.add("DELETE", "/cameras/{camera}/{kind}/{shape}", may="admin", camera=camera_in_path)
def remove(
    request: Request, camera: str, kind: Kind, shape: str, tag: str = Query(max_length=64)
) -> Done:
    """Remove a zone or line that no rule names."""
    return _change(request.app.state.site, camera, kind, shape, tag, None)


def _change(
    site: Site, camera: str, kind: Kind, shape: str, tag: str, points: list[list[float]] | None
) -> Done:
    path = Path(site.line.file)
    before = _read(site, path)
    if why := _why_not(path):
        raise Problem(409, why)
    part = parse(before, str(path)).data["cameras"].get(camera, {}).get(kind) or {}
    place = ("cameras", camera, kind, shape)
    if points is not None and isinstance(part.get(shape), dict):
        place = (*place, "points")
    after = changed(before, place, points)
    _check(after, path, camera, kind, shape)
    history = Path(site.line.folder) / "launch-history"
    save(path, after, tag, history)
    said = rundir.ask_reload(site.run_dir, _WAIT_S)
    if said.startswith("not taken"):
        save(path, before, tag_of(after), history)
        raise Problem(409, said)
    made = _shapes(site, camera)
    return Done(**made.model_dump(), said=said or "saved; the line did not answer")


def _check(text: str, path: Path, camera: str, kind: Kind, shape: str) -> None:
    """Raise ConfigError where the file or its new shape is wrong."""
    launch, document = config.load_text(text, str(path))
    found = getattr(launch.cameras[camera], kind).get(shape)
    if found is not None:
        model = Zone if kind == "zones" else Line
        document.validate(model, found, ("cameras", camera, kind, shape))


def _shapes(site: Site, camera: str) -> Shapes:
    path = Path(site.line.file)
    try:
        text = _read(site, path)
        found = config.load_text(text, str(path))[0].cameras[camera]
    except (ConfigError, KeyError) as error:
        plan = site.line.cameras[camera]
        return Shapes(
            tag="",
            zones={name: zone["points"] for name, zone in plan.zones.items()},
            lines={name: line["points"] for name, line in plan.lines.items()},
            why_not=f"the launch file cannot be read now: {error}",
        )
    zones = {name: Zone.model_validate(one).points for name, one in found.zones.items()}
    lines = {name: Line.model_validate(one).points for name, one in found.lines.items()}
    return Shapes(
        tag=tag_of(text),
        zones={name: list(points) for name, points in zones.items()},
        lines={name: list(points) for name, points in lines.items()},
        why_not=_why_not(path),
    )


def _read(site: Site, path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{site.line.file}: cannot be read") from None


def _why_not(path: Path) -> str:
    if path.resolve().is_relative_to(_PACKAGE):
        return "this launch file came with the program: copy it, and run the copy"
    if not (os.access(path, os.W_OK) and os.access(path.resolve().parent, os.W_OK)):
        return "the launch file cannot be written by this user"
    return ""
