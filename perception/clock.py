"""Time comes from here only, so that a test or a replay can stand in for it.

Three times, never confused: media time (the source's own), arrival (CLOCK_MONOTONIC of this
host: ages and latency) and wall (UTC, for people). May be imported by everything.
"""

import time

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


def monotonic_ns() -> int:
    """Return CLOCK_MONOTONIC of this host in ns: for ages and deadlines, never across boots."""
    return time.monotonic_ns()


def wall_ns() -> int:
    """Return UTC in ns since 1970: for people and stores, never for differences."""
    return time.time_ns()


def cpu_s() -> float:
    """Return CPU seconds this process has used, all threads."""
    return time.process_time()


def sleep_until(t_ns: int) -> None:
    """Sleep until monotonic_ns() reaches t_ns; return at once when that is past."""
    wait = t_ns - time.monotonic_ns()
    if wait > 0:
        time.sleep(wait / NS_PER_S)


def seconds(t_ns: int) -> float:
    """Return ns as seconds."""
    return t_ns / NS_PER_S


def to_ns(t_s: float) -> int:
    """Return seconds as whole ns."""
    return round(t_s * NS_PER_S)
