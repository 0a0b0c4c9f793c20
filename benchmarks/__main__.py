"""`python -m benchmarks`: every benchmark, one after the other, and one table at the end.

Each runs in a process of its own, so that what one has imported or warmed helps no other.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

from benchmarks import harness
from benchmarks.harness import Row

SUITE: dict[str, list[str]] = {
    "postprocess": [],
    "decode": [],
    "camera_motion": [],
    "inference": [],
    "startup": [],
    "line": [],
    "cameras": [],
    "alert_age": [],
    "analyze": [],
    "transport": ["--rounds", "2"],
    "recording": [],
    "search": [],
    "replay": [],
    "deep": [],
    "web": [],
    "identity": [],
    "doorway": ["--entries", "20"],
    "soak": ["--minutes", "2"],
}


def main() -> None:
    """Run the suite, or the benchmarks named; `--short` for a quarter of the rounds."""
    short = [word for word in sys.argv[1:] if word == "--short"]
    wanted = [word for word in sys.argv[1:] if word in SUITE] or list(SUITE)
    folder = harness.ROOT / harness.LOCAL
    rows: list[Row] = []
    for name in wanted:
        began = time.monotonic()
        print(f"== {name}", flush=True)
        out = folder / f"{name}.jsonl"
        seen = len(out.read_text().splitlines()) if out.exists() else 0
        command = [sys.executable, "-m", f"benchmarks.{name}", *SUITE[name], *short]
        subprocess.run(command, cwd=harness.ROOT, check=False)
        fields = Row.__dataclass_fields__
        for line in out.read_text().splitlines()[seen:] if out.exists() else []:
            said = json.loads(line)
            rows.append(
                Row(**{"ours": None, "unit": "", **{k: v for k, v in said.items() if k in fields}})
            )
        print(f"== {name}: {time.monotonic() - began:.0f} s\n", flush=True)
    print(f"{harness.machine()}, commit {harness.commit()}, {harness.versions()}\n")
    print(harness.table(rows))
    judged = [row for row in rows if row.met is not None]
    print(f"\n{sum(row.met is True for row in judged)} of {len(judged)} targets met")


if __name__ == "__main__":
    main()
