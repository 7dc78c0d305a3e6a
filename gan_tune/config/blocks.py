"""The blocks of settings inside a trial."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gan_tune.config.settings import Number, Settings, Whole

__all__ = ["Block", "CollapseRule", "DivergenceRule", "InstanceNoise", "Lookahead"]


class CollapseRule(Settings):
    """A generator has collapsed when its variety stays below a share of the data's.

    Variety is the square root of the samples' total variance divided by that of the data. It is
    computed on the metric's features (pictures) or on the points themselves. 1 means as varied as
    the data.
    """

    variety: Number = Field(
        0.1, ge=0, lt=1, description="Least share of the data's variety; 0: off"
    )
    after: Number = Field(
        0.3, ge=0, le=1, description="Share of the training before which nothing counts"
    )
    reports: Whole = Field(
        2, ge=1, description="Number of reports in a row that must fall under the share"
    )


class DivergenceRule(Settings):
    """Training has diverged when a value is not finite or exceeds one of these limits."""

    max_logit: Number = Field(1e5, gt=0, description="Largest |logit| of the discriminator")
    max_gradient_norm: Number = Field(
        1e8, gt=0, description="Largest gradient norm before clipping"
    )


class Block(Settings):
    """A block schedule: some steps of both players, then some of the generator only."""

    both: Whole = Field(1, ge=1, description="Generator steps with discriminator steps before each")
    generator: Whole = Field(0, ge=0, description="Generator steps that follow on their own")


class InstanceNoise(Settings):
    """Decreasing Gaussian noise on the discriminator's inputs (Sønderby et al. 2017)."""

    std: Number = Field(0.0, ge=0, description="Deviation at the start, in scaled units; 0: off")
    until: Number = Field(1.0, gt=0, le=1, description="Share of the training where it is gone")
    fade: Literal["linear", "geometric"] = Field(
        "linear", description="In a line to 0, or by the same factor each step to 3 %, then none"
    )


class Lookahead(Settings):
    """Both players' weights are reset to slow averages every few steps (Chavdarova et al. 2021)."""

    every: Whole = Field(0, ge=0, description="Generator steps between two pulls; 0: off")
    alpha: Number = Field(0.5, gt=0, le=1, description="Share of the way that the averages follow")
