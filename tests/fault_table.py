"""The faults and attacks that are promised to be survived: which test tries each, and its result.

Run as a program it prints the table (`make faults`). A test bears its numbers as
`@pytest.mark.fault("F16")`; results are those of the last time that each was run.
"""

import ast
import json
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE.parent / ".pytest_cache" / "v" / "faults" / "results"

FAULTS = {
    "F01": "kill -9 of the detector under load",
    "F02": "SIGSTOP of each process",
    "F03": "kill -9 of the tracker: ids never reused",
    "F04": "kill -9 of the alert process: no committed alert lost",
    "F05": "kill -9 of a camera process",
    "F06": "kill -9 of the supervisor",
    "F07": "kill -9 of everything at once",
    "F08": "a process that crashes again and again",
    "F09": "a camera that accepts and is silent",
    "F10": "a camera that freezes in mid stream",
    "F11": "a connection that is reset",
    "F12": "a network that drops everything",
    "F13": "a wrong password",
    "F14": "one picture with new time stamps",
    "F15": "a black picture or covered lens",
    "F16": "size, codec or rate changes in mid stream",
    "F17": "time stamps that jump, go back, wrap or are missing",
    "F18": "the wall clock is moved",
    "F19": "a detector slower than the camera",
    "F20": "a subscriber that hangs",
    "F21": "broker and webhook down, slow or refusing",
    "F22": "a broker killed after it has acknowledged",
    "F23": "a full disk",
    "F24": "a store that is missing, corrupt, locked or newer",
    "F25": "a recording cut at any byte",
    "F26": "too little shared memory",
    "F27": "a slot overwritten while it is read",
    "F28": "file handles, threads and memory over time",
    "F29": "a bad launch file while it runs",
    "F30": "kernels compiled by several processes, no cache, a corrupt one",
    "F31": "SIGTERM, and again",
    "F32": "an endpoint or folder in use",
    "F33": "a node of a cluster dies",
    "F34": "exact replay of each stage",
    "F35": "telemetry that is silent, wrong or old",
    "H01": "pickle on every socket; dangerous calls in the source",
    "H02": "strangers on TCP ports",
    "H03": "peers without key or with the wrong role",
    "H04": "messages too large, too many parts, empty",
    "H05": "messages that are cut, nested, wrong or lie",
    "H06": "frame descriptors that lie",
    "H07": "replayed and mistimed messages",
    "H08": "a flood from one peer",
    "H09": "image bombs",
    "H10": "broken, disguised and oversized video",
    "H11": "hostile source URLs; secrets shown",
    "H12": "hostile launch files",
    "H13": "names that are paths",
    "H14": "web: who may what",
    "H15": "text that is code elsewhere",
    "H16": "hostile MQTT commands",
    "H17": "webhooks that redirect, drip or never end",
    "H18": "hostile models",
    "H19": "hostile recordings",
    "H20": "hostile telemetry",
    "H21": "other users of the machine",
    "H22": "a camera that attacks",
    "H23": "a storm of alerts",
    "H24": "downloads and listeners nobody asked for",
}
ELSEWHERE = {
    "web": ("F29", "H02", "H03", "H13", "H14", "H16"),
    "drone": ("H22",),
    "cluster": ("F33",),
}


def marked() -> dict[str, list[str]]:
    """Return the tests of each number, as pytest names them without parameters."""
    found: dict[str, list[str]] = {number: [] for number in FAULTS}
    for path in sorted(HERE.rglob("test_*.py")):
        tree = ast.parse(path.read_text())
        for owner, node in _functions(tree):
            for number in _numbers(node):
                name = "::".join(filter(None, (owner, node.name)))
                found[number].append(f"{path.relative_to(HERE.parent)}::{name}")
    return found


def _functions(tree: ast.Module) -> list[tuple[str, ast.FunctionDef]]:
    found: list[tuple[str, ast.FunctionDef]] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found.append(("", node))
        elif isinstance(node, ast.ClassDef):
            found += [(node.name, f) for f in node.body if isinstance(f, ast.FunctionDef)]
    return found


def _numbers(node: ast.FunctionDef) -> list[str]:
    """Return the arguments of a function's `pytest.mark.fault(...)`. Raises KeyError."""
    numbers: list[str] = []
    for call in node.decorator_list:
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.fault":
            numbers += [ast.literal_eval(argument) for argument in call.args]
    return numbers


def main() -> None:
    """Print number, fault, and each test with its last result."""
    results: dict[str, str] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    owners = {number: room for room, numbers in ELSEWHERE.items() for number in numbers}
    for number, tests in marked().items():
        print(f"{number}  {FAULTS[number]}")
        if number in owners:
            print(f"       belongs to: {owners[number]}")
        elif not tests:
            print("       no test")
        for test in tests:
            print(f"       {results.get(test, 'not run'):8} {test}")


if __name__ == "__main__":
    main()
