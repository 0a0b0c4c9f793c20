"""`perception calibrate`: finds horizon and pitch of a camera, and draws rings to check them.

Command line only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.text import Text

from perception import draw
from perception.commands.console import console
from perception.commands.start import load_plan
from perception.errors import EXIT_DONE, ConfigError, SourceEnded, SourceError, unknown
from perception.geometry.calibration import Calibration, rings
from perception.geometry.horizon import Vanishing, flow_lines, road_lines, vanishing_point
from perception.launchfile import build as stages
from perception.sources import Image, allocate_new
from perception.wire.plan import CameraPlan

FRAMES, STEP = 240, 3
"""Most frames that are used, and every which frame: the motion between neighbours is too small."""
RINGS_M = (5.0, 10.0, 20.0, 50.0)
MAX_EMPTY = 40


@dataclass(frozen=True, slots=True)
class Asked:
    """Options of the command line. point: `X,Y=M,M`, none or four."""

    height: float | None
    fov: float | None
    point: list[str]
    picture: Path


def run(launch: Path, camera: str | None, asked: Asked) -> int:
    """Calibrate, print the result, write the picture. Return the exit code.

    Raises ConfigError for a wrong camera or option, SourceError where no frame comes.
    """
    plan = load_plan(launch, None)
    name = next(iter(plan.cameras)) if camera is None else camera
    if name not in plan.cameras:
        raise ConfigError(unknown(name, plan.cameras, "cameras"), key="--camera")
    one, screen = plan.cameras[name], console()
    with screen.status(f"looking at {name}"):
        image, lanes, flows = _look(one)
    options = _options(one, asked)
    found = None
    if "points" not in options and asked_for_horizon(options):
        found, how = _horizon(lanes, flows, image.shape[0])
        text = f"{name}: no horizon found in lane lines or motion; pitch 0 is taken"
        if found is not None:
            options["horizon"] = round(found.y / image.shape[0], 4)
            text = f"{name}: horizon at row {found.y:.0f} of {image.shape[0]}, "
            text += f"where {found.lines} of {found.of} {how} meet"
        screen.print(Text(text, style="bold" if found else "yellow"), soft_wrap=True)
    calibration = _validated(options)
    height, width = image.shape[:2]
    if calibration.points is None:
        lens = calibration.lens(width, height)
        screen.print(f"pitch {np.degrees(lens.pitch):.2f} degrees down, focal {lens.focal:.0f} px")
    draw.curves(image, rings(calibration, width, height, RINGS_M))
    if calibration.points is None:
        row = lens_horizon(calibration, width, height)
        level = np.array([(0.0, row * height), (width / 4, row * height), (width, row * height)])
        draw.curves(image, {"horizon": level})
    for number, corner in enumerate(calibration.points or (), 1):
        at = (round(corner.at[0] * width), round(corner.at[1] * height))
        cv2.circle(image, at, max(4, width // 200), draw.ALERT, 2, cv2.LINE_AA)
        cv2.putText(image, str(number), at, cv2.FONT_HERSHEY_SIMPLEX, 0.8, draw.ALERT, 2)
    asked.picture.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(asked.picture), image)
    said = yaml.safe_dump(
        {"calibration": calibration.model_dump(mode="json", exclude_unset=True)},
        default_flow_style=None,
        sort_keys=False,
    )
    screen.print(f"\n{said}", end="")
    screen.print(f"\nlook at {asked.picture}: the rings should lie where you would measure them")
    return EXIT_DONE


def asked_for_horizon(options: dict[str, object]) -> bool:
    """Return whether the options do not set the pitch of the camera."""
    return "pitch_deg" not in options and "horizon" not in options


def lens_horizon(calibration: Calibration, width: int, height: int) -> float:
    """Return the row of the horizon as a fraction of the picture."""
    lens = calibration.lens(width, height)
    return float((lens.v0 - lens.focal * np.tan(lens.pitch)) / height)


def _look(
    camera: CameraPlan,
) -> tuple[Image, list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Return, from a source's first frames: the last picture, road edges, and paths of points."""
    lanes: list[NDArray[np.float64]] = []
    flows: list[NDArray[np.float64]] = []
    last: NDArray[np.uint8] | None = None
    picture: Image | None = None
    for image in _frames(camera):
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
        lanes.append(road_lines(grey))
        if last is not None and last.shape == grey.shape:
            flows.append(flow_lines(last, grey))
        last, picture = grey, image
    if picture is None:
        raise SourceError(f"{camera.name}: no frame came")
    return picture, lanes, flows


def _frames(camera: CameraPlan) -> Iterator[Image]:
    """Yield every STEP-th frame of a source's first frames."""
    if camera.source.type == "push":
        raise ConfigError(f"{camera.name} has source push: give a recording of it as the source")
    source = stages.make_source(camera, None)
    source.open()
    empty = n = 0
    try:
        while n < FRAMES and empty < MAX_EMPTY:
            frame = source.read(allocate_new)
            if frame is None:
                empty += 1
            else:
                if n % STEP == 0:
                    yield frame.image
                n += 1
    except SourceEnded:
        return
    finally:
        source.close()


def _options(camera: CameraPlan, asked: Asked) -> dict[str, object]:
    """Return the options of the launch file, replaced by those of the command line."""
    if asked.point:
        return {"points": [_point(text) for text in asked.point]}
    options = dict(camera.calibration or {})
    if asked.height is not None:
        options["height_m"] = asked.height
    if asked.fov is not None:
        options = {k: v for k, v in options.items() if k not in ("focal_px", "width_px")}
        options["fov_deg"] = asked.fov
    return options


def _point(text: str) -> dict[str, list[float]]:
    """Return a GroundPoint of `X,Y=M,M`."""
    try:
        at, metres = ([float(v) for v in part.split(",")] for part in text.split("="))
    except ValueError:
        at = metres = []
    if len(at) != 2 or len(metres) != 2:
        raise ConfigError(f"{text!r}: expected X,Y=M,M such as 0.31,0.82=-1.8,5", key="--point")
    return {"at": at, "m": metres}


def _validated(options: dict[str, object]) -> Calibration:
    try:
        return Calibration.model_validate(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        text = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{place}: {text}" if place else text, key="calibration") from None


def _horizon(
    lanes: list[NDArray[np.float64]], flows: list[NDArray[np.float64]], height: int
) -> tuple[Vanishing | None, str]:
    """Return the vanishing point of lane lines, else that of the motion, and which it is."""
    for lines, how in ((lanes, "lane lines"), (flows, "moving points")):
        if lines and (found := vanishing_point(np.vstack(lines), height)) is not None:
            return found, how
    return None, ""
