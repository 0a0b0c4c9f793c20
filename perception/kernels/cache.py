"""A kernel cache for Numba that never raises. Where it cannot be used, kernels are compiled again.

Numba raises while a kernel module is imported in two cases: a cache file was truncated or
overwritten, or the cache folder cannot be written. In the first case this class compiles the kernel
again and overwrites the file. In the second it compiles without a cache. `install` replaces, in
this process, the cache class that Numba's dispatcher uses.
"""

import warnings
from typing import Any

from numba.core import caching, dispatcher

_NO_FOLDER = (
    "the folder for compiled kernels cannot be written: each process compiles them again, which "
    "takes a minute. Set NUMBA_CACHE_DIR to a folder that can be written"
)
_DAMAGED = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ImportError),
    *(MemoryError, RuntimeError, caching.pickle.PickleError),
)
"""What Numba raises for truncated or overwritten cache files."""


class SafeCache(caching.FunctionCache):
    """The cache of one function. No state of the files makes it raise."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function of a signature. None: it must be compiled."""
        try:
            return super().load_overload(sig, target_context)
        except _DAMAGED:
            self._forget()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write a compiled function. A write error, such as a full disk, is ignored."""
        try:
            super().save_overload(sig, data)
        except OSError:
            self._forget()

    def _forget(self) -> None:
        """Empty the index of this function; turn the cache off where that fails."""
        try:
            self.flush()
        except OSError:
            self.disable()


def _new_cache(function: Any) -> Any:
    """Return the cache of a function. Without a writable folder: warn, and store nothing."""
    try:
        return SafeCache(function)
    except RuntimeError:
        warnings.warn(_NO_FOLDER, RuntimeWarning, stacklevel=2)
        return caching.NullCache()


def install() -> None:
    """Use SafeCache for every function that is compiled with cache=True from now on."""
    dispatcher.FunctionCache = _new_cache
