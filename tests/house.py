"""`make house`: the floors of the import contract, and how long each module is."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
MAX_LINES, MAX_ROOT, MAX_FLOORS = 300, 10, 10


def floors() -> list[list[str]]:
    """Return the rows of the layers contract, top first: names of rooms and loose modules."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one["type"] == "layers")
    return [[name.strip().removeprefix("perception.") for name in row.split("|")] for row in layers]


def rooms() -> dict[str, dict[str, int]]:
    """Return the lines of each module by room; the root is `perception`."""
    found: dict[str, dict[str, int]] = {}
    for path in sorted((ROOT / "perception").rglob("*.py")):
        found.setdefault(path.parent.name, {})[path.stem] = len(path.read_text().splitlines())
    return found


def drawing() -> str:
    """Return the floors as text, one line a floor."""
    return "\n".join(f"{n:>4}  {'  '.join(row)}" for n, row in enumerate(floors(), 1))


def main() -> None:
    """Print floors, rooms and what is over its limit."""
    print(f"floors (each imports those below it, never its neighbours; {MAX_FLOORS} at most)")
    print(drawing())
    print(f"\nrooms (modules, lines, longest; {MAX_LINES} lines a module at most)")
    for room, modules in rooms().items():
        longest = max(modules, key=modules.__getitem__)
        total = sum(modules.values())
        print(f"{room:>12}  {len(modules):3}  {total:6}  {longest} {modules[longest]}")


if __name__ == "__main__":
    main()
