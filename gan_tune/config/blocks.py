"""The blocks of settings inside a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from gan_tune.config.settings import MOST_REPORTS, MOST_STEPS, Number, Settings, Whole

__all__ = ["Block", "CollapseRule", "DivergenceRule", "InstanceNoise", "Lookahead"]


class CollapseRule(Settings):
    """A generator has collapsed when its samples stay less varied than the data, or repeat.

    Variety is the square root of the samples' total variance divided by that of the data. It is
    computed on the metric's features (pictures) or on the points themselves. 1 means as varied as
    the data. ``distinct`` is a limit on the metric `distinct_share`: distinct samples beside those
    of the data, which data of a known mixture do not have. `none` stands for a rule that is off:
    then nothing of it stops a trial, nor keeps a champion from being registered.
    """

    none: ClassVar[Mapping[str, Any]] = {"variety": 0.0}

    variety: Number = Field(
        0.1, ge=0, lt=1, description="Smallest variety that is no collapse; 0: all of the rule off"
    )
    distinct: Number = Field(
        0.4, ge=0, lt=1, description="Smallest `distinct_share` that is no collapse; 0: off"
    )
    after: Number = Field(
        0.3, ge=0, le=1, description="Share of the training before this rule applies"
    )
    reports: Whole = Field(
        2,
        ge=1,
        le=MOST_REPORTS,
        description="Number of reports in a row with less variety that mean collapse",
    )

    @property
    def is_off(self) -> bool:
        """Whether the whole rule is switched off."""
        return self.variety == 0

    def shows(self, variety: float, distinct: float | None) -> bool:
        """Whether samples of that variety, of which that share is distinct, show a collapse."""
        repeats = distinct is not None and distinct < self.distinct
        return not self.is_off and (variety < self.variety or repeats)


class DivergenceRule(Settings):
    """Training has diverged when a value is not finite or exceeds one of these limits."""

    max_logit: Number = Field(1e5, gt=0, description="Largest |logit| of the discriminator")
    max_gradient_norm: Number = Field(
        1e8, gt=0, description="Largest gradient norm before clipping"
    )


class Block(Settings):
    """A block schedule: some steps of both players, then some of the generator only."""

    both: Whole = Field(
        1, ge=1, le=MOST_STEPS, description="Generator steps with discriminator steps before each"
    )
    generator: Whole = Field(
        0, ge=0, le=MOST_STEPS, description="Generator steps that follow without them"
    )


class InstanceNoise(Settings):
    """Decreasing Gaussian noise on the discriminator's inputs (Sønderby et al. 2017)."""

    std: Number = Field(0.0, ge=0, description="Deviation at the start, in scaled units; 0: off")
    until: Number = Field(1.0, gt=0, le=1, description="Share of the training until it is 0")
    fade: Literal["linear", "geometric"] = Field(
        "linear",
        description="`linear`: in a straight line to 0; `geometric`: by the same factor at each "
        "step to 3 % of `std`, then 0",
    )


class Lookahead(Settings):
    """Both players' weights are reset to slow averages every few steps (Chavdarova et al. 2021)."""

    every: Whole = Field(
        0, ge=0, le=MOST_STEPS, description="Generator steps between two resets; 0: off"
    )
    alpha: Number = Field(
        0.5, gt=0, le=1, description="Share of the way that the averages move to the weights"
    )
