"""Logging in and out, one's own password, the first user."""

import ipaddress
from typing import Literal

from fastapi import Request, Response
from pydantic import BaseModel, Field

from perception.web.accounts import LockedOut, WrongPassword
from perception.web.permissions import Routes, identify, who_of
from perception.web.problems import Problem
from perception.web.sessions import SESSION_S
from perception.web.site import Site
from perception.web.users_file import Role, Who

api = Routes("account")


class Login(BaseModel):
    """User and password."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=256)


class First(Login):
    """The first user, by the link that the line printed."""

    invite: str = Field(max_length=64)


class NewPassword(BaseModel):
    """A change of one's own password."""

    old: str = Field(max_length=256)
    new: str = Field(max_length=256)


class Me(BaseModel):
    """Who is logged in. cameras: those of the line that this user may see; maps: those of them
    that have a map, for they have telemetry."""

    name: str
    role: Role
    cameras: list[str]
    maps: list[str]
    run: str
    has_users: bool = True


class Session(BaseModel):
    """A browser that is logged in."""

    key: str
    agent: str
    seen_ms: int
    is_this: bool


class Sessions(BaseModel):
    """Sessions of the user who asks."""

    items: list[Session]


class Open(BaseModel):
    """What is known before a login."""

    state: Literal["first", "login", "in"]
    me: Me | None = None


@api.add("GET", "/account", may="anyone", camera="none")
def account(request: Request) -> Open:
    """Say whether the caller is logged in, and whether there are users at all."""
    site: Site = request.app.state.site
    who = identify(site, request)
    if who is not None:
        return Open(state="in", me=_me(site, who))
    return Open(state="login" if site.accounts.users() else "first")


@api.add("POST", "/account/login", may="anyone", camera="none")
def login(request: Request, response: Response, given: Login) -> Me:
    """Log in; the session is a cookie. 401: not right. 429: too often wrong, see Retry-After."""
    site: Site = request.app.state.site
    return _start(site, request, response, given)


@api.add("POST", "/account/first", may="anyone", camera="none")
def first(request: Request, response: Response, given: First) -> Me:
    """Make the first user and log in. Only from this host, by the link that the line printed."""
    site: Site = request.app.state.site
    if not ipaddress.ip_address(_address(request)).is_loopback:
        raise Problem(403, "the first user is made on the host itself: perception users add")
    try:
        site.accounts.accept(given.invite, given.name, given.password)
    except WrongPassword as error:
        raise Problem(403, str(error)) from None
    return _start(site, request, response, given)


@api.add("POST", "/account/logout", may="viewer", camera="none", status_code=204)
def logout(request: Request, response: Response) -> None:
    """End this session."""
    site: Site = request.app.state.site
    site.sessions.end(who_of(request).session)
    response.delete_cookie(site.cookie, path="/", secure=_secure(site), httponly=True)


@api.add("POST", "/account/password", may="viewer", camera="none", status_code=204)
def password(request: Request, given: NewPassword) -> None:
    """Change one's own password; all sessions end, this one too."""
    site: Site = request.app.state.site
    who = who_of(request)
    if not who.session:
        raise Problem(403, "a token cannot change a password")
    _checked(site, request, Login(name=who.name, password=given.old))
    site.accounts.set_password(who.name, given.new)


@api.add("GET", "/account/sessions", may="viewer", camera="none")
def sessions(request: Request) -> Sessions:
    """List one's own sessions."""
    site: Site = request.app.state.site
    who = who_of(request)
    return Sessions(
        items=[
            Session(
                key=one.key[:16],
                agent=one.title,
                seen_ms=one.t_made_wall_ns // 1_000_000,
                is_this=one.key == who.session,
            )
            for one in site.sessions.of(who.name)
        ]
    )


@api.add("DELETE", "/account/sessions/{key}", may="viewer", camera="none", status_code=204)
def end_session(request: Request, key: str) -> None:
    """End one of one's own sessions."""
    site: Site = request.app.state.site
    who = who_of(request)
    whole = [one.key for one in site.sessions.of(who.name) if one.key[:16] == key]
    if not whole:
        raise Problem(404, "no such session")
    site.sessions.end(whole[0], who.name)


def _start(site: Site, request: Request, response: Response, given: Login) -> Me:
    _checked(site, request, given)
    agent = request.headers.get("user-agent", "")
    secret = site.sessions.start(given.name, _address(request), agent)
    response.set_cookie(
        site.cookie,
        secret,
        max_age=SESSION_S,
        path="/",
        secure=_secure(site),
        httponly=True,
        samesite="strict",
    )
    found = site.sessions.find(secret)
    if found is None:
        raise Problem(409, "the user was removed meanwhile")
    return _me(site, found)


def _checked(site: Site, request: Request, given: Login) -> None:
    try:
        site.accounts.check(given.name, given.password, _address(request))
    except LockedOut as error:
        raise Problem(429, str(error), {"retry-after": str(error.retry_after_s)}) from None
    except WrongPassword as error:
        raise Problem(401, str(error)) from None


def _me(site: Site, who: Who) -> Me:
    seen = [name for name in site.line.cameras if who.sees(name)]
    maps = [name for name in seen if name in site.hub.flights]
    return Me(name=who.name, role=who.role, cameras=seen, maps=maps, run=site.name)


def _address(request: Request) -> str:
    if request.client is None:
        raise Problem(400, "this connection has no address")
    return request.client.host


def _secure(site: Site) -> bool:
    return site.plan.scheme == "https"
