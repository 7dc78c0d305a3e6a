"""A checked search space, and its settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from gan_tune.config import Catalogue, Objective, TrialConfig
from gan_tune.errors import ConfigError, Fault, SpaceError
from gan_tune.space.counting import count_settings
from gan_tune.space.fitting import Fit, assignments, what_learns
from gan_tune.space.loading import Loading
from gan_tune.space.nodes import Branch, Leaf, dimensions_of, settle
from gan_tune.space.overrides import apply_overrides
from gan_tune.space.ranges import Choice, Dimension, Scalar, Suggest
from gan_tune.space.reading import read_space
from gan_tune.space.space_file import (
    UNPLANNED_STEPS,
    Budget,
    Confirm,
    ExperienceUse,
    Resources,
    Search,
    SpaceFile,
    outside_trial,
)
from gan_tune.words.wording import did_you_mean, shown

__all__ = ["SearchSpace"]


@dataclass(frozen=True)
class SearchSpace:
    """A checked search space.

    Attributes:
        file: the top-level blocks.
        trial: the parsed tree of the file's `trial`.
        tree: the whole file as plain values, `--set` included.
        source: the text of the file as given, for the record.
        overrides: the `--set` texts.
        shipped: name of the shipped file that was read; empty for any other source.
        warnings: one sentence for each value that was changed or is unwise.
        catalogue: the parts against which it was checked.
        planned_steps: the length of a trial that the search has chosen; None if it has not.
    """

    file: SpaceFile
    trial: Branch
    tree: Mapping[str, Any]
    source: str
    warnings: tuple[str, ...]
    catalogue: Catalogue
    starts: tuple[Mapping[str, Scalar], ...]
    overrides: tuple[str, ...] = ()
    shipped: str = ""
    planned_steps: int | None = None

    @classmethod
    def load(
        cls,
        source: str | Path | Mapping[str, Any],
        catalogue: Catalogue,
        *,
        overrides: Sequence[str] = (),
        check_data: bool = True,
    ) -> SearchSpace:
        """Read and check a space: a file, the name of a shipped one, or a mapping.

        ``overrides`` are `PATH=VALUE` texts, applied before anything is checked.

        Raises:
            SpaceError: with every fault found.
        """
        given = read_space(source)
        changed = apply_overrides(given.tree, overrides)
        loading = Loading(changed.tree, changed.overrides, catalogue)
        faults = changed.faults + loading.run(check_data=check_data)
        if faults or loading.file is None:
            raise SpaceError(faults, given.source)
        return cls(
            file=loading.file,
            trial=loading.root,
            tree=changed.tree,
            source=given.text,
            warnings=tuple(loading.warnings),
            catalogue=catalogue,
            starts=tuple(loading.starts),
            overrides=tuple(overrides),
            shipped=given.shipped,
        )

    @property
    def name(self) -> str:
        """Name of the space, and of its searches by default."""
        return self.file.name

    @property
    def objective(self) -> Objective:
        """The objective of the search; of several, the first, which decides."""
        return self.file.objective[0]

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """All objectives of the search. The first decides."""
        return self.file.objective

    @property
    def pruned_by(self) -> Objective:
        """The objective by which the scheduler stops trials: `search.prune_on`, or the first."""
        metric = self.search.prune_on or self.objective.metric
        return next(one for one in self.objectives if one.metric == metric)

    @property
    def budget(self) -> Budget:
        """The limits of the search's trials, steps and time."""
        return self.file.budget.model_copy(update={"steps": self.steps})

    @property
    def steps(self) -> int:
        """The length of a full trial: as given, or as the search has chosen it."""
        return self.file.budget.steps or self.planned_steps or UNPLANNED_STEPS

    @property
    def has_open_length(self) -> bool:
        """Whether the length of a trial is left to the search."""
        return self.file.budget.steps is None

    def with_length(self, steps: int) -> SearchSpace:
        """This space with a length that the search has chosen. Its digest stays the file's."""
        return replace(self, planned_steps=steps)

    def with_budget(self, **limits: float | None) -> SearchSpace:
        """This space with other ``limits``: `trials`, `minutes`. Its digest stays the same."""
        budget = self.file.budget.model_copy(update=limits)
        return replace(self, file=self.file.model_copy(update={"budget": budget}))

    @property
    def search(self) -> Search:
        """How settings are proposed and trials stopped."""
        return self.file.search

    @property
    def confirm(self) -> Confirm:
        """How the best settings are confirmed."""
        return self.file.confirm

    @property
    def resources(self) -> Resources:
        """The resources that one trial occupies."""
        return self.file.resources

    def on_gpus(self, gpu: float) -> SearchSpace:
        """This space with a resolved share of a GPU for each trial."""
        resources = self.resources.model_copy(update={"gpu": gpu})
        return replace(self, file=self.file.model_copy(update={"resources": resources}))

    @property
    def start_from(self) -> tuple[Mapping[str, Any], ...]:
        """Settings to try first, as trees."""
        return self.file.start_from

    @property
    def precision(self) -> str:
        """The precision of every trial; `auto` until a search resolves it."""
        given = self.trial.items.get("precision")
        return str(given.value) if isinstance(given, Leaf) else "float32"

    def in_precision(self, precision: str) -> SearchSpace:
        """This space with a resolved precision. Its digest stays that of the file."""
        items = {**self.trial.items, "precision": Leaf("precision", precision)}
        return replace(self, trial=replace(self.trial, items=items))

    @cached_property
    def digest(self) -> str:
        """16 hex digits that depend on all that affects the proposals and their evaluation.

        They do not depend on the name, the description, the resources, the place of the study, and
        the budget's trials, minutes and GPU hours, so that a search can be extended.
        """
        blocks = dict(self.decisive)
        budget = self.file.budget
        blocks["budget"] = [budget.steps, budget.evaluations]
        text = json.dumps(blocks, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def shipped_digest(self) -> str:
        """16 hex digits of the shipped file's text; empty for any other source."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:16] if self.shipped else ""

    @property
    def decisive(self) -> dict[str, Any]:
        """The blocks from which :attr:`digest` is computed, as plain values."""
        included = ("objective", "search", "confirm", "trial", "start_from")
        blocks = self.file.model_dump(
            mode="json",
            include={**dict.fromkeys(included, True), "budget": {"steps", "evaluations"}},
        )
        del blocks["search"]["study"]
        if self.search.experience == ExperienceUse():  # so of searches from before it was there
            del blocks["search"]["experience"]
        return blocks

    def dimensions(self) -> list[Dimension]:
        """All dimensions that the search decides, in the order of the file."""
        return list(dimensions_of(self.trial))

    @cached_property
    def distinct_settings(self) -> float:
        """The number of distinct settings; infinite if a range is continuous."""
        return count_settings(self.trial)

    def sample(self, suggest: Suggest, *, seed: int) -> TrialConfig:
        """A trial config with the values that ``suggest`` proposes for the ranges."""
        return self._config(lambda dimension: dimension.suggest(suggest), seed)

    def config(self, assignment: Mapping[str, Any], seed: int) -> TrialConfig:
        """The trial config of a setting: dotted names of dimensions → values.

        Raises:
            ConfigError: a value is missing, outside its range, or belongs to no dimension.
        """
        faults = _assignment_faults(self.trial, assignment)
        if faults:
            raise ConfigError(faults)
        return self._config(lambda dimension: assignment[dimension.name], seed)

    def choosers(self, assignment: Mapping[str, Any]) -> dict[str, Scalar]:
        """The choosers that a setting decides, each with the option chosen.

        They complete a config's params. A chooser is left out if a param of the same name is more
        specific (the layer widths instead of `#1`).
        """
        found: dict[str, Scalar] = {}

        def decide(dimension: Dimension) -> Any:
            value = assignment.get(dimension.name, dimension.values[0])
            if isinstance(dimension, Choice) and dimension.name in assignment:
                found[dimension.name] = value
            return value

        tree = settle(self.trial, decide)
        return {name: value for name, value in found.items() if _adds(tree, name, value)}

    def fit(self, config: TrialConfig) -> Fit | None:
        """The setting of this space that learns in the same way as ``config``; None if none does.

        A number between two steps of its range moves to the nearest step.
        """
        for values in assignments(self.trial, config.tree()):
            if self._makes(values, config):
                return self._on_the_grid(values)
        return None

    def _makes(self, values: Mapping[str, Scalar], config: TrialConfig) -> bool:
        try:
            made = self._config(lambda dimension: values[dimension.name], seed=0)
        except ConfigError:  # a combination that is no longer allowed
            return False
        return what_learns(made) == what_learns(config)

    def _on_the_grid(self, values: Mapping[str, Scalar]) -> Fit:
        decided = [dimension for dimension in self.dimensions() if dimension.name in values]
        moved = [d.name for d in decided if d.broken_rule(values[d.name]) is not None]
        return Fit({d.name: d.nearest(values[d.name]) for d in decided}, tuple(moved))

    def start_assignments(self) -> list[dict[str, Scalar]]:
        """Each entry of `start_from`: name of a dimension → value. The rest is sampled."""
        return [dict(start) for start in self.starts]

    def _config(self, decide: Callable[[Dimension], Any], seed: int) -> TrialConfig:
        tree = {
            **settle(self.trial, decide),
            **outside_trial(self.file, self.planned_steps),
            "seed": seed,
        }
        return TrialConfig.from_tree(tree, self.catalogue, build=False)


def _assignment_faults(trial: Branch, assignment: Mapping[str, Any]) -> list[Fault]:
    faults: list[Fault] = []

    def decide(dimension: Dimension) -> Any:
        if dimension.name not in assignment:
            faults.append(Fault(dimension.name, f"is not given, but must be: {dimension}"))
            return dimension.values[0]
        value = assignment[dimension.name]
        rule = dimension.broken_rule(value)
        if rule is None:
            return value
        faults.append(Fault(dimension.name, rule, shown(value)))
        return dimension.values[0]

    settle(trial, decide)
    known = [dimension.name for dimension in dimensions_of(trial)]
    for name in assignment:
        if name not in known:
            rule = f"the space has no such range{did_you_mean(name, known)}"
            faults.append(Fault(name, rule))
    return faults


def _adds(tree: Any, chooser: str, label: Scalar) -> bool:
    """Whether a chooser's label is more specific than the param of its name, if there is one."""
    for step in chooser.split("."):
        if isinstance(tree, list) and step.isdigit() and int(step) < len(tree):
            tree = tree[int(step)]
        elif isinstance(tree, Mapping) and step in tree:
            tree = tree[step]
        else:
            return True
    parts = isinstance(tree, list) and bool(tree) and all(isinstance(t, Mapping) for t in tree)
    return parts or isinstance(tree, Mapping) or bool(tree == label)
