"""Does a test fail where the code is wrong? `python -m tests.mutations`: 40 faults, one at a time.

Each is one operator, constant or condition of a room, chosen by a seed, changed in a copy of the
tree, and tried by the unit tests of that room. A fault that no test sees is printed as survived: it
needs a test, unless it changes nothing that can be seen (EQUIVALENT: another one is drawn).
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = {
    "rules": "hours zones rules_collision rules_objects rules rules_geofence metres rules_visit",
    "alerts": "alert_count answering alerts_watch alerts identity_alerts sinks_delivery store",
    "trackers": "tracker_none scene_cut size_change tracker follow",
    "transport": "gaps rundir bus ring sources_push",
}
"""The unit tests of each room, without `test_`."""
EQUIVALENT = {
    "perception/transport/bus.py: self._next = [0 -> 1]": "any receiver may be the first in turn",
    "perception/transport/rundir.py: token = hashlib.blake2b(str(run_dir).encode(), "
    "digest_size=[5 -> 6]).hexdigest()": "a token of any length tells runs apart",
    "perception/trackers/two_stage.py: _FIRST_ROWS, _KEPT_ROWS = [128 -> 129], 8_192": (
        "the table grows when it is full"
    ),
    "perception/trackers/follow.py: return (np.vstack([warp, [[0 -> 1], 0, 1]]) @ "
    "np.vstack([carried, [0, 0, 1]]))[:2].astype(np.float32)": "the third row is left out",
    "perception/alerts/delivery.py: while in_vain < 2 and handled [< -> <=] BATCH:": (
        "how many go out in one turn"
    ),
    "perception/alerts/database.py: wait_s = 0.0 if clock.monotonic_ns() [< -> <=] "
    "self._held_ns else LOCK_WAIT_S": "one nanosecond",
    "perception/alerts/database.py: if place == self._place or (other and "
    "clock.monotonic_ns() [< -> <=] self._look_ns):": "one nanosecond",
    "perception/rules/geofence.py: self._north = 111_132.92 - 559.82 * math.cos(2 * phi) + "
    "1.175 [* -> /] math.cos(4 * phi)": "5 mm in 300 m",
    "perception/rules/geofence.py: points = self._plane.metres(rows[:, :[2 -> 3]])": (
        "metres reads two columns"
    ),
    "perception/trackers/two_stage.py: if elapsed <= [0 -> 1]:": "one nanosecond",
    "perception/transport/ring.py: os.pwrite(fd, HEADER.pack(MAGIC, self._slots, [0 -> 1], "
    "slot_bytes), 0)": "nobody reads this field",
    "perception/transport/ring_map.py: start = pages(LINE_BYTES * ([1 -> 2] + slots))": (
        "writer and readers lay the ring out by the same function"
    ),
}
"""Faults that change nothing, as they are printed -> why."""
LIMIT_S = 300
SWAPS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: (" is ", " is not "),
    ast.IsNot: (" is not ", " is "),
    ast.In: (" in ", " not in "),
    ast.NotIn: (" not in ", " in "),
    ast.And: (" and ", " or "),
    ast.Or: (" or ", " and "),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
}
Place = tuple[int, int, str, str]
"""Line from 0, column in bytes, what stands there, what is put there."""


def places(source: str) -> Iterator[Place]:
    """Yield each place of a module that can be changed. Annotations, decorators, texts stay."""
    tree, lines = ast.parse(source), source.splitlines()
    outers = [
        part
        for node in ast.walk(tree)
        for part in (
            getattr(node, "annotation", None),
            getattr(node, "returns", None),
            *getattr(node, "decorator_list", ()),
        )
        if part is not None
    ]
    skip = {id(inner) for outer in outers for inner in ast.walk(outer)}
    for node in ast.walk(tree):
        if id(node) in skip:
            continue
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            yield from _between(lines, node.left, node.comparators[0], node.ops[0])
        elif isinstance(node, ast.BoolOp):
            yield from _between(lines, node.values[0], node.values[1], node.op)
        elif isinstance(node, ast.BinOp):
            yield from _between(lines, node.left, node.right, node.op)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node.lineno - 1, node.col_offset, "not ", ""
        elif isinstance(node, ast.Constant) and type(node.value) in (bool, int, float):
            text = ast.get_source_segment(source, node) or ""
            value = node.value
            changed = repr(not value) if isinstance(value, bool) else repr(value + 1)
            yield node.lineno - 1, node.col_offset, text, changed


def _between(lines: list[str], left: ast.expr, right: ast.expr, op: ast.AST) -> Iterator[Place]:
    """Yield the place of an operator that stands on one line between its two operands."""
    if type(op) not in SWAPS or left.end_lineno != right.lineno:
        return
    was, becomes = SWAPS[type(op)]
    line, start = right.lineno - 1, left.end_col_offset or 0
    if was in lines[line][start : right.col_offset]:
        yield line, lines[line].index(was, start), was, becomes


def draw(root: Path, room: str, seed: int) -> Iterator[tuple[Path, Place, str]]:
    """Yield faults of a room in an order that the seed decides: file, place, how it is printed."""
    every = [
        (path.relative_to(root), place)
        for path in sorted((root / "perception" / room).glob("*.py"))
        for place in places(path.read_text())
    ]
    random.Random(f"{seed} {room}").shuffle(every)
    for path, place in every:
        line, column, was, becomes = place
        text = (root / path).read_text().splitlines()[line]
        put = f"{text[:column]}[{was} -> {becomes}]{text[column + len(was) :]}".strip()
        yield path, place, f"{path}: {put}"


def is_caught(copy: Path, room: str, path: Path, place: Place) -> bool:
    """Return whether a test of the room fails, or does not end, with this fault in the copy."""
    line, column, was, becomes = place
    good = (copy / path).read_text()
    lines = good.splitlines(keepends=True)
    lines[line] = lines[line][:column] + becomes + lines[line][column + len(was) :]
    (copy / path).write_text("".join(lines))
    try:
        return not passes(copy, room)
    finally:
        (copy / path).write_text(good)


def passes(copy: Path, room: str) -> bool:
    """Return whether all unit tests of a room pass in the copy, within LIMIT_S."""
    names = [f"tests/unit/test_{name}.py" for name in TESTS[room].split()]
    command = [sys.executable, "-m", "pytest", "-q", "-x", *names]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    try:
        ended = subprocess.run(
            command, cwd=copy, env=environment, timeout=LIMIT_S, check=False, capture_output=True
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def main() -> int:
    """Try the faults; 1 where fewer than nine of ten are caught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--each", type=int, default=10, help="faults of each room")
    parser.add_argument("rooms", nargs="*", default=list(TESTS))
    asked = parser.parse_args()
    caught = tried = 0
    with tempfile.TemporaryDirectory(prefix="prc-") as folder:
        copy = Path(folder) / "tree"
        for part in ("perception", "tests", "launch", "benchmarks", "pyproject.toml"):
            make = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
            copy.mkdir(exist_ok=True)
            make(ROOT / part, copy / part)  # with their times: compiled kernels stay good
        for room in asked.rooms:
            if not passes(copy, room):
                sys.exit(
                    f"the tests of {room} fail, or take over {LIMIT_S} s, with no fault put in"
                )
            drawn = (fault for fault in draw(copy, room, asked.seed) if fault[2] not in EQUIVALENT)
            for (path, place, said), _ in zip(drawn, range(asked.each), strict=False):
                good = is_caught(copy, room, path, place)
                tried, caught = tried + 1, caught + good
                print("caught  " if good else "SURVIVED", said, flush=True)
    print(f"{caught} of {tried} caught")
    return caught < 0.9 * tried


if __name__ == "__main__":
    sys.exit(main())
