"""Numba's kernel cache, made safe: a cache that cannot be used costs time, never a start.

A cache file that was cut or overwritten makes Numba raise while a kernel module is imported, and so
does a machine without a folder to write the cache to. Here the first is compiled and written anew,
and the second is compiled without a cache. `install` replaces the cache class that Numba's
dispatcher uses, for this process.
"""

import warnings
from typing import Any

from numba.core import caching, dispatcher

_NO_FOLDER = (
    "no folder for compiled kernels can be written: each process compiles them for itself, which "
    "takes a minute. Set NUMBA_CACHE_DIR to a folder that can be written"
)
_DAMAGED = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ImportError),
    *(MemoryError, RuntimeError, caching.pickle.PickleError),
)
"""What Numba raises for cut or overwritten cache files."""


class SafeCache(caching.FunctionCache):
    """The cache of one function. It never raises for what is on the disk."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function of a signature; None where it must be compiled."""
        try:
            return super().load_overload(sig, target_context)
        except _DAMAGED:
            self._forget()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write a compiled function; a full disk is no error."""
        try:
            super().save_overload(sig, data)
        except OSError:
            self._forget()

    def _forget(self) -> None:
        """Empty the index of this function. What it named is overwritten later."""
        try:
            self.flush()
        except OSError:
            self.disable()


def _new_cache(function: Any) -> Any:
    """Return the cache of a function; one that keeps nothing where no folder can be written."""
    try:
        return SafeCache(function)
    except RuntimeError:
        warnings.warn(_NO_FOLDER, RuntimeWarning, stacklevel=2)
        return caching.NullCache()


def install() -> None:
    """Use this cache for every function that is compiled with cache=True from now on."""
    dispatcher.FunctionCache = _new_cache
