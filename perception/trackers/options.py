"""Options of the two-stage tracker. Imports pydantic only."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0.0, le=3600.0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class TwoStageOptions(BaseModel):
    """Options of the tracker. Defaults were chosen leave-one-sequence-out (benchmarks/README.md).

    Score thresholds follow from the detector where the launch file does not set them here
    (detectors/levels.py). Times are media time; noise is in sides of the box.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _scores_rise(self) -> Self:
        if self.low_score > self.high_score:
            raise ValueError(f"low_score {self.low_score} is above high_score {self.high_score}")
        return self

    high_score: Share = Field(default=0.6, description="detections scored so may match any track")
    low_score: Share = Field(
        default=0.1, description="below high_score, down to here, tracks are kept up"
    )
    new_score: Share = Field(default=0.7, description="least score that starts a track")
    sure_score: Share = Field(
        default=0.9,
        description="with confirm_s 0: score above which a new box is confirmed at once, where no "
        "track is missing and none in sight overlaps it by .3; 1: never",
    )
    gate: Share = Field(
        default=0.15, description="IoU x height IoU x score above which boxes may match"
    )
    gate_low: Share = Field(default=0.55, description="IoU above which low scores may match")
    gate_return: Share = Field(
        default=0.2, description="as gate, with the box where a track was last seen"
    )
    gate_new: Share = Field(default=0.2, description="as gate, for the second sighting of a track")
    gate_rise: NotNegative = Field(
        default=0.5,
        description="share by which gates rise for each second out of sight, at most 1 s, on boxes "
        "that other tracks overlap too",
    )
    trust_s: Positive = Field(
        default=2.0, description="age of a track whose claim to a box counts in full, newer: less"
    )
    confirm_s: Seconds = Field(
        default=0.0, description="least age at a sighting that confirms a track"
    )
    coast_s: Seconds = Field(
        default=0.075, description="unseen so long, a track is still confirmed"
    )
    hidden_s: Seconds = Field(
        default=0.2, description="as coast_s, while another track's box covers it"
    )
    lost_s: Seconds = Field(default=2.0, description="unseen longer, a track is removed")
    mix_classes: bool | list[list[int]] = Field(
        default=False,
        description="class ids of one list may be one object (car and truck); true: all",
    )
    noise: Positive = Field(
        default=0.05, description="deviation of a box; adapts to the camera from here"
    )
    walk: Positive = Field(default=0.22, description="random walk of the position, sides/sqrt(s)")
    acceleration: Positive = Field(default=0.35, description="white acceleration, sides/s^1.5")
    speed: Positive = Field(default=2.0, description="deviation of the first velocity, sides/s")
