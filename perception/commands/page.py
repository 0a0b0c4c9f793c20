"""`perception users`, and what `run` prints about the page. Command line only."""

import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from perception import clock
from perception.commands.console import console, sheet
from perception.errors import ConfigError

if TYPE_CHECKING:  # brings NumPy, which `perception --help` does not need
    from perception.wire.plan import Plan, WebPlan

users_app = typer.Typer(
    name="users", help="Users of the page: add, list, change, remove.", no_args_is_help=True
)
LaunchOf = Annotated[
    Path | None, typer.Option("--launch", help="launch file that sets `folder` of `web:`")
]
User = Annotated[str, typer.Argument(help="name of the user", show_default=False)]
RoleOf = Annotated[str, typer.Option("--role", help="viewer, operator or admin")]
CamerasOf = Annotated[
    str | None,
    typer.Option("--cameras", help="names of cameras, separated by commas; default: all"),
]


def check_installed() -> None:
    """Raise ConfigError where the extra `web` is not installed."""
    from perception.launchfile.page import missing_packages

    if missing := missing_packages():
        raise ConfigError(f"the page needs {missing[0]}: pip install 'perception-line[web]'")


def announce(plan: "Plan") -> list[Text]:
    """Return what to print about the page: address, fingerprint, link for the first user."""
    asked = plan.web
    if asked is None:
        return []
    check_installed()
    from perception.web.accounts import Accounts
    from perception.web.users_file import UsersFile

    file = UsersFile(_folder(asked))
    try:
        address = _address(asked)
        said = [Text(f"page: {address}/")]
        if asked.scheme == "https" and not asked.proxied and asked.certificate is None:
            from perception.web import certificate

            found = certificate.own(file.folder, asked.names)
            said.append(Text(f"its own certificate, SHA-256 {found.fingerprint}", style="dim"))
        accounts = Accounts(file)
        if not accounts.users():
            local = address if asked.scheme == "http" else f"https://localhost:{asked.port}"
            said.append(Text(f"no user yet: open this on this host within 15 min{_or_add(plan)}"))
            said.append(Text(f"{local}/#first={accounts.invite()}", style="bold"))
        return said
    finally:
        file.close()


@users_app.command("list")
def show(launch: LaunchOf = None) -> None:
    """List users."""
    table = sheet("user", "role", "cameras")
    accounts = _accounts(launch)
    users = accounts.users()
    for one in users:
        seen = "all" if one.cameras is None else ", ".join(sorted(one.cameras)) or "none"
        table.add_row(one.name, one.role, seen)
    console().print(table if users else Text(f"no users in {accounts.file.folder}"))


@users_app.command()
def add(
    user: User, role: RoleOf = "viewer", cameras: CamerasOf = None, launch: LaunchOf = None
) -> None:
    """Add a user. The password is typed, or read from standard input."""
    accounts = _accounts(launch)
    accounts.add(user, _password(), role, _names(cameras))  # type: ignore[arg-type]
    console().print(Text(f"added {user}, {role}"))


@users_app.command()
def password(user: User, launch: LaunchOf = None) -> None:
    """Set a password. Ends the sessions, tokens and locks of the user."""
    _accounts(launch).set_password(user, _password())
    console().print(Text(f"changed the password of {user}"))


@users_app.command()
def change(
    user: User, role: RoleOf = "viewer", cameras: CamerasOf = None, launch: LaunchOf = None
) -> None:
    """Set role and cameras of a user. Ends the sessions and tokens of the user."""
    _accounts(launch).change(user, role, _names(cameras))  # type: ignore[arg-type]
    console().print(Text(f"{user} is {role} now"))


@users_app.command()
def remove(user: User, launch: LaunchOf = None) -> None:
    """Remove a user."""
    _accounts(launch).remove(user)
    console().print(Text(f"removed {user}"))


@users_app.command()
def token(
    user: User,
    title: Annotated[str, typer.Option(help="what it is for")] = "command line",
    role: RoleOf = "viewer",
    cameras: CamerasOf = None,
    days: Annotated[float, typer.Option(min=0.01, max=3660, help="days until it expires")] = 365.0,
    launch: LaunchOf = None,
) -> None:
    """Print a new token of a user, for a program. It is shown only once."""
    from perception.web.sessions import Sessions

    sessions = Sessions(_accounts(launch).file)
    made = sessions.new_token(user, title, role, _names(cameras), days)  # type: ignore[arg-type]
    end = datetime.fromtimestamp((clock.wall_ns() + clock.to_ns(days * 86_400)) / 1e9, UTC)
    print(made)
    print(f"holds until {end:%Y-%m-%d}", file=sys.stderr)


def _accounts(launch: Path | None):
    check_installed()
    from perception.launchfile import config
    from perception.web.accounts import Accounts
    from perception.web.users_file import UsersFile

    asked = config.load(launch)[0].web if launch is not None else None
    return Accounts(UsersFile(asked.folder if asked else None))


def _or_add(plan: "Plan") -> str:
    """Return the command that adds the first user; "" where the folder is not known."""
    from perception.launchfile import config

    assert plan.web is not None
    command = "perception users add NAME --role admin"
    if plan.web.folder is None:
        return f", or `{command}`"
    in_file = config.load(plan.file)[0].web
    return f", or `{command} --launch {plan.file}`" if in_file is not None else ""


def _folder(asked: "WebPlan") -> Path | None:
    return Path(asked.folder) if asked.folder else None


def _address(asked: "WebPlan") -> str:
    from perception.launchfile.page import EVERYWHERE
    from perception.web import certificate

    if asked.proxied:
        return f"https://{asked.names[0] if asked.names else 'your proxy'}"
    host = asked.host
    if host in (EVERYWHERE, "::"):
        host = (asked.names or certificate.host_names()[1:])[0]
    return f"{asked.scheme}://{f'[{host}]' if ':' in host else host}:{asked.port}"


def _names(cameras: str | None) -> list[str] | None:
    return None if cameras is None else [name for name in cameras.split(",") if name]


def _password() -> str:
    """Return a password: typed twice on a terminal, else the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    from rich.prompt import Prompt

    first = Prompt.ask("password", password=True)
    if not secrets.compare_digest(first, Prompt.ask("again", password=True)):
        raise ConfigError("the two are not the same")
    return first
