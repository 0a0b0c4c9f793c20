"""Alerts as messages to people: e-mail, Telegram, ntfy and others, each by an apprise URL.

Needs the extra `notify`. Imports wire and errors.
"""

import importlib
import logging
import re
import string
import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from perception.errors import SinkError
from perception.sinks.when import When
from perception.wire import Alert

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
FIELDS = ("camera", "rule", "kind", "state", "class_name", "details")


def _template(text: str) -> str:
    """Return the text. Raises ValueError for a placeholder other than {name} of FIELDS."""
    for _, name, spec, conversion in string.Formatter().parse(text):
        if name is not None and (name not in FIELDS or spec or conversion):
            raise ValueError(f"{{{name}}} is not one of {', '.join(FIELDS)}")
    return text


def messenger(urls: tuple[str, ...]) -> Any:
    """Return an apprise.Apprise for URLs. Raises ValueError: apprise missing, or a wrong URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # raised by imports of apprise
        try:
            apprise: Any = importlib.import_module("apprise")
        except ImportError:
            text = "the apprise sink needs: pip install 'perception-line[notify]'"
            raise ValueError(text) from None
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its log lines contain the URLs
        made = apprise.Apprise()
        for number, url in enumerate(urls, 1):
            if not made.add(url):
                scheme = url.partition(":")[0][:20]
                text = f"URL {number} ({scheme}:...) is no notification URL that apprise knows"
                raise ValueError(text)
    return made


def _known(urls: tuple[str, ...]) -> tuple[str, ...]:
    messenger(urls)
    return urls


Template = Annotated[str, AfterValidator(_template)]


class AppriseSink:
    """Sends alerts as messages, with the snapshot if there is one.

    By default one message per alert: when it is raised, or at the first update that passes `only`.
    """

    class Options(When):
        """urls: of apprise, such as ntfy://topic or tgram://token/chat. They are secrets.

        title, body: texts with {camera}, {rule}, {kind}, {state}, {class_name}, {details}.
        picture: attach the snapshot."""

        urls: Annotated[tuple[str, ...], AfterValidator(_known)] = Field(min_length=1, repr=False)
        title: Template = "{camera}: {class_name}"
        body: Template = "{rule}: {class_name} ({details})"
        picture: bool = True
        once: bool = True

    def __init__(self, options: Any, folder: Path) -> None:
        when: AppriseSink.Options = options
        self.when: When = when
        if "state" not in when.only:
            states = {"state": ("raised", "updated")}
            self.when = when.model_copy(update={"only": {**when.only, **states}})
        self._options = when
        self._apprise = messenger(when.urls)

    def send(self, alert: Alert, picture: NDArray[np.uint8] | None) -> None:
        """Send the message to every URL; see Sink.send."""
        attach = None
        if self._options.picture and alert.snapshot and Path(alert.snapshot).is_file():
            attach = alert.snapshot
        told = self._apprise.notify(
            title=_fill(self._options.title, alert),
            body=_fill(self._options.body, alert),
            body_format="text",
            interpret_escapes=False,
            attach=attach,
        )
        if not told:
            raise SinkError("apprise: not every URL took the message")


def _fill(template: str, alert: Alert) -> str:
    """Return the template filled with the fields of an alert, without control characters."""
    details = ", ".join(f"{k}: {v}" for k, v in alert.details.items() if v is not None)
    words = {name: getattr(alert, name) for name in FIELDS[:-1]} | {"details": details}
    plain = {name: _CONTROL.sub(" ", str(value))[:200] for name, value in words.items()}
    return template.format_map(plain)
