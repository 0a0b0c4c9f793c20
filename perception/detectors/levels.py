"""What a detector's scores mean to a tracker: its calibration.

Scores of two detectors are not comparable: 0.5 of YOLO11 is a sure person, 0.5 of YOLOX is not.
Measured on PETS09-S2L1, people, HOTA (benchmarks/README.md): yolo11n 56.4 with YOLO and 55.8 with
YOLOX, yolox-nano 46.2 and 52.7. Imports nothing of the package.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class ScoreLevels(BaseModel):
    """Scores from which a tracker uses a detection, 0 to 1, each higher than the last.

    low: may continue a track that nothing better continues. high: may continue any track. new: may
    start a track. sure: may confirm a new track at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: Share = 0.1
    high: Share = 0.3
    new: Share = 0.5
    sure: Share = 0.9

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if not self.low <= self.high <= self.new <= self.sure:
            found = f"{self.low}, {self.high}, {self.new}, {self.sure}"
            raise ValueError(f"expected low <= high <= new <= sure, found {found}")
        return self


YOLO = ScoreLevels()
"""YOLOv8, YOLO11 and YOLO26 on COCO."""
YOLOX = ScoreLevels(high=0.6, new=0.7)
"""YOLOX, whose scores are products of two."""
MOTION = ScoreLevels(high=0.4, new=0.55, sure=1.0)
"""The motion detector: 0.5 is its threshold. One sighting confirms nothing."""
LEVELS = {"yolox-nano": YOLOX, "motion": MOTION}
"""By the name of the model, or of the type where it has no model; others: YOLO."""


def tracker_options(model: str, given: ScoreLevels | None) -> dict[str, float]:
    """Return the tracker's thresholds for a detector: those given, else those of its model.

    model: its name, or the detector's type where it has none.
    """
    levels = given or LEVELS.get(model, YOLO)
    return {
        "low_score": levels.low,
        "high_score": levels.high,
        "new_score": levels.new,
        "sure_score": levels.sure,
    }
