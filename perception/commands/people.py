"""`perception enroll` and `perception gallery`: add, show and erase people. Command line only.

All photos are read, checked and compared before anything is written.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
from rich.text import Text

from perception import clock, identity
from perception.alerts.store import AlertStore
from perception.commands.console import console, sheet
from perception.commands.start import FACE_FINDER, FACE_MODEL, alert_store, fetch
from perception.errors import ConfigError
from perception.identity import Embedder, Image
from perception.identity.faces import Face, FaceFinder, align
from perception.identity.gallery import (
    Gallery,
    Person,
    Portrait,
    Templates,
    checked_name,
)
from perception.identity.quality import ENROLL_EYES_PX, MIN_EYES_PX, judge
from perception.launchfile import config
from perception.sources.images import decode_image, read_file

MAX_PHOTOS = 50
FEW = 3
LONG_SIDE = 1280
_HELP = {
    "cut": "the face is cut off at the edge",
    "small": "the face is too small: at least {eyes:.0f} px between the eyes, there are {is_:.0f}",
    "turned": "the face is turned away: take one that looks into the camera",
    "dark": "the face is too dark",
    "bright": "the face is too bright",
    "flat": "the face has too little contrast",
    "blurred": "the face is blurred",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """Gallery, key and embedder: of a launch file's `identity:`, or the defaults."""

    gallery: Path | None
    key: str | None
    embedder: dict[str, Any]

    @classmethod
    def of(cls, launch: Path | None) -> "Setting":
        """Return the setting of a launch file. None, or a file without `identity:`: the defaults.

        Raises ConfigError for a launch file that is not valid.
        """
        if launch is None:
            return cls(None, None, {})
        asked = config.load(launch)[0].identity or config.Identity()
        return cls(asked.gallery, asked.key, asked.embedder)

    def open(self) -> Gallery:
        """Return the gallery. Raises ConfigError for a wrong key."""
        return Gallery(self.gallery, self.key)


def enroll(
    name: str,
    photos: Sequence[Path],
    alert: str | None,
    launch: Path | None,
    store: Path | None = None,
) -> None:
    """Add the faces in photos, or in the picture of a stored alert, to a person; all or none.

    alert: its key. launch, store: where it is stored, see start.alert_store. Raises ConfigError
    with the photo, what is wrong with it, and what to do.
    """
    name, setting = checked_name(name), Setting.of(launch)
    if not photos and alert is None:
        raise ConfigError("give photos of the person, or --alert KEY")
    if len(photos) > MAX_PHOTOS:
        raise ConfigError(f"{len(photos)} photos: at most {MAX_PHOTOS}, five good ones are enough")
    gallery = setting.open()
    people = gallery.people()
    images = [(photo.name, _photo(photo), ENROLL_EYES_PX) for photo in photos]
    if alert is not None:
        picture = _of_alert(alert, alert_store(launch, store))
        images.append((f"alert {alert}", picture, MIN_EYES_PX))
    fetch([FACE_FINDER] if setting.embedder else [FACE_FINDER, FACE_MODEL])
    finder, embedder = FaceFinder(), _embedder(setting)
    portraits = [
        _portrait(what, image, eyes_px, finder, embedder) for what, image, eyes_px in images
    ]
    _same_person(name, [what for what, _, _ in images], portraits, people, embedder)
    person = gallery.enroll(name, embedder.model, portraits)
    alike = _alike(person, people, embedder)
    screen = console()
    screen.print(Text(f"{person.name}: {_count(person.portraits)} in {gallery.folder}"))
    if len(person.portraits) < FEW:
        screen.print("3 to 5 pictures, of other days and in other light, are better: enroll more")
    if alike:
        screen.print(
            Text(
                f"looks like {' and '.join(alike)}, who is enrolled too: where both fit nobody is "
                "named. The same person? Erase one of the two.",
                style="yellow",
            )
        )


def show_all(launch: Path | None) -> None:
    """Print the names of all enrolled people."""
    gallery = Setting.of(launch).open()
    people = gallery.people()
    table = sheet("name", "pictures", "model", "since (UTC)")
    for person in people:
        since = min(portrait.t_wall_ns for portrait in person.portraits)
        table.add_row(Text(person.name), str(len(person.portraits)), person.model, _day(since))
    console().print(table if people else Text(f"nobody is enrolled in {gallery.folder}"))
    for name in gallery.damaged:
        console().print(Text(f"{gallery.folder / name}: damaged, cannot be opened: remove it"))


def show(name: str, launch: Path | None, picture: Path | None) -> None:
    """Print the enrolled faces of a person. With a path, write the aligned faces to a PNG."""
    gallery = Setting.of(launch).open()
    person = gallery.find(name)
    table = sheet("picture", "eyes apart (px)", "fit to the others", "since (UTC)")
    for n, portrait in enumerate(person.portraits, 1):
        fit = float(portrait.embedding @ person.template)
        table.add_row(str(n), f"{portrait.eyes_px:.0f}", f"{fit:.2f}", _day(portrait.t_wall_ns))
    console().print(Text(f"{person.name}, model {person.model}"), table)
    if picture is not None:
        faces = [decode_image(portrait.picture, cv2.IMREAD_COLOR) for portrait in person.portraits]
        row = np.hstack([face for face in faces if not isinstance(face, str)])
        _write_private(picture, cv2.imencode(".png", row)[1].tobytes())
        console().print(Text(f"picture: {picture} (not encrypted: remove it after use)"))


def erase(name: str, launch: Path | None) -> None:
    """Erase a person and check that nothing is left. Raises ConfigError where something is."""
    gallery = Setting.of(launch).open()
    person = gallery.find(name)
    gone = gallery.erase(name)
    if gone.left:
        raise ConfigError(f"{gone.left} files of {person.name} are left in {gallery.folder}")
    console().print(
        Text(
            f"erased {person.name}: {_count(person.portraits)} with their embeddings; looked "
            f"again: {gone.left} left. Recordings, alerts and snapshots keep what they "
            "said: `perception recordings erase --person NAME` erases these too."
        )
    )


def _write_private(path: Path, data: bytes) -> None:
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path}: the picture is a PNG: give a name that ends in .png")
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None


def _count(portraits: Sequence[Portrait]) -> str:
    return f"{len(portraits)} picture{'' if len(portraits) == 1 else 's'}"


def _day(t_wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(t_wall_ns // clock.NS_PER_S, UTC):%Y-%m-%d %H:%M}"


def _embedder(setting: Setting) -> Embedder:
    options = dict(setting.embedder)
    cls = identity.embedder_class(str(options.pop("type", "sface")))
    return cls(cls.Options.model_validate(options))


def _photo(path: Path) -> Image:
    """Return a photo, uint8 (H, W, 3) BGR, with its EXIF orientation applied. Huge ones are
    refused.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: {'is no file' if path.exists() else 'no such file'}")
    data = read_file(path)
    found = decode_image(data, cv2.IMREAD_COLOR)
    if isinstance(found, str) and found == "too_large":
        raise ConfigError(f"{path}: larger than 33 megapixels: make it smaller")
    if isinstance(found, str) or found.dtype != np.uint8:
        raise ConfigError(f"{path}: is no photo that can be read: give a JPEG, PNG or WebP")
    return np.asarray(found, np.uint8)


def _of_alert(key: str, store: Path) -> Image:
    """Return the part of a stored alert's snapshot that shows its person."""
    with AlertStore(store) as opened:
        alert = opened.show(key).alert
    if alert.snapshot is None:
        raise ConfigError(f"alert {key} has no picture: add `snapshot` to alerts.sinks")
    image = _photo(Path(alert.snapshot))
    height, width = image.shape[:2]
    x1, y1, x2, y2 = np.clip(alert.box, 0, [width, height, width, height]).astype(int).tolist()
    if x2 - x1 < 16 or y2 - y1 < 16:
        raise ConfigError(f"alert {key}: its person is too small in the picture")
    return np.ascontiguousarray(image[y1:y2, x1:x2])


def _portrait(
    what: str, image: Image, min_eyes_px: float, finder: FaceFinder, embedder: Embedder
) -> Portrait:
    """Return the face in a photo. Raises ConfigError for no face, several, or one of poor
    quality.
    """
    faces = finder.find(image, LONG_SIDE)
    if len(faces) != 1:
        _refuse_faces(what, faces)
    aligned = align(image, faces[0])
    quality = judge(image, faces[0], aligned, min_eyes_px=min_eyes_px)
    if quality.flaw is not None:
        why = _HELP[quality.flaw].format(eyes=min_eyes_px, is_=quality.eyes_px)
        raise ConfigError(f"{what}: {why}; nothing was enrolled")
    return Portrait(
        vector=embedder.embed(aligned).astype(np.float32).tobytes(),
        picture=cv2.imencode(".png", aligned)[1].tobytes(),
        eyes_px=round(quality.eyes_px, 1),
        t_wall_ns=clock.wall_ns(),
    )


def _refuse_faces(what: str, faces: Sequence[Face]) -> NoReturn:
    if faces:
        raise ConfigError(
            f"{what}: shows {len(faces)} faces: cut it so that only the person is left; nothing "
            "was enrolled"
        )
    raise ConfigError(f"{what}: no face found: take one that shows it large and from the front")


def _same_person(
    name: str,
    what: Sequence[str],
    portraits: Sequence[Portrait],
    people: Sequence[Person],
    embedder: Embedder,
) -> None:
    """Raise ConfigError for a photo whose face differs from the person's other pictures."""
    old = [p for p in people if p.name.casefold() == name.casefold() and p.model == embedder.model]
    kept = [portrait for person in old for portrait in person.portraits]
    for n, (title, portrait) in enumerate(zip(what, portraits, strict=True)):
        others = [*kept, *portraits[:n], *portraits[n + 1 :]]
        if not others:
            return
        best = max(float(portrait.embedding @ other.embedding) for other in others)
        if best < embedder.accept:
            raise ConfigError(
                f"{title}: shows another face than the other pictures of {name} (likeness "
                f"{best:.2f}, needs {embedder.accept}); nothing was enrolled"
            )


def _alike(person: Person, people: Sequence[Person], embedder: Embedder) -> list[str]:
    """Return the names of other people that match this person's faces."""
    others = Templates.of([p for p in people if p.name != person.name], embedder.model)
    if not others.names:
        return []
    fits = others.vectors @ person.template >= embedder.accept
    return [other for other, fit in zip(others.names, fits.tolist(), strict=True) if fit]
