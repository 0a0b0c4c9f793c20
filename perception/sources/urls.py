"""What may be said of an URL: its scheme, and itself without passwords. Imports the stdlib only."""

import re

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^:@/\s]*)(?::[^\s]*)?@")
_SECRET = re.compile(
    r"([?&;](?:[^=&;\s]*(?:pass|pwd|token|secret|key|auth|sig)[^=&;\s]*)=)[^&;\s]+", re.IGNORECASE
)


def scheme(text: str) -> str | None:
    """Return the scheme of an URL in lower case, None where the text is no URL."""
    match = _SCHEME.match(text)
    return match[1].lower() if match else None


def redact(text: str) -> str:
    """Return a text with the passwords of its URLs replaced by ***, fit for logs and errors.

    Everything between the first ':' after the scheme and the last '@' before a blank goes, so a
    password with '@' or '/' in it is hidden too, and query fields that are named like secrets.
    """
    return _SECRET.sub(r"\1***", _USERINFO.sub(r"\1\2:***@", text))
