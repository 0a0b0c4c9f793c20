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
