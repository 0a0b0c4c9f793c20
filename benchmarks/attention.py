"""Where the network looks: a quiet door, moving targets from above, tiles under a budget.

python -m benchmarks.attention --json FILE [--parts moving,fixed,pictures,video,missed,quiet,people]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import attention_air as air
from benchmarks import attention_door as door
from benchmarks import attention_fixed, harness
from benchmarks import attention_tiles as tiles
from benchmarks.harness import Report


def main() -> None:
    """Measure the parts asked for; footage that is not there is a row that says so."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attention", description=__doc__)
    parser.add_argument("--short", action="store_true", help="half of the time for quiet scenes")
    parser.add_argument("--json", "--out", dest="out", type=Path, help="JSON lines")
    parser.add_argument("--parts", default=",".join(PARTS), help="which of these, by comma")
    asked = parser.parse_args()
    with harness.report("attention", asked.out) as made:
        if not (harness.FOOTAGE / "video").is_dir():
            made.missing("attention", "needs footage: set PERCEPTION_TEST_DATA")
            return
        for part in asked.parts.split(","):
            PARTS[part](made, asked.short)


def _missed(report: Report, short: bool) -> None:
    del short
    for clip in (door.CAR_PARK, door.ONE_BY_ONE, door.VTEST):
        door.missed(report, clip)


def _fixed(report: Report, short: bool) -> None:
    del short
    with tempfile.TemporaryDirectory() as folder:
        attention_fixed.fixed(report, Path(folder))


PARTS: dict[str, Callable[[Report, bool], None]] = {
    "moving": lambda report, short: air.moving(report),
    "fixed": _fixed,
    "pictures": lambda report, short: tiles.pictures(report),
    "video": tiles.video,
    "missed": _missed,
    "quiet": door.quiet,
    "people": lambda report, short: door.people(report),
}


if __name__ == "__main__":
    main()
