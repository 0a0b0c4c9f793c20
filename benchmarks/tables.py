"""`python -m benchmarks.tables`: the tables of README.md made anew from the kept results.

Of each benchmark the newest run of a results file; the rows that have a target, and those that tell
the same of another peer. `--keep` first puts the newest local run of each benchmark into the file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import harness

HERE = Path(__file__).parent
BEGIN, END = "<!-- tables: python -m benchmarks.tables -->", "<!-- end of tables -->"
HEAD = "| what | ours | peer | peer's | ratio | target | met |\n|---|---|---|---|---|---|---|"
ORDER = (
    "line", "transport", "postprocess", "inference", "decode", "camera_motion", "startup",
    "cameras", "soak", "doorway", "identity", "attention", "threads",
)  # fmt: skip


def newest(lines: list[str]) -> list[dict[str, Any]]:
    """Return the rows of the newest run in a file of one benchmark."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    last = max((row["time"] for row in rows), default="")
    return [row for row in rows if row["time"] == last]


def keep(results: Path) -> None:
    """Put the newest local run of each benchmark into the results, in place of the older one."""
    kept = {name: of(results, name) for name in ORDER}
    for name in ORDER:
        local = harness.ROOT / harness.LOCAL / f"{name}.jsonl"
        if local.exists():
            kept[name] = newest(local.read_text().splitlines()) or kept[name]
    rows = [json.dumps(row) for name in ORDER for row in kept[name]]
    results.write_text("\n".join(rows) + "\n")


def of(results: Path, name: str) -> list[dict[str, Any]]:
    """Return the newest rows of one benchmark in a results file."""
    lines = results.read_text().splitlines() if results.exists() else []
    return newest([line for line in lines if json.loads(line)["bench"] == name])


def table(name: str, rows: list[dict[str, Any]]) -> str:
    """Return one benchmark's table."""
    judged = {row["what"] for row in rows if row.get("target")} or {row["what"] for row in rows}
    out = [f"**{name}** (load {rows[0]['load']}, commit {rows[0]['commit']})\n", HEAD]
    for row in rows:
        if row["what"] not in judged:
            continue
        unit, met = row.get("unit", ""), row.get("met")
        said = "" if met is None else "yes" if met else "**no**"
        note = f" ({row['note']})" if row.get("note") else ""
        cells = (
            row["what"],
            harness.number(row.get("ours"), unit),
            row.get("peer", ""),
            harness.number(row.get("theirs"), unit),
            f"x{row['ratio']:.2f}" if row.get("ratio") else "",
            row.get("target", ""),
            f"{said}{note}",
        )
        out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out) + "\n"


def main() -> None:
    """Rewrite the part of README.md between the two marks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("results", type=Path, help="JSON lines in benchmarks/results")
    parser.add_argument("--keep", action="store_true", help="take over the newest local runs")
    asked = parser.parse_args()
    if asked.keep:
        keep(asked.results)
    made = {name: of(asked.results, name) for name in ORDER}
    text = "\n".join(table(name, rows) for name, rows in made.items() if rows)
    readme = HERE / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
