"""The top-level blocks of a search-space file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from gan_tune.config import Number, Objective, Part, PartKind, Settings, Text, Whole, part_fields

__all__ = [
    "SEARCH_PARTS",
    "Budget",
    "Confirm",
    "Resources",
    "Search",
    "SpaceFile",
    "check_name",
    "outside_trial",
]

LONGEST_NAME = 100


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

    trials: Whole = Field(32, ge=1, description="Settings to try")
    steps: Whole = Field(ge=1, description="Generator steps of a full trial")
    evaluations: Whole = Field(10, ge=1, description="Reports of a trial, evenly spread")
    minutes: Number | None = Field(
        None, gt=0, description="Time for the whole search; without it only trials count"
    )


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
    seed: Whole = Field(0, ge=0, description="Seed of the proposals and of all trials")
    seeds: Whole = Field(
        1, ge=1, description="Seeds each setting is trained with, one after the other"
    )
    prune_on: Text | None = Field(
        None, description="Of several objectives, the one that the scheduler stops by; null: none"
    )
    study: Text | None = Field(
        None, description="URL of a database for the study; null: a journal in the search's folder"
    )


SEARCH_PARTS = part_fields(Search)
"""Field of `search` → kind of its part."""


class Confirm(Settings):
    """How the best settings are trained again, with seeds that were not used to choose them."""

    top: Whole = Field(3, ge=0, description="Settings to confirm; 0: no confirmation")
    seeds: Whole = Field(3, ge=1, description="Fresh seeds for each of them")
    share: Number = Field(0.2, gt=0, lt=1, description="At most this share of budget.minutes")


class Resources(Settings):
    """The resources that one trial occupies."""

    cpu: Number = Field(1, gt=0, description="CPU cores for one trial")
    gpu: Number = Field(0, ge=0, description="GPUs for one trial; a fraction shares one")

    @field_validator("gpu")
    @classmethod
    def _whole_above_one(cls, gpu: float) -> float:
        if gpu > 1 and gpu != int(gpu):
            raise ValueError("must be a whole number above 1, since only one GPU can be shared")
        return gpu


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


def outside_trial(file: SpaceFile) -> dict[str, Any]:
    """The fields of a trial config that a file has outside `trial`.

    Objectives after the first are measured like those that `measure` names.
    """
    first, *further = file.objective
    fields = {
        "objective": first.model_dump(),
        "steps": file.budget.steps,
        "evaluations": file.budget.evaluations,
    }
    if further:
        own = file.trial.get("measure", [])
        if isinstance(own, list):  # other values are refused with the trial
            fields["measure"] = [*own, *(one.metric for one in further if one.metric not in own)]
    return fields
