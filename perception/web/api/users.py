"""Users and tokens: for admins. A token of one's own: for everybody, and no more than oneself."""

from fastapi import Request
from pydantic import BaseModel, Field

from perception.errors import ConfigError
from perception.web.permissions import Routes, who_of
from perception.web.problems import Problem
from perception.web.sessions import Listed
from perception.web.site import Site
from perception.web.users_file import Role

api = Routes("users")


class UserOut(BaseModel):
    """A user. cameras: that may be seen, null: all."""

    name: str
    role: Role
    cameras: list[str] | None


class Users(BaseModel):
    """All users."""

    items: list[UserOut]


class May(BaseModel):
    """What a user may do."""

    role: Role
    cameras: list[str] | None = Field(default=None, max_length=200)


class NewUser(May):
    """A user to make."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=256)


class Password(BaseModel):
    """A new password that an admin sets."""

    password: str = Field(max_length=256)


class NewToken(May):
    """A token to make for a program."""

    title: str = Field(min_length=1, max_length=80)
    days: float = Field(gt=0, le=3660)


class Secret(BaseModel):
    """A token. It is shown this once."""

    token: str


class TokenOut(BaseModel):
    """A token without its secret."""

    key: str
    user: str
    title: str
    end_ms: int


class Tokens(BaseModel):
    """Tokens."""

    items: list[TokenOut]


@api.add("GET", "/users", may="admin", camera="none")
def users(request: Request) -> Users:
    """List users."""
    site: Site = request.app.state.site
    return Users(
        items=[
            UserOut(
                name=one.name,
                role=one.role,
                cameras=None if one.cameras is None else sorted(one.cameras),
            )
            for one in site.accounts.users()
        ]
    )


@api.add("POST", "/users", may="admin", camera="none", status_code=201)
def add(request: Request, given: NewUser) -> UserOut:
    """Add a user."""
    site: Site = request.app.state.site
    site.accounts.add(given.name, given.password, given.role, given.cameras)
    return UserOut(name=given.name, role=given.role, cameras=given.cameras)


@api.add("PUT", "/users/{user}", may="admin", camera="none", status_code=204)
def change(request: Request, user: str, given: May) -> None:
    """Change what a user may do; the user's sessions and tokens end."""
    request.app.state.site.accounts.change(user, given.role, given.cameras)


@api.add("PUT", "/users/{user}/password", may="admin", camera="none", status_code=204)
def set_password(request: Request, user: str, given: Password) -> None:
    """Set a user's password; the user's sessions and tokens end."""
    request.app.state.site.accounts.set_password(user, given.password)


@api.add("DELETE", "/users/{user}", may="admin", camera="none", status_code=204)
def remove(request: Request, user: str) -> None:
    """Remove a user."""
    request.app.state.site.accounts.remove(user)


@api.add("GET", "/tokens", may="viewer", camera="none")
def tokens(request: Request) -> Tokens:
    """List tokens: one's own, an admin all."""
    return Tokens(
        items=[
            TokenOut(
                key=one.key,
                user=one.user,
                title=one.title,
                end_ms=(one.t_end_wall_ns or 0) // 1_000_000,
            )
            for one in _visible(request)
        ]
    )


@api.add("POST", "/tokens", may="viewer", camera="none", status_code=201)
def new_token(request: Request, given: NewToken) -> Secret:
    """Make a token of one's own for a program; a token cannot make one."""
    site: Site = request.app.state.site
    who = who_of(request)
    if not who.session:
        raise Problem(403, "a token cannot make a token")
    try:
        made = site.sessions.new_token(who.name, given.title, given.role, given.cameras, given.days)
    except ConfigError as error:
        raise Problem(403, str(error)) from None
    return Secret(token=made)


@api.add("DELETE", "/tokens/{key}", may="viewer", camera="none", status_code=204)
def end_token(request: Request, key: str) -> None:
    """End a token: one's own, an admin any."""
    site: Site = request.app.state.site
    if key not in [one.key for one in _visible(request)] or not site.sessions.end_token(key):
        raise Problem(404, "no such token")


def _visible(request: Request) -> list[Listed]:
    site: Site = request.app.state.site
    who = who_of(request)
    return [one for one in site.sessions.tokens() if who.may("admin") or one.user == who.name]
