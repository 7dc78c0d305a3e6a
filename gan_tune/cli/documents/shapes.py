"""The shapes of what `--json` prints. The reference's tables are written from them.

A field may be added at any time. Where one goes, or changes its meaning, :data:`FORMAT` grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["DOCUMENTS", "EVENTS", "FORMAT"]

FORMAT: Literal[1] = 1

Mode = Literal["min", "max"]


def told(description: str) -> Any:
    """A required field and what it says."""
    return Field(description=description)


class Shape(BaseModel):
    """A JSON object with these keys."""

    model_config = ConfigDict(from_attributes=True, frozen=True, protected_namespaces=())


class Document(Shape):
    """A JSON object that stands alone."""

    format: Literal[1] = Field(FORMAT, description="the version of these shapes")


# ---------------------------------------------------------------- status, ls


class TrialLine(Shape):
    """A trial of a search."""

    name: str = told("of the trial, such as `0003` or `0003-confirm-1`")
    kind: Literal["search", "confirmation"] = told("whose trial it is")
    outcome: str = told("how it ended; `running`, or `waiting` for a worker, if it has not")
    value: float | None = told("its best value so far")
    step: int | None = told("its last report's step; null if only MLflow knows the trial")
    steps: int | None = told("its full length")


class SearchLine(Shape):
    """A search in a list."""

    name: str = told("of the search")
    state: Literal["running", "interrupted", "finished"] = told("of the search")
    metric: str = told("the objective")
    mode: Mode = told("whether less or more of it is better")
    best: float | None = told("the best value so far")
    outcomes: dict[str, int] = told("number of settings by outcome")
    where: str = told("the folder or MLflow experiment that this was read from")


class Status(Document, SearchLine):
    """How a search stands."""

    holder: str = told("the process that works on it; empty if there is none")
    trials: int | None = told("settings in the budget; null if only time ends the search")
    minutes: float | None = told("the time budget")
    seconds: float | None = told("wall time spent by all commands")
    confirmations: int = told("confirming trials that have ended")
    aside: list[str] = told("the nodes that the last command put aside, with the reason")
    rows: list[TrialLine] = told("its trials, best first")


class ModelLine(Shape):
    """A registered model with its champion."""

    name: str = told("of the model")
    version: int | None = told("its champion; null if there is none")
    value: float | None = told("the champion's mean on the selection split")
    objective: str | None = told("the metric of that value")
    search: str | None = told("the search that found it")


class Listing(Document):
    """All that there is."""

    spaces: list[str] = told("the shipped spaces")
    searches: list[SearchLine] = told("in the storage, and those only in MLflow")
    models: list[ModelLine] = told("the registered models")


# ---------------------------------------------------------------- best


class EarlierSetting(Shape):
    """A setting with which a fork's weights were trained before."""

    trial: str = told("the trial that trained them")
    until: int = told("the step at which the fork takes them")
    config: dict[str, Any] = told("the trial config")


class Champion(Document):
    """A champion, or a registered version of a model."""

    search: str | None = told("the search that found it; null if the model does not name it")
    trial: str | None = told("the trial that trained it")
    model: str | None = told("the registered model; null if none was registered")
    version: int | None = told("its version")
    alias_holder: bool | None = told("whether it is the model's champion; null if not known")
    removed: bool = told("whether it is known to be gone from the registry")
    metric: str | None = told("the objective")
    mode: Mode | None = told("whether less or more of it is better")
    value: float | None = told("mean on the selection split")
    spread: float | None = told("sample deviation over the seeds; null for fewer than two")
    seeds: int = told("how many fresh seeds confirmed it; 0: not confirmed")
    first_mean: float | None = told("the same mean of the search's first setting")
    test: dict[str, float | None] = told("figures on the test split")
    decided: dict[str, Any] = told("what the search decided, by dimension")
    config: dict[str, Any] = told("the whole trial config")
    lineage: list[EarlierSetting] = told("a fork's settings before this one, oldest first")


# ---------------------------------------------------------------- show, validate


class Objective(Shape):
    """One objective."""

    metric: str = told("its name")
    mode: Mode = told("whether less or more of it is better")


class DimensionLine(Shape):
    """One value that a search decides."""

    name: str = told("its dotted path, as in `train --setting`")
    range: str = told("its ends or options, in words")
    only_where: dict[str, Any] = told("the choices under which it exists, each with its option")


class Space(Document):
    """What a space searches."""

    name: str = told("of the space")
    objectives: list[Objective] = told("the first one chooses the champion")
    trials: int | None = told("settings in the budget; null: as many as time allows")
    minutes: float | None = told("the time budget")
    steps: int | None = told("the length of a trial; null: chosen when the search begins")
    evaluations: int = told("reports of a trial")
    sampler: str = told("what proposes")
    scheduler: str = told("what stops early")
    seed: int = told("of the search")
    starts: int = told("settings that are tried first")
    confirm_top: int = told("settings that are confirmed with fresh seeds")
    confirm_seeds: int = told("fresh seeds of each")
    dimensions: list[DimensionLine] = told("what the search decides")


class Fault(Shape):
    """One thing that is wrong with a file."""

    place: str = told("its dotted path in the file; empty for the whole file")
    rule: str = told("what must hold")
    given: str = told("what was found there; empty where nothing was given")


class CheckedFile(Shape):
    """A space file that was checked."""

    file: str = told("as it was named")
    ok: bool = told("whether it can be searched")
    faults: list[Fault] = told("all its faults")
    warnings: list[str] = told("what is allowed but advised against")
    notes: list[str] = told("what was decided while its data were read")


class Checked(Document):
    """Space files that were checked."""

    files: list[CheckedFile] = told("in the order in which they were named")


# ---------------------------------------------------------------- search --dry-run


class Estimate(Document):
    """What a search would take, measured on its first setting."""

    name: str = told("of the space")
    trials: int | None = told("trials of the budget, each seed one; null if only time ends it")
    steps: int = told("the length of a trial")
    evaluations: int = told("reports of a trial")
    confirmations: int = told("confirming trials at most")
    slots: int = told("trials at a time, assumed for this machine")
    seconds: float | None = told("all trials at full length; null if only time ends the search")
    minutes: float | None = told("the time budget")
    settings: int | None = told("settings that can be judged in that time; null without one")
    too_few: str = told("what to change if these are too few; empty otherwise")
    trial_seconds: float = told("one full trial alone")
    step_seconds: float = told("one of its steps")
    evaluation_seconds: float = told("one of its evaluations")
    memory_bytes: int = told("its peak memory, with all libraries")
    gpu_memory_bytes: int = told("its peak memory on the GPU; 0 without one")
    cpu: float = told("cores of a trial")
    gpu: float = told("GPUs of a trial, `auto` resolved for this machine")
    gpu_note: str = told("why; empty where there is nothing to say")
    proposal: str = told("what was seen of the data and is proposed; empty for a space")


# ---------------------------------------------------------------- events of a search


class Event(Document):
    """A line of `search --json`."""


class Stage(Event):
    """A stage begins; it lasts until the next event."""

    event: Literal["stage"] = "stage"
    text: str = told("what is done")


class Note(Event):
    """Something that a person would want to read."""

    event: Literal["note"] = "note"
    text: str = told("the note")


class Begin(Event):
    """The trials begin, or go on."""

    event: Literal["begin"] = "begin"
    search: str = told("name of the search")
    metric: str = told("the objective")
    mode: Mode = told("whether less or more of it is better")
    trials: int | None = told("settings in the budget; null if only time ends the search")
    minutes: float | None = told("the time budget")
    steps: int = told("the length of a trial")
    slots: int = told("trials at a time")
    resumed: int = told("settings that earlier commands have begun")


class TrialStarted(Event):
    """A trial begins, or goes on from its checkpoint."""

    event: Literal["trial_started"] = "trial_started"
    trial: str = told("its name")
    setting: int = told("the number of its setting")
    kind: Literal["search", "confirmation"] = told("whose trial it is")
    resumed: bool = told("whether it goes on from a checkpoint")


class TrialReported(Event):
    """A trial was evaluated."""

    event: Literal["trial_reported"] = "trial_reported"
    trial: str = told("its name")
    step: int = told("its step")
    value: float | None = told("its value now; null if it is not finite")
    best: float | None = told("its best value so far")


class TrialEnded(Event):
    """A trial has ended, or waits for others."""

    event: Literal["trial_ended"] = "trial_ended"
    trial: str = told("its name")
    outcome: str = told("how it ended")
    value: float | None = told("its best value")
    step: int = told("its last step")
    error: str | None = told("the exception that failed it")
    paused: bool = told("whether it goes on in its turn")


class RowLine(Shape):
    """A setting on the leaderboard."""

    setting: int = told("its number")
    origin: str = told("where it comes from, such as `start 1` or `sampled`")
    outcome: str | None = told("how it ended; null if it was interrupted")
    value: float | None = told("the best value of the search's own trial")
    mean: float | None = told("mean over fresh seeds; null if it was not confirmed")
    spread: float | None = told("sample deviation over them")
    seeds: int = told("how many there were")
    steps: int = told("steps trained")
    changes: dict[str, Any] = told("what the search decided, by dimension")


class Result(Event):
    """The last event: what came of the search."""

    event: Literal["result"] = "result"
    search: str = told("name of the search")
    finished: bool = told("false: it was interrupted, and the same command goes on with it")
    metric: str = told("the objective")
    mode: Mode = told("whether less or more of it is better")
    seconds: float = told("wall time spent by all commands")
    outcomes: dict[str, int] = told("number of settings by outcome")
    champion_trial: str | None = told("the trial that trained the champion; null without one")
    champion_mean: float | None = told("its mean on the selection split")
    first_mean: float | None = told("the same mean of the first setting")
    gain: float | None = told("the champion's test figure, divided by the first setting's")
    test: dict[str, float | None] = told("figures on the test split")
    model: str | None = told("the registered model; null if none was registered")
    model_version: int | None = told("its version")
    promoted: bool = told("whether it is the model's champion now")
    model_note: str = told("why, or why not")
    waiting: str = told("what is not in MLflow yet, in words")
    faults: list[str] = told("what speaks against the champion")
    rows: list[RowLine] = told("the leaderboard, best first")


DOCUMENTS: Mapping[str, type[Document]] = MappingProxyType(
    {
        "status": Status,
        "ls": Listing,
        "best": Champion,
        "show": Space,
        "validate": Checked,
        "search --dry-run": Estimate,
    }
)
"""Command → what its `--json` prints."""

EVENTS: tuple[type[Event], ...] = (
    Stage,
    Note,
    Begin,
    TrialStarted,
    TrialReported,
    TrialEnded,
    Result,
)
"""What `search --json` prints, a line each."""
