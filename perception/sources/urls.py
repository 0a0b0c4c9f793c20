"""The scheme of a URL, and a URL without passwords, for logs. Imports the stdlib only."""

import re

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^:@/\s]*)(?::[^\s]*)?@")
_SECRET = re.compile(
    r"([?&;](?:[^=&;\s]*(?:pass|pwd|token|secret|key|auth|sig)[^=&;\s]*)=)[^&;\s]+", re.IGNORECASE
)


def scheme(text: str) -> str | None:
    """Return the scheme of a URL in lower case; None: the text is no URL."""
    match = _SCHEME.match(text)
    return match[1].lower() if match else None


def redact(text: str) -> str:
    """Return a text with the passwords of its URLs replaced by ***, for logs and errors.

    Replaced is all between the first ':' after the scheme and the last '@' before a blank, so also
    a password that contains '@' or '/'; and the values of query fields with names like secrets.
    """
    return _SECRET.sub(r"\1***", _USERINFO.sub(r"\1\2:***@", text))
