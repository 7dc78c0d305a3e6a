"""Loads a search space: makes all checks, even after a fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import ValidationError

from gan_tune.config import Catalogue, Objective, SearchPlan, SearchRule
from gan_tune.errors import Fault
from gan_tune.space.checking import SpaceCheck
from gan_tune.space.counting import count_settings
from gan_tune.space.grammar import parse_trial
from gan_tune.space.nodes import Branch, dimensions_of, under
from gan_tune.space.overrides import Override
from gan_tune.space.ranges import Dimension, Scalar
from gan_tune.space.space_file import SEARCH_PARTS, Search, SpaceFile, outside_trial
from gan_tune.space.start_from import Mismatch, match_entry
from gan_tune.words.wording import faults_of, masked, shown

__all__ = ["Loading"]

MOST_RANGES = 256
"""Largest number of ranges and choices of a space, since each is tried beside the others."""
MOST_TRIES = 10_000
"""Largest number of settings that the check of a space tries, in a millisecond or a few each."""

MOVED: Mapping[str, str] = MappingProxyType(
    {
        key: f"has moved into the scheduler; write scheduler: {{name: asha, {key}: ...}}"
        for key in ("reduction", "grace")
    }
)
"""Former field of `search` → its present place."""


class Loading:
    """One load of a space. It continues after a fault, so that all faults are found."""

    def __init__(
        self, tree: Mapping[str, Any], overridden: Sequence[Override], catalogue: Catalogue
    ) -> None:
        self.tree = tree
        self.overridden = overridden
        self.catalogue = catalogue
        self.file: SpaceFile | None = None
        self.root = Branch("", {})
        self.warnings: list[str] = []
        self.starts: list[dict[str, Scalar]] = []
        self.faulty_parts: list[str] = []

    def run(self, *, check_data: bool) -> list[Fault]:
        """Check everything and return the faults at their places in the file."""
        faults: list[Fault] = []
        try:
            self.file = SpaceFile.model_validate(self._with_search_parts(faults))
        except ValidationError as error:
            faults += [self._where_it_is_written(f) for f in faults_of(error, model=SpaceFile)]
        raw = self.tree.get("trial")
        if not isinstance(raw, Mapping):
            return faults
        self.root, range_faults = parse_trial(raw)
        if (count := sum(1 for _ in dimensions_of(self.root))) > MOST_RANGES:
            rule = f"must have at most {MOST_RANGES} ranges and choices, but has {count:,}"
            return [*faults, Fault("trial", rule)]
        check = SpaceCheck(raw, self.root, self._fixed(), self.catalogue)
        if (count := check.tries()) > MOST_TRIES:
            rule = f"must have at most {MOST_TRIES:,} options and pairs of them that rules compare"
            return [*faults, Fault("trial", f"{rule}, but has {count:,}")]
        # A faulty range causes further faults: only that of the range itself is reported.
        told = [fault.path for fault in range_faults]
        late = check.faults(check_data=check_data)
        told += [f"measure.{i}" for i in self._further_measures(raw)]
        late = [f for f in late if not any(under(f.path, path) for path in told)]
        faults += [*range_faults, *late]
        if self.file is not None:
            faults += _budget_faults(self.file)
            faults += self._objective_faults(self.file, check)
            faults += self._population_faults(self.file)
            if not range_faults:
                faults += self._search_faults(self.file, check.dimensions)
        entries = self.tree.get("start_from")
        if isinstance(entries, list) and not range_faults:
            for i, entry in enumerate(entries):
                if isinstance(entry, Mapping):
                    faults += self._start_faults(f"start_from.{i}", entry, check)
        if not faults:
            self.warnings += check.advice()
        return faults

    def _further_measures(self, raw: Mapping[str, Any]) -> range:
        """The places in `measure` of the objectives after the first."""
        own = raw.get("measure")
        objectives = len(self.file.objective) if self.file is not None else 1
        start = len(own) if isinstance(own, list) else 0
        return range(start, start + objectives - 1)

    def _where_it_is_written(self, fault: Fault) -> Fault:
        """The fault with `objective` for `objective.0` if the file has a single objective."""
        if isinstance(self.tree.get("objective"), Mapping):
            return replace(fault, path=fault.path.replace("objective.0", "objective", 1))
        return fault

    def _with_search_parts(self, faults: list[Fault]) -> dict[str, Any]:
        """The file with the parts of `search` resolved; faulty parts are left out."""
        given = self.tree.get("search", {})
        if not isinstance(given, Mapping):
            return dict(self.tree)
        faults += [Fault(f"search.{k}", MOVED[k], shown(given[k])) for k in given if k in MOVED]
        search = {k: v for k, v in given.items() if k not in (*SEARCH_PARTS, *MOVED)}
        if rule := _broken_url_rule(given.get("study")):
            del search["study"]
            faults.append(Fault("search.study", rule))  # not shown: it may hold a secret
        for kind in SEARCH_PARTS:
            value = given.get(kind, self._default_part(kind, given))
            found: list[Fault] = []
            part = self.catalogue.resolve(kind, value, f"search.{kind}", found)
            if found and isinstance(value, str):  # a plain name has nothing below it
                found = [replace(fault, path=f"search.{kind}") for fault in found]
            search |= {} if found else {kind: part}
            self.faulty_parts += [f"search.{kind}"] if found else []
            faults += found
        return {**self.tree, "search": search}

    def _default_part(self, kind: str, search: Mapping[str, Any]) -> str:
        scheduler = _name_of(search.get("scheduler"))
        if kind == "sampler" and scheduler in self.catalogue.populations:
            return "random"  # the first generation is drawn, the others are forks
        return str(Search.model_fields[kind].default.name)

    def _population_faults(self, file: SpaceFile) -> Iterator[Fault]:
        """The faults of a population's size for the budget."""
        part, trials, starts = file.search.scheduler, file.budget.most_trials, len(file.start_from)
        if part.name not in self.catalogue.populations:
            return
        size = part.args["population"]
        if not starts <= size < trials:
            rule = (
                "start_from <= population < budget.trials must hold, since forks count as trials, "
                f"but got (start_from={starts}, population={size}, trials={trials})"
            )
            yield Fault("search.scheduler.population", rule)

    def _objective_faults(self, file: SpaceFile, check: SpaceCheck) -> list[Fault]:
        """The faults of all objectives except the first, which is checked with the trial."""
        metrics = [objective.metric for objective in file.objective]
        faults = [
            Fault(f"objective.{i}.metric", "must be given once", repr(metric))
            for i, metric in enumerate(metrics)
            if metric in metrics[:i]
        ]
        for i, objective in enumerate(file.objective[1:], start=1):
            faults += check.objective_faults(objective, f"objective.{i}")
        if file.search.prune_on not in (None, *metrics):
            rule = f"must be one of the objectives ({', '.join(metrics)})"
            faults.append(Fault("search.prune_on", rule, repr(file.search.prune_on)))
        return faults

    def _search_faults(self, file: SpaceFile, dimensions: Sequence[Dimension]) -> list[Fault]:
        """The faults of the search's parts. Unwise combinations become warnings."""
        search = file.search
        plan = SearchPlan(
            search.sampler,
            search.scheduler,
            dimensions,
            objectives=[objective.metric for objective in file.objective],
            trials=file.budget.most_trials,
            distinct=count_settings(self.root),
            starts=len(file.start_from),
            seeds=search.seeds,
            prune_on=search.prune_on,
            sampler_given="sampler" in self.tree.get("search", {}),
            bred=search.scheduler.name in self.catalogue.populations,
        )
        advice, refusals = map(
            self._applicable, (self.catalogue.search_advice, self.catalogue.search_refusals)
        )
        self.warnings += [f"{r.fields[0]}: {r.reason}" for r in advice if r.clash(plan)]
        return [rule.fault() for rule in refusals if rule.clash(plan)]

    def _applicable(self, rules: Sequence[SearchRule]) -> list[SearchRule]:
        """The rules that read no part that is faulty itself: their places name what they read."""
        return [
            rule
            for rule in rules
            if not any(under(place, part) for place in rule.fields for part in self.faulty_parts)
        ]

    def _fixed(self) -> dict[str, Any]:
        if self.file is not None:
            return outside_trial(self.file)
        # The file's other blocks have their own faults, already reported.
        given = self.tree.get("objective", {})
        try:
            objective = Objective.model_validate(given[0] if isinstance(given, list) else given)
        except (IndexError, ValidationError):
            objective = Objective()
        return {"objective": objective.model_dump(), "steps": 1, "evaluations": 1}

    def _start_faults(self, path: str, entry: Mapping[str, Any], check: SpaceCheck) -> list[Fault]:
        match = match_entry(self.root, entry)
        self.starts.append(match.values)
        mismatches = [*match.mismatches, *check.extra_mismatches(match)]
        faults = []
        for mismatch in mismatches:
            place = ".".join((path, *mismatch.place))
            override = self._override_of(mismatch)
            if override is None:
                faults.append(Fault(place, mismatch.rule, mismatch.given))
            else:
                self.warnings.append(f"{place}: left out, since --set {override.path} decides it")
        return faults

    def _override_of(self, mismatch: Mismatch) -> Override | None:
        for override in self.overridden:
            if override.place is None:
                continue
            length = min(len(override.place), len(mismatch.place))
            if override.place[:length] == mismatch.place[:length]:
                return override
        return None


def _name_of(part: Any) -> str:
    """A part's name; empty where none is given, or something else than a name."""
    name = part.get("name") if isinstance(part, Mapping) else part
    return name if isinstance(name, str) else ""


def _budget_faults(file: SpaceFile) -> Iterator[Fault]:
    """A length that nobody decides (the search chooses it for its time), and a limit of nothing."""
    if file.budget.steps is None and file.budget.minutes is None:
        yield Fault("budget.steps", "must be given where budget.minutes is not")
    if file.budget.gpu_hours is not None and file.resources.gpu == 0:
        rule = "must be left out where resources.gpu is 0: trials without a GPU use none of it"
        yield Fault("budget.gpu_hours", rule, repr(file.budget.gpu_hours))


def _broken_url_rule(url: Any) -> str | None:
    """The rule that a database's URL breaks, or None."""
    if not isinstance(url, str):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None
    if masked(url) != url:
        return (
            "must not hold a password, since space files are recorded; leave that to the "
            "database's own means (PGPASSWORD, ~/.pgpass, ~/.my.cnf)"
        )
    if parts is None or "://" not in url:
        return "must be a URL, such as sqlite:////data/studies.db or postgresql://user@host/studies"
    if _is_in_memory(parts):
        return (
            f"must outlive the command, such as sqlite:////data/studies.db; {url} is kept in memory"
        )
    return None


def _is_in_memory(url: SplitResult) -> bool:
    """Whether SQLAlchemy reads this URL as a SQLite database in memory."""
    in_memory = url.path.strip("/") == "" or ":memory:" in url.path
    in_memory = in_memory or parse_qs(url.query).get("mode") == ["memory"]
    return url.scheme.partition("+")[0] == "sqlite" and in_memory
