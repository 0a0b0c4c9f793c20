"""The distribution is `perception-line`: every install text names it, and it has those extras."""

import re
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.line import ROOT

TEXT = re.compile(r"""pip install (?:-[eU] )?["']?(perception[\w-]*|\.)(\[[\w,]+\])?["']?""")


def texts() -> list[tuple[str, str, str]]:
    """Return file, name and extras of each `pip install` of the product that names the product."""
    files = [ROOT / "README.md"]
    for folder in ("perception", "launch"):
        files += [p for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".yaml")]
    return [
        (str(path.relative_to(ROOT)), *found)
        for path in sorted(files)
        for found in TEXT.findall(path.read_text())
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps"]
    subprocess.run(
        [*pip, "--no-build-isolation", "-w", str(folder), str(ROOT)], check=True, timeout=100
    )
    return next(folder.glob("*.whl"))


def test_every_install_text_is_found_in_the_wheel(wheel: Path) -> None:
    found = texts()
    assert len(found) >= 6
    assert wheel.name.startswith("perception_line-")
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith("/METADATA"))
        extras = HeaderParser().parsestr(archive.read(name).decode()).get_all("Provides-Extra", [])
    for file, name, wanted in found:
        assert name in ("perception-line", "."), f"{file}: pip install {name} is somebody else's"
        for extra in Requirement(f"perception-line{wanted}").extras:
            assert extra in extras, f"{file}: no extra {extra}"


def test_the_page_is_in_the_wheel(wheel: Path) -> None:
    static = ROOT / "perception" / "web" / "static"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {f"perception/web/static/{p.relative_to(static)}" for p in static.rglob("*.*")}
    assert len(wanted) > 20
    assert wanted <= names
    assert "perception/launch_files/demo.yaml" in names


@pytest.mark.parametrize("extras", sorted({wanted for _, name, wanted in texts() if name != "."}))
def test_pip_takes_each_from_the_wheel(wheel: Path, extras: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--dry-run"]
    command += ["--no-index", "--no-deps", "--ignore-installed", "--find-links", str(wheel.parent)]
    done = subprocess.run(
        [*command, f"perception-line{extras}"], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert "Would install perception-line-" in done.stdout
    assert "does not provide the extra" not in done.stderr


def test_the_other_package_is_named_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "perception" / "hashers").mkdir(parents=True)
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys; from perception.commands import app; sys.path.append(sys.argv.pop()); "
            "app.main()",
            *("--version", str(tmp_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "pip uninstall perception" in done.stderr
