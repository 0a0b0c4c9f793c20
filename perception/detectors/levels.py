"""Score levels: which scores of a detector a tracker uses for what.

Scores of two detectors are not comparable: at 0.5 YOLO11 is mostly right, YOLOX is not. HOTA on
PETS09-S2L1, people (benchmarks/README.md): yolo11n has 56.4 with the levels YOLO and 55.8 with
YOLOX; yolox-nano has 46.2 and 52.7. Imports nothing of the package.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class ScoreLevels(BaseModel):
    """Lowest scores, 0 to 1, low <= high <= new <= sure, for a use of a detection by the tracker.

    low: continues a track that no better detection continues. high: continues any track. new:
    starts a track. sure: confirms a new track at once.
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
"""YOLOX, whose score is objectness times class score."""
MOTION = ScoreLevels(high=0.4, new=0.55, sure=1.0)
"""The motion detector: its lowest score is 0.5. No track is confirmed at its first box."""
LEVELS = {"yolox-nano": YOLOX, "motion": MOTION}
"""By the name of the model, or by the type of a detector without a model. All others: YOLO."""


def tracker_options(model: str, given: ScoreLevels | None) -> dict[str, float]:
    """Return the score options of the tracker for a detector: the given levels, else its model's.

    model: name of the model, or type of a detector without a model.
    """
    levels = given or LEVELS.get(model, YOLO)
    return {
        "low_score": levels.low,
        "high_score": levels.high,
        "new_score": levels.new,
        "sure_score": levels.sure,
    }
