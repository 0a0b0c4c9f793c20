"""What every test may ask for. Tests import their slow twins as `from tests import reference`."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The first call of a kernel loads it from the cache, on machines as busy as they come: no deadline.
# CI tries the same examples each time, so what fails there fails anywhere; others look further.
settings.register_profile("perception", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("perception")

_FAULTS: dict[str, str] = {}
ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def footage() -> Path:
    """Labelled footage: PERCEPTION_TEST_DATA, else ../shared/data beside the repository."""
    place = Path(os.environ.get("PERCEPTION_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not place.is_dir():
        pytest.skip(f"no footage at {place}: set PERCEPTION_TEST_DATA")
    return place


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory: what is not about the disk need not wait for it at each commit."""
    with tempfile.TemporaryDirectory(prefix="prc-", dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose path is short enough for sockets, and in which this test's runs live."""
    with tempfile.TemporaryDirectory(prefix="prc-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the report of a test say that it tries faults, also from another process."""
    if item.get_closest_marker("fault") is not None:
        item.user_properties.append(("fault", "yes"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how each test of a fault ended: failed where one of its parameters did."""
    is_fault = any(name == "fault" for name, _ in report.user_properties)
    if is_fault and (report.when == "call" or report.outcome != "passed"):
        name = report.nodeid.partition("[")[0]
        if _FAULTS.get(name) != "failed":
            _FAULTS[name] = report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep the results of faults beside those of earlier sessions; see fault_table.py."""
    cache = session.config.cache
    if _FAULTS and cache is not None and not hasattr(session.config, "workerinput"):
        cache.set("faults/results", {**cache.get("faults/results", {}), **_FAULTS})
