"""The gallery is sealed, whole at every moment, and forgets whom it is told to forget."""

import os
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import ConfigError
from perception.identity.gallery import Gallery, Portrait, Templates, checked_name, version
from perception.identity.keys import Cipher, new_key


def portrait(seed):
    vector = np.random.default_rng(seed).normal(size=128).astype(np.float32)
    vector /= np.linalg.norm(vector)
    return Portrait(vector=vector.tobytes(), picture=b"PNG" * 50, eyes_px=40.0, t_wall_ns=seed)


@pytest.fixture
def key(tmp_path):
    return tmp_path / "conf" / "gallery.key"


@pytest.fixture
def gallery(tmp_path, key):
    return Gallery(tmp_path / "gallery", key)


def everything(folder):
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_nothing_is_written_before_somebody_is_enrolled(gallery, tmp_path):
    assert gallery.people() == []
    assert list(tmp_path.iterdir()) == []
    assert version(gallery.folder) == 0


def test_people_come_back_and_files_tell_nothing(gallery, key):
    gallery.enroll("Zoë O'Neil", "sface", [portrait(1), portrait(2)])
    gallery.enroll("annabella", "sface", [portrait(3)])
    again = Gallery(gallery.folder, key).people()
    assert [(p.name, len(p.portraits)) for p in again] == [("annabella", 1), ("Zoë O'Neil", 2)]
    assert np.array_equal(again[1].portraits[0].embedding.tobytes(), portrait(1).vector)
    for name, data in everything(gallery.folder).items():
        assert not any(
            secret in data for secret in (b"annabella", b"O'Neil", b"PNG" * 4, portrait(1).vector)
        )
        assert "anna" not in name.lower()
        assert stat.S_IMODE((gallery.folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(gallery.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_the_same_picture_counts_once_and_case_does_not_matter(gallery):
    gallery.enroll("Anna", "sface", [portrait(1)])
    person = gallery.enroll("ANNA", "sface", [portrait(1), portrait(2)])
    assert (person.name, len(person.portraits)) == ("Anna", 2)
    assert len(gallery.people()) == 1
    assert gallery.find("aNNa").name == "Anna"


def test_templates_are_of_one_model(gallery):
    gallery.enroll("Anna", "sface", [portrait(1), portrait(2)])
    gallery.enroll("Bob", "other.onnx", [portrait(3)])
    templates = Templates.of(gallery.people(), "sface")
    assert templates.names == ("Anna",)
    assert np.allclose(np.linalg.norm(templates.vectors, axis=1), 1)
    assert Templates.of([], "sface").names == ()
    with pytest.raises(ConfigError, match=r"with sface, not other.onnx: erase and enroll again"):
        gallery.enroll("Anna", "other.onnx", [portrait(4)])


def test_erase_leaves_nothing_of_the_person(gallery):
    gallery.enroll("Anna", "sface", [portrait(1), portrait(2)])
    gallery.enroll("Bob", "sface", [portrait(3)])
    before = everything(gallery.folder)
    gone = gallery.erase("anna")
    assert (gone.files, gone.pictures, gone.left) == (1, 2, 0)
    assert [p.name for p in gallery.people()] == ["Bob"]
    after = everything(gallery.folder)
    assert len(before) - len(after) == 1
    with pytest.raises(ConfigError, match=r"nobody named 'Anna' is enrolled; there is: Bob"):
        gallery.find("Anna")


def test_a_change_is_seen(gallery):
    gallery.enroll("Anna", "sface", [portrait(1)])
    first = version(gallery.folder)
    gallery.enroll("Anna", "sface", [portrait(2)])
    assert version(gallery.folder) != first


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../../etc/passwd", "cannot be a name"),
        ("<script>alert(1)</script>", "cannot be a name"),
        ("a*", "cannot be a name"),
        ("home/+/#", "cannot be a name"),
        ("[bold]x", "cannot be a name"),
        ("a\x00b", "cannot be a name"),
        ("\u202eanna", "cannot be a name"),
        ("", "cannot be a name"),
        ("  ", "cannot be a name"),
        ("..", "cannot be a name"),
        ("x" * 300, "a name of 300 characters: at most 64"),
        ("Unknown", "is reserved"),
        ("undecided", "is reserved"),
    ],
)
def test_names_that_are_none(gallery, name, says):
    with pytest.raises(ConfigError, match=says):
        gallery.enroll(name, "sface", [portrait(1)])
    assert not gallery.folder.exists()


@pytest.mark.parametrize("name", ["Anna", "Zoë O'Neil", "J. R.-Smith 2", "李小龍", "अनिल", "_a"])
def test_names_of_people(name):
    if name[0] == "_":
        with pytest.raises(ConfigError):
            checked_name(name)
    else:
        assert checked_name(f"  {name} ") == name


@settings(max_examples=300)
@given(st.text(max_size=80))
def test_whatever_is_taken_for_a_name_is_harmless(text):
    try:
        name = checked_name(text)
    except ConfigError:
        return
    assert 1 <= len(name) <= 64
    assert name.isprintable()
    assert not set(name) & set('/\\<>&"*?[]+#$|;:`\n\0')
    assert checked_name(name) == name


def test_wrong_missing_and_open_keys_are_named_and_never_shown(gallery, key, tmp_path):
    gallery.enroll("Anna", "sface", [portrait(1)])
    other = new_key()
    with pytest.raises(ConfigError, match="wrong key: the gallery") as wrong:
        Gallery(gallery.folder, other)
    assert other not in str(wrong.value)
    with pytest.raises(ConfigError, match="neither a key nor a file") as none:
        Gallery(gallery.folder, "hunter2")
    assert "hunter2" not in str(none.value)
    key.chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others: chmod 600"):
        Gallery(gallery.folder, key)
    key.chmod(0o600)
    key.write_text("short")
    with pytest.raises(ConfigError, match="is not a key of 44 characters"):
        Gallery(gallery.folder, key)
    key.unlink()
    with pytest.raises(ConfigError, match="does not exist: restore it"):
        Gallery(gallery.folder, key)
    with pytest.raises(ConfigError, match="does not exist"):
        gallery.enroll("Bob", "sface", [portrait(2)])
    assert not key.exists()
    assert tmp_path.exists()


def test_a_key_given_as_text_needs_no_file(tmp_path):
    key = new_key()
    Gallery(tmp_path / "g", key).enroll("Anna", "sface", [portrait(1)])
    assert [p.name for p in Gallery(tmp_path / "g", key).people()] == ["Anna"]
    assert list(tmp_path.iterdir()) == [tmp_path / "g"]


@pytest.mark.parametrize("data", [b"", b"x", os.urandom(500), b"gAAAA" + b"A" * 200])
def test_a_damaged_file_is_told_and_harms_nobody_else(gallery, key, data):
    gallery.enroll("Anna", "sface", [portrait(1)])
    (gallery.folder / "0badbadbadbadbad.person").write_bytes(data)
    again = Gallery(gallery.folder, key)
    assert [p.name for p in again.people()] == ["Anna"]
    assert again.damaged == ["0badbadbadbadbad.person"]
    again.enroll("Bob", "sface", [portrait(2)])
    assert again.erase("Anna").left == 0


def test_sealed_by_another_or_no_person_inside_is_damage(gallery, key):
    gallery.enroll("Anna", "sface", [portrait(1)])
    path = next(gallery.folder.glob("*.person"))
    path.write_bytes(Cipher(key).seal(b"\x01no person"))
    assert gallery.people() == []
    assert gallery.damaged == [path.name]


def test_a_folder_of_something_else_is_refused(tmp_path, key):
    folder = tmp_path / "g"
    folder.mkdir()
    (folder / "x.person").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"no gallery of perception"):
        Gallery(folder, key)
    with pytest.raises(ConfigError, match=r"^gallery .*: (Not a directory|File exists)"):
        Gallery(folder / "x.person", key).enroll("Anna", "sface", [portrait(1)])


def test_a_full_or_read_only_disk_leaves_what_was(gallery, monkeypatch):
    gallery.enroll("Anna", "sface", [portrait(1)])
    before = everything(gallery.folder)

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        gallery.enroll("Bob", "sface", [portrait(2)])
    monkeypatch.undo()
    assert everything(gallery.folder) == before


def test_too_many_pictures(gallery):
    with pytest.raises(ConfigError, match="at most 50"):
        gallery.enroll("Anna", "sface", [portrait(n) for n in range(51)])
    assert gallery.people() == []
