"""The part `web:` of a launch file: how the page is served. Imports plan."""

import importlib.util
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from perception.wire.plan import WebPlan

EVERYWHERE = "0.0.0.0"
"""All addresses of this host: with TLS only. Plain http stays on loopback."""
NEEDED = ("fastapi", "uvicorn", "websockets", "argon2")
UserPath = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path in which a leading ~ is the user's home."""


def missing_packages() -> list[str]:
    """Return which packages of the extra `web` are not installed."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


class Web(BaseModel):
    """The page: live video, alerts and recordings in a browser, for those who may see them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=8443, description="TCP port")
    host: str | None = Field(
        default=None,
        description="address to listen on; all of this host, with `http` or `proxy` loopback",
    )
    http: bool = Field(
        default=False, description="plain http instead of TLS, on loopback only: for a trial"
    )
    proxy: bool = Field(
        default=False,
        description="behind a reverse proxy on this host, which does TLS; see docs/web.md",
    )
    names: Annotated[list[str], Field(max_length=32)] = Field(
        default=[], description="host names by which browsers reach it, besides this host's own"
    )
    certificate: UserPath | None = Field(
        default=None, description="PEM file with the chain; made at first start, if not given"
    )
    key: UserPath | None = Field(default=None, description="PEM file of the certificate's key")
    folder: UserPath | None = Field(
        default=None,
        description="folder of users, sessions and own certificate; the user's, if not given",
    )

    @model_validator(mode="after")
    def _installed(self) -> Self:
        if missing := missing_packages():
            raise ValueError(f"needs {missing[0]}: pip install 'perception-line[web]'")
        return self

    @model_validator(mode="after")
    def _plain_stays_here(self) -> Self:
        if self.http and self.proxy:
            raise ValueError("http and proxy: take one")
        plain = self.http or self.proxy
        if plain and self.host not in (None, "127.0.0.1", "::1", "localhost"):
            raise ValueError(f"host {self.host}: plain http is served on loopback only")
        if plain and (self.certificate or self.key):
            raise ValueError("a certificate belongs to TLS: leave out http and proxy")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: give both")
        return self

    def plan(self) -> WebPlan:
        """Return what the process is told."""
        plain = self.http or self.proxy
        return WebPlan(
            host=self.host or ("127.0.0.1" if plain else EVERYWHERE),
            port=self.port,
            scheme="http" if self.http else "https",
            proxied=self.proxy,
            names=self.names,
            certificate=self.certificate and str(self.certificate),
            key=self.key and str(self.key),
            folder=self.folder and str(self.folder),
        )
