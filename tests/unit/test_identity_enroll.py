"""`perception enroll` and `gallery`, as a user types them: each refusal is one clear sentence."""

import struct
import sys
import zlib

import cv2
import msgspec
import numpy as np
import pytest

from perception import wire as m
from perception.alerts.store import AlertStore
from perception.commands import app as cli

FACES = "images/faces/face_recognition/examples_"


@pytest.fixture
def says(monkeypatch, capsys, tmp_path):
    """Run a command; return exit code and what it said, lines joined."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "conf"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["perception", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def written(tmp_path):
    """Return whether anything was written."""
    return lambda: any(path.exists() for path in (tmp_path / "data", tmp_path / "conf"))


def bomb(path, width=20_000, height=20_000):
    """Write a PNG of a few hundred bytes whose header claims 20000x20000 px."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(60_001) * 4)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.fault("H09")
def test_photos_that_are_none_are_refused_before_they_are_decoded(says, written, tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("hello " * 100)
    cut = tmp_path / "cut.jpg"
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    cut.write_bytes(cv2.imencode(".jpg", image)[1].tobytes()[:600])
    for photo, why in (
        (bomb(tmp_path / "bomb.png"), "larger than 33 megapixels: make it smaller"),
        (text, "is no photo that can be read: give a JPEG, PNG or WebP"),
        (cut, "is no photo that can be read|no face found"),
        (tmp_path / "none.jpg", "no such file"),
        (tmp_path, "is no file"),
    ):
        code, said = says("enroll", "Anna", photo)
        assert code == 2
        assert any(part in said for part in why.split("|")), said
        assert len(said.strip().splitlines()) == 1
    assert not written()


@pytest.mark.parametrize("name", ["../../x", "<script>", "a*", "x" * 300, "[red]x", "unknown"])
def test_names_that_are_none_are_refused_before_a_photo_is_read(says, written, name):
    code, said = says("enroll", name, "none.jpg")
    assert code == 2
    assert "none.jpg" not in said
    assert len(said.strip().splitlines()) == 1
    assert not written()


def test_enroll_asks_for_photos(says):
    code, said = says("enroll", "Anna")
    assert (code, said) == (2, "perception: give photos of the person, or --alert KEY\n")


def test_pictures_without_one_good_face(says, written, tmp_path, footage):
    empty = tmp_path / "empty.png"
    cv2.imwrite(str(empty), np.full((400, 400, 3), 128, np.uint8))
    assert "empty.png: no face found" in says("enroll", "Anna", empty)[1]
    good = footage / f"{FACES}obama.jpg"
    two = footage / f"{FACES}two_people.jpg"
    code, said = says("enroll", "Anna", good, two)
    assert code == 2
    assert "two_people.jpg: shows 2 faces: cut it so that only the person is left" in said
    image = cv2.imread(str(good))
    for scale, blur, why in ((0.1, 0, "too small: at least 30 px"), (1, 14, "blurred")):
        poor = tmp_path / "poor.png"
        edited = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(poor), cv2.GaussianBlur(edited, (0, 0), blur) if blur else edited)
        assert why in says("enroll", "Anna", poor)[1]
    other = footage / f"{FACES}biden.jpg"
    assert "shows another face than the other pictures" in says("enroll", "Anna", good, other)[1]
    assert not written()


def test_a_life_in_the_gallery(says, tmp_path, footage):
    first, second = footage / f"{FACES}obama.jpg", footage / f"{FACES}obama2.jpg"
    assert says("gallery", "list") == (
        0,
        f"nobody is enrolled in {tmp_path}/data/perception/gallery\n",
    )
    code, said = says("enroll", "Anna", first)
    assert code == 0
    assert "3 to 5 pictures" in said.splitlines()[1]
    assert "Anna: 2 pictures" in says("enroll", "anna", second)[1]
    third = tmp_path / "third.png"
    cv2.imwrite(str(third), cv2.flip(cv2.imread(str(first)), 1))
    code, said = says("enroll", "Anna", third)
    assert (len(said.splitlines()), "Anna: 3 pictures" in said) == (1, True), "no more hint"
    assert says("gallery", "erase", "Anna")[0] == 0
    assert says("enroll", "Anna", first, second)[0] == 0
    assert "another face" in says("enroll", "Anna", footage / f"{FACES}biden.jpg")[1]
    assert "looks like Anna, who is enrolled too" in says("enroll", "Twin", second)[1]
    assert "Anna" in says("gallery", "list")[1]
    sheet = tmp_path / "anna.png"
    code, said = says("gallery", "show", "Anna", "--picture", sheet)
    assert code == 0
    assert cv2.imread(str(sheet)).shape == (112, 224, 3)
    assert sheet.stat().st_mode & 0o077 == 0
    assert (
        "cannot be written: File exists" in says("gallery", "show", "Anna", "--picture", sheet)[1]
    )
    code, said = says("gallery", "erase", "ANNA")
    assert code == 0
    assert "erased Anna: 2 pictures with their embeddings; looked again: 0 left" in said
    code, said = says("gallery", "erase", "Anna")
    assert (code, said) == (
        2, "perception: nobody named 'Anna' is enrolled; there is: Twin\n",
    )  # fmt: skip


def test_gallery_and_key_of_a_launch_file(says, tmp_path, footage, monkeypatch):
    launch = tmp_path / "door.yaml"
    launch.write_text(
        "cameras: {door: {source: 0}}\n"
        f"identity: {{gallery: {tmp_path}/people, key: '${{DOOR_KEY}}'}}\n"
    )
    key = says("gallery", "new-key")[1].strip()
    monkeypatch.setenv("DOOR_KEY", key)
    assert says("enroll", "Anna", footage / f"{FACES}obama.jpg", "--launch", launch)[0] == 0
    assert "Anna" in says("gallery", "list", "--launch", launch)[1]
    monkeypatch.setenv("DOOR_KEY", says("gallery", "new-key")[1].strip())
    code, said = says("gallery", "list", "--launch", launch)
    assert code == 2
    assert "wrong key: the gallery" in said
    assert key not in said
    monkeypatch.delenv("DOOR_KEY")
    assert "the environment has no DOOR_KEY" in says("gallery", "list", "--launch", launch)[1]


def test_enroll_from_a_stored_alert(says, tmp_path, footage, monkeypatch):
    snapshot = tmp_path / "alert.jpg"
    photo = cv2.imread(str(footage / f"{FACES}two_people.jpg"))
    cv2.imwrite(str(snapshot), photo)
    store, launch = tmp_path / "recordings" / "door" / "alerts.sqlite", tmp_path / "door.yaml"
    launch.write_text(f"cameras: {{door: {{source: 0}}}}\nalerts: {{store: {store}}}\n")
    assert "no alerts yet" in says("enroll", "A", "--alert", "abcd", "--launch", launch)[1]
    monkeypatch.chdir(tmp_path)
    assert "no run here has alerts" in says("enroll", "A", "--alert", "abcd")[1]
    half = (0.0, 0.0, photo.shape[1] / 2, float(photo.shape[0]))
    alert = m.Alert(
        key="abcdef0123456789", camera="door", rule="r", kind="visit", state="raised",
        track_id=1, class_name="person", score=0.9, box=half, frame_id=1, start_t_media_ns=0,
        t_media_ns=0, start_t_wall_ns=0, t_wall_ns=0, snapshot=str(snapshot),
    )  # fmt: skip
    bare = msgspec.structs.replace(alert, key="ffff" + alert.key[4:], snapshot=None)
    with AlertStore(store) as alerts:
        alerts.commit("door", 1, [alert, bare], dict)
    for where in (("--launch", launch), ("--store", store), ()):
        code, said = says("enroll", "Anna", "--alert", "abcd", *where)
        assert code == 0, said
        assert "Anna: 1 picture" in said
        says("gallery", "erase", "Anna")
    assert "has no picture" in says("enroll", "Bob", "--alert", "ffff", "--launch", launch)[1]
    assert "no alert in" in says("enroll", "Bob", "--alert", "1234", "--launch", launch)[1]
