"""Real-time video perception for vehicles, drones and doorways.

`perception.connect(run)` joins a running line from user code; everything else is the command line.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "connect"]

if TYPE_CHECKING:
    from perception.client import connect


def __getattr__(name: str) -> Any:
    if name == "connect":
        from perception.client import connect

        return connect
    raise AttributeError(f"module 'perception' has no attribute {name!r}")
