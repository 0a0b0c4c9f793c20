"""Options of the two-stage tracker. Imports pydantic only."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0.0, le=3600.0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class TwoStageOptions(BaseModel):
    """Options of the tracker. Defaults were chosen leave-one-sequence-out (benchmarks/README.md).

    Where the launch file does not set a score threshold, that of the detector is used
    (detectors/levels.py). Times are media time, s. Noise is relative to the side of the box.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _scores_rise(self) -> Self:
        if self.low_score > self.high_score:
            raise ValueError(f"low_score {self.low_score} is above high_score {self.high_score}")
        return self

    high_score: Share = Field(
        default=0.6, description="lowest score of a detection that may match any track"
    )
    low_score: Share = Field(
        default=0.1,
        description="from here to high_score: may continue a confirmed or lost track only",
    )
    new_score: Share = Field(default=0.7, description="lowest score that starts a track")
    sure_score: Share = Field(
        default=0.9,
        description="with confirm_s 0: a new track with a higher score is confirmed at once, where "
        "its box overlaps no unseen track and no visible one by an IoU above .3; 1: never",
    )
    gate: Share = Field(
        default=0.15, description="a track and a box match above this IoU x height IoU x score"
    )
    gate_low: Share = Field(
        default=0.55, description="a track and a box of low score match above this IoU"
    )
    gate_return: Share = Field(
        default=0.2,
        description="as gate, with the last seen box of a track instead of its prediction",
    )
    gate_new: Share = Field(default=0.2, description="as gate, for the second sighting of a track")
    gate_rise: NotNegative = Field(
        default=0.5,
        description="for an unseen track and a box that other tracks overlap: the gate rises by "
        "this share per second unseen, for at most 1 s",
    )
    trust_s: Positive = Field(
        default=2.0, description="age from which a track has its full weight in the assignment"
    )
    confirm_s: Seconds = Field(
        default=0.0, description="a track is confirmed when it is seen at this age or later"
    )
    coast_s: Seconds = Field(default=0.075, description="a track that is unseen for longer is lost")
    hidden_s: Seconds = Field(
        default=0.2, description="as coast_s, while the box of another track covers it"
    )
    lost_s: Seconds = Field(default=2.0, description="a track that is unseen for longer is removed")
    mix_classes: bool | list[list[int]] = Field(
        default=False,
        description="boxes whose class ids are in one list may match one track (car and truck); "
        "true: all classes",
    )
    noise: Positive = Field(
        default=0.05,
        description="standard deviation of a measured box, in sides; start value, adapts to the "
        "camera",
    )
    walk: Positive = Field(default=0.22, description="random walk of the position, sides/sqrt(s)")
    acceleration: Positive = Field(default=0.35, description="white acceleration, sides/s^1.5")
    speed: Positive = Field(
        default=2.0, description="standard deviation of the velocity of a new track, sides/s"
    )
