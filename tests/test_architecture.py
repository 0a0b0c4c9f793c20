"""Rules of the house that a machine can check: who imports whom, and what is never called."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perception.launchfile.page import Web
from tests import house
from tests.line import ROOT

PACKAGE = ROOT / "perception"
TOP_LOOPS = {"processes/__main__.py", "analysis/frames.py"}
"""Where anything may be caught: the end of a process; a thread that hands it to who reads."""
FORBIDDEN_MODULES = {"pickle", "cPickle", "marshal", "dill", "cloudpickle", "shelve", "joblib"}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "breakpoint"),
    *("send_pyobj", "recv_pyobj", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"),
    *("yaml.full_load", "torch.load", "np.load", "numpy.load", "msgpack.unpackb"),
}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def faults(tree: ast.AST, *, top_loop: bool) -> Iterator[tuple[int, str]]:
    """Yield line and name of whatever must not stand in this package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.partition(".")[0] in FORBIDDEN_MODULES:
                    yield node.lineno, f"import {name.name}"
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in FORBIDDEN_MODULES:
                yield node.lineno, f"from {node.module} import"
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in FORBIDDEN_CALLS or name.rpartition(".")[2] in FORBIDDEN_CALLS & {
                "send_pyobj",
                "recv_pyobj",
            }:
                yield node.lineno, f"{name}()"
            for keyword in node.keywords:
                off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg == "shell" and not off:
                    yield node.lineno, "shell=True"
                if keyword.arg == "allow_pickle" and not off:
                    yield node.lineno, "allow_pickle"
        elif isinstance(node, ast.ExceptHandler) and not top_loop:
            caught = [] if node.type is None else [node.type]
            if caught and isinstance(caught[0], ast.Tuple):
                caught = caught[0].elts
            names = {dotted(one) for one in caught}
            reraises = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if not names or (names & {"Exception", "BaseException"} and not reraises):
                yield node.lineno, "except Exception"


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
@pytest.mark.fault("H01")
def test_nothing_dangerous_is_called(path: Path) -> None:
    top_loop = str(path.relative_to(PACKAGE)) in TOP_LOOPS
    found = list(faults(ast.parse(path.read_text()), top_loop=top_loop))
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from marshal import loads",
        "eval('1')",
        "yaml.load(x)",
        "socket.recv_pyobj()",
        "subprocess.run('x', shell=True)",
        "np.load(x)",
        "np.savez(x, allow_pickle=True)",
        "try:\n  x\nexcept:\n  pass",
        "try:\n  x\nexcept Exception:\n  pass",
        "try:\n  x\nexcept (ValueError, BaseException) as e:\n  print(e)",
    ],
)
def test_the_scan_itself_finds(text: str) -> None:
    assert list(faults(ast.parse(text), top_loop=False))


def test_import_contracts() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    if not lint.exists():
        pytest.skip("import-linter is not installed")
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_is_called_util_and_none_is_too_long() -> None:
    for path in sources():
        assert path.stem not in ("util", "utils", "helpers", "common"), path
    for room, modules in house.rooms().items():
        for name, lines in modules.items():
            assert lines <= house.MAX_LINES, f"{room}/{name} has {lines} lines: split it"


def test_the_root_is_small_and_the_floors_are_few() -> None:
    assert len(house.rooms()["perception"]) <= house.MAX_ROOT
    assert len(house.floors()) <= house.MAX_FLOORS
    named = {name for floor in house.floors() for name in floor}
    loose = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert loose | rooms == named, "every room and module stands on a floor"


def test_the_page_shows_the_floors_as_they_are() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert house.drawing() in page, "python -m tests.house prints it"


@pytest.mark.fault("H24")
def test_network_listeners_are_loopback_only() -> None:
    """But the page, with TLS: everything else of it is tried by test_web_access.py."""
    for path in sources():
        text = path.read_text()
        for word in ("0.0.0.0", "tcp://*", "INADDR_ANY"):
            found = path.relative_to(PACKAGE).as_posix()
            assert word not in text or found == "launchfile/page.py", f"{word} in {found}"
    assert Web().plan().scheme == "https"
    for plain in (Web(http=True), Web(proxy=True)):
        assert plain.plan().host == "127.0.0.1"
        with pytest.raises(ValueError, match="loopback only"):
            Web.model_validate({**plain.model_dump(), "host": "192.168.1.7"})
