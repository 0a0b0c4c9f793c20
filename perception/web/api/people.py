"""People of the gallery: listed, enrolled from an alert's picture, erased.

Enrolling runs `perception enroll` as a process of its own: this one runs no neural network.
"""

from pathlib import Path

from fastapi import Request
from pydantic import BaseModel, Field

from perception.identity.gallery import Gallery
from perception.web.api.alerts import camera_of_alert
from perception.web.command import answer_of
from perception.web.permissions import Routes
from perception.web.problems import Problem
from perception.web.site import Site

api = Routes("people")
_ENROLL_S = 60
_NONE = "this line does not ask who people are: `identity:` in the launch file"


class PersonOut(BaseModel):
    """Somebody who is enrolled. pictures: how many; since_ms: of the oldest."""

    name: str
    pictures: int
    since_ms: int


class People(BaseModel):
    """Who is enrolled. enabled: whether this line asks who people are."""

    enabled: bool
    items: list[PersonOut]


class Enroll(BaseModel):
    """Whose picture it is."""

    name: str = Field(min_length=1, max_length=64)


class Said(BaseModel):
    """What came of it, in words."""

    text: str


@api.add("GET", "/people", may="operator", camera="none")
def people(request: Request) -> People:
    """List who is enrolled."""
    site: Site = request.app.state.site
    if site.line.identity is None:
        return People(enabled=False, items=[])
    return People(
        enabled=True,
        items=[
            PersonOut(
                name=one.name,
                pictures=len(one.portraits),
                since_ms=min(portrait.t_wall_ns for portrait in one.portraits) // 1_000_000,
            )
            for one in _gallery(site).people()
        ],
    )


@api.add("POST", "/alerts/{key}/enroll", may="operator", camera=camera_of_alert)
def enroll(request: Request, key: str, given: Enroll) -> Said:
    """Add the face in an alert's picture to somebody. 409 says why it cannot be used."""
    site: Site = request.app.state.site
    if site.line.identity is None:
        raise Problem(409, _NONE)
    if given.name.startswith("-"):
        raise Problem(422, "a name does not begin with -")
    arguments = ["enroll", given.name, "--alert", key]
    arguments += ["--launch", site.line.file, "--store", site.line.store]
    return Said(text=answer_of(arguments, _ENROLL_S))


@api.add("DELETE", "/people/{name}", may="admin", camera="none", status_code=204)
def erase(request: Request, name: str) -> None:
    """Erase somebody: pictures and numbers. What alerts said before stays."""
    site: Site = request.app.state.site
    if site.line.identity is None:
        raise Problem(409, _NONE)
    gone = _gallery(site).erase(name)
    if gone.left:
        raise Problem(409, f"{gone.left} files of {name} are left")


def _gallery(site: Site) -> Gallery:
    asked = site.line.identity
    assert asked is not None
    return Gallery(Path(asked.gallery) if asked.gallery else None, asked.key)
