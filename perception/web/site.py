"""What the routes work on: the line's plan, its files, the live messages, the users.

Imports launch plan, alert store, catalog, accounts and viewers.
"""

import contextlib
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from perception.alerts.store import AlertStore
from perception.errors import ConfigError
from perception.footage.catalog import NAME as CATALOG
from perception.footage.catalog import Catalog
from perception.transport import rundir
from perception.web.accounts import Accounts
from perception.web.hub import Hub
from perception.web.sessions import Sessions
from perception.web.users_file import UsersFile
from perception.wire.plan import Plan, WebPlan


@dataclass(slots=True, eq=False)
class Site:
    """A running page. hub: live messages."""

    line: Plan
    plan: WebPlan
    run_dir: Path
    users: UsersFile
    hub: Hub
    accounts: Accounts = field(init=False)
    sessions: Sessions = field(init=False)
    _alerts: AlertStore | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self.accounts, self.sessions = Accounts(self.users), Sessions(self.users)

    @property
    def cookie(self) -> str:
        """Name of the session's cookie. __Host-: a browser takes it over TLS only."""
        return "__Host-perception" if self.plan.scheme == "https" else "perception"

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.run_dir.name

    @property
    def is_live(self) -> bool:
        """Whether the run is still alive."""
        return rundir.is_live(self.run_dir)

    def alerts(self) -> AlertStore:
        """Return the store of alerts, opened once."""
        with self._lock:
            if self._alerts is None:
                self._alerts = AlertStore(Path(self.line.store), beside=True)
            return self._alerts

    @contextlib.contextmanager
    def catalog(self) -> Generator[Catalog | None]:
        """Give the catalog of recordings; None where nothing is recorded yet."""
        kept, opened = self.line.recordings, None
        if kept is not None and (Path(kept.folder) / CATALOG).is_file():
            with contextlib.suppress(ConfigError):
                opened = Catalog(Path(kept.folder), create=False)
        try:
            yield opened
        finally:
            if opened is not None:
                opened.close()

    def close(self) -> None:
        """Close the files."""
        if self._alerts is not None:
            self._alerts.close()
        self.users.close()
