"""The top-level blocks of a search-space file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from gan_tune.config import Number, Objective, Part, PartKind, Settings, Text, Whole, part_fields
from gan_tune.config.settings import MOST_REPORTS, MOST_STEPS, Seed

__all__ = [
    "DEFAULT_TRIALS",
    "SEARCH_PARTS",
    "UNPLANNED_STEPS",
    "Budget",
    "Confirm",
    "ExperienceUse",
    "Resources",
    "Search",
    "SpaceFile",
    "check_name",
    "outside_trial",
]

LONGEST_NAME = 100
DEFAULT_TRIALS = 32
"""Settings of a search that names neither a number of them nor a time."""
UNPLANNED_STEPS = 2_000
"""Length of a trial that is trained without a search, if the space leaves the length to it."""

MOST_TRIALS = 1_000_000
MOST_SEEDS = 1_000
MOST_MINUTES = 10_000_000
MOST_GPU_HOURS = 10_000_000
"""Nineteen years."""
MOST_CORES = 100_000
LEAST_SHARE = 0.001
"""CPU cores, and GPUs, of one trial."""


def check_name(name: str) -> str | None:
    """The rule that a search's name breaks, or None: it names folders and MLflow experiments."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name, re.ASCII) and len(name) <= LONGEST_NAME:
        return None
    return (
        "must be letters, digits, '_', '-' and '.', starting with a letter or digit, "
        f"at most {LONGEST_NAME}"
    )


class Budget(Settings):
    """The limits of a search's trials, steps and time."""

    trials: Whole | None = Field(
        None,
        ge=1,
        le=MOST_TRIALS,
        description="Settings to try; without it as many as `minutes` allow, or "
        f"{DEFAULT_TRIALS} without those",
    )
    steps: Whole | None = Field(
        None,
        ge=1,
        le=MOST_STEPS,
        description="Generator steps of a full trial; without it the search measures a step and "
        "chooses the length for its `minutes`",
    )
    evaluations: Whole = Field(
        10, ge=1, le=MOST_REPORTS, description="Reports of a trial, evenly spread"
    )
    minutes: Number | None = Field(
        None,
        gt=0,
        le=MOST_MINUTES,
        description="Time for the whole search; without it only trials count",
    )
    gpu_hours: Number | None = Field(
        None,
        gt=0,
        le=MOST_GPU_HOURS,
        description="GPU hours that all trials may take together, over all commands",
    )

    @property
    def has_time_limit(self) -> bool:
        """Whether time, of the clock or of GPUs, may end the search."""
        return self.minutes is not None or self.gpu_hours is not None

    @property
    def most_trials(self) -> float:
        """The largest number of settings; infinite if only the time ends the search."""
        if self.trials is not None:
            return self.trials
        return DEFAULT_TRIALS if self.minutes is None else math.inf


class ExperienceUse(Settings):
    """Which settings of the experience are tried first.

    Written as a number of settings, `none`, a file, or a mapping.
    """

    file: Text | None = Field(
        None, description="A file that `gan-tune learn` has written; null: what comes with gan-tune"
    )
    first: Whole = Field(8, ge=0, description="At most so many settings, if so many fit")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, given: Any) -> Any:
        if isinstance(given, (Mapping, ExperienceUse)):
            return given
        if given in (None, "none"):
            return {"first": 0}
        if isinstance(given, str):
            return {"file": given}
        if isinstance(given, int) and not isinstance(given, bool):
            return {"first": given}
        raise ValueError("must be a number of settings, none, a file, or {file: FILE, first: 8}")


class Search(Settings):
    """How settings are proposed and bad trials stopped.

    After a space is loaded, the arguments of both parts are complete.
    """

    sampler: Annotated[Part, PartKind("sampler")] = Field(
        Part(name="tpe"), description="What proposes settings"
    )
    scheduler: Annotated[Part, PartKind("scheduler")] = Field(
        Part(name="asha"), description="What stops trials early"
    )
    seed: Seed = Field(0, description="Seed of the proposals and of all trials")
    seeds: Whole = Field(
        1,
        ge=1,
        le=MOST_SEEDS,
        description="Seeds each setting is trained with, one after the other",
    )
    prune_on: Text | None = Field(
        None, description="Of several objectives, the one that the scheduler stops by; null: none"
    )
    experience: ExperienceUse = Field(
        ExperienceUse(),
        description="How many settings that did well on other data are tried after `start_from`; "
        "none; or a file of your own searches' experience",
    )
    study: Text | None = Field(
        None, description="URL of a database for the study; null: a journal in the search's folder"
    )


SEARCH_PARTS = part_fields(Search)
"""Field of `search` → kind of its part."""


class Confirm(Settings):
    """How the best settings are trained again, with seeds that were not used to choose them."""

    top: Whole = Field(
        3, ge=0, le=MOST_TRIALS, description="Settings to confirm; 0: no confirmation"
    )
    seeds: Whole = Field(3, ge=1, le=MOST_SEEDS, description="Fresh seeds for each of them")
    share: Number = Field(0.2, gt=0, lt=1, description="At most this share of budget.minutes")


class Resources(Settings):
    """The resources that one trial occupies."""

    cpu: Number = Field(1, ge=LEAST_SHARE, le=MOST_CORES, description="CPU cores for one trial")
    gpu: Annotated[Number, Field(ge=0)] | Literal["auto"] = Field(
        "auto",
        description="GPUs for one trial; a fraction shares one; auto: what its memory and the "
        "cores allow, 0 without a GPU",
    )

    @field_validator("gpu", mode="before")
    @classmethod
    def _sound_share(cls, gpu: Any) -> Any:
        # All rules are here, since pydantic would add those of the union's other member.
        if gpu == "auto":
            return gpu
        if isinstance(gpu, bool) or not isinstance(gpu, (int, float)) or not math.isfinite(gpu):
            raise ValueError("must be a finite number or 'auto'")
        if gpu < 0:
            raise ValueError("must be at least 0")
        if 0 < gpu < LEAST_SHARE:
            raise ValueError(f"must be 0 or at least {LEAST_SHARE}")
        if gpu > MOST_CORES:
            raise ValueError(f"must be at most {MOST_CORES}")
        if gpu > 1 and gpu != int(gpu):
            raise ValueError("must be a whole number above 1, since only one GPU can be shared")
        return gpu

    @property
    def gpus(self) -> float:
        """The GPUs of one trial; `auto` must have been resolved."""
        assert self.gpu != "auto", "the search's first command resolves it"
        return self.gpu


Objectives = Annotated[
    tuple[Objective, ...],
    BeforeValidator(lambda given: (given,) if isinstance(given, (Mapping, Objective)) else given),
    Field(min_length=1),
]
"""One objective, or a list of several."""


class SpaceFile(Settings):
    """The blocks of a search-space file."""

    name: Text = Field(description="Name of the space, and of its searches by default")
    description: Text = Field("", description="What the space is for, in a sentence")
    objective: Objectives = Field(
        (Objective(),),
        description="What the search improves; the first objective decides the champion",
    )
    budget: Budget = Field(description="How much the search may spend")
    search: Search = Field(Search(), description="How settings are proposed and trials stopped")
    confirm: Confirm = Field(Confirm(), description="How the best settings are confirmed")
    resources: Resources = Field(Resources(), description="What one trial occupies")
    trial: dict[str, Any] = Field(description="A trial config, with ranges in place of some values")
    start_from: tuple[dict[str, Any], ...] = Field(
        (), description="Settings to try first; anything they leave out is sampled"
    )

    @field_validator("name")
    @classmethod
    def _sound_name(cls, name: str) -> str:
        rule = check_name(name)
        if rule is not None:
            raise ValueError(rule)
        return name


def outside_trial(file: SpaceFile, steps: int | None = None) -> dict[str, Any]:
    """The fields of a trial config that a file has outside `trial`.

    ``steps`` is the length that a search has chosen, if the file has none. Objectives after the
    first are measured like those that `measure` names.
    """
    first, *further = file.objective
    fields = {
        "objective": first.model_dump(),
        "steps": file.budget.steps or steps or UNPLANNED_STEPS,
        "evaluations": file.budget.evaluations,
    }
    if further:
        own = file.trial.get("measure", [])
        if isinstance(own, list):  # other values are refused with the trial
            fields["measure"] = [*own, *(one.metric for one in further if one.metric not in own)]
    return fields
