"""Checks that every setting a space can sample is a sound trial.

The base is the setting with the first options and low ends. Each option and each end of a range is
tried alone on that base. Declared incompatibilities are tried in pairs.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeGuard

from gan_tune.config import (
    KEYS_FOR_BOTH,
    PART_FIELDS,
    Catalogue,
    Draft,
    Incompatibility,
    Objective,
    TrialConfig,
    place_and_word,
)
from gan_tune.errors import ConfigError, Fault
from gan_tune.space.grammar import ELSEWHERE
from gan_tune.space.nested_form import Cause, nested_form
from gan_tune.space.nodes import Branch, dimensions_of, settle, under
from gan_tune.space.ranges import Choice, Dimension, Scalar, as_written, same_value
from gan_tune.space.start_from import Match, Mismatch
from gan_tune.words.wording import shown, unknown_key

__all__ = ["SpaceCheck"]

Tried = tuple[tuple[Dimension, Scalar], ...]

MANY_OPTIONS = 32


@dataclass
class SpaceCheck:
    """One check of a space's tree.

    ``raw`` is the file's `trial`, and ``root`` is its parsed tree. ``fixed`` are the fields of a
    trial config that are elsewhere in the file (objective, steps, evaluations).
    """

    raw: Mapping[str, Any]
    root: Branch
    fixed: Mapping[str, Any]
    catalogue: Catalogue
    dimensions: tuple[Dimension, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.dimensions = tuple(dimensions_of(self.root))

    def faults(self, *, check_data: bool) -> list[Fault]:
        """All faults, each once, at its place in the file."""
        found = [*self._single_faults(), *self._clash_faults()]
        return [*found, *self._outside_faults(check_data=check_data)]

    def tries(self) -> int:
        """How many settings are tried: one for each option, and for each pair that a rule reads."""
        rules = (*self.catalogue.incompatibilities, *self.catalogue.advice)
        pairs = (len(_extremes(a)) * len(_extremes(b)) for a, b in self._compared(rules))
        return sum(len(dimension.values) for dimension in self.dimensions) + sum(pairs)

    def settled(self, values: Mapping[str, Scalar]) -> tuple[dict[str, Any], dict[str, str]]:
        """The trial's tree for some values, the base for the others; path → name in the file."""
        names: dict[str, str] = {}
        tree = settle(self.root, lambda d: values.get(d.name, d.values[0]), names)
        return {**tree, **self.fixed}, names

    def draft(self, values: Mapping[str, Scalar]) -> Draft[TrialConfig]:
        """The trial config for some values, the base for all others."""
        tree, _ = self.settled(values)
        return TrialConfig.draft(tree, self.catalogue)

    def extra_mismatches(self, match: Match) -> list[Mismatch]:
        """Leaves of a first setting that the space lacks and that differ from the default."""
        draft = self.draft(match.values)
        if draft.config is None:
            return []
        tree = draft.config.tree()
        tree |= {word: tree[names[0]] for word, names in KEYS_FOR_BOTH.items()}
        mismatches = []
        for place, given in match.extra:
            if place[0] not in draft.broken:
                rule = _extra_rule(tree, place, given)
                mismatches += [Mismatch(place, rule, shown(given))] if rule else []
        return mismatches

    # ---- one at a time --------------------------------------------------------------------

    def _singles(self) -> Iterator[Tried]:
        yield ()
        for dimension in self.dimensions:
            for value in dimension.values:
                yield ((dimension, value),)

    def _single_faults(self) -> list[Fault]:
        catalogue = replace(
            self.catalogue, incompatibilities=(), build=_build_once(self.catalogue.build)
        )
        told: set[tuple[str, ...]] = set()
        found: list[Fault] = []
        for tried in self._singles():
            tree, names = self.settled(_assignment(tried) or {})
            try:
                TrialConfig.from_tree(tree, catalogue)
            except ConfigError as error:
                for fault in error.faults:
                    placed = replace(fault, path=_name_in_file(fault.path, names, tree))
                    news = _what_is_new(placed, tried)
                    if news not in told:
                        found.append(_with_cause(placed, tried))
                    told |= {(placed.path, placed.rule), (placed.path, placed.rule, placed.given)}
        return found

    # ---- in pairs -------------------------------------------------------------------------

    def advice(self) -> list[str]:
        """One sentence for each rule of the literature that some setting breaks.

        The settings tried differ from the base in at most two ranges. The space must have no
        faults.
        """
        return [
            f"{rule.fields[0]}: {rule.reason}" for rule, _ in self._clashes(self.catalogue.advice)
        ]

    def _clash_faults(self) -> list[Fault]:
        """One fault for each rule that some setting breaks."""
        rules = self.catalogue.incompatibilities
        return [self._clash_fault(rule, values) for rule, values in self._clashes(rules)]

    def _clashes(
        self, declared: Sequence[Incompatibility]
    ) -> Iterator[tuple[Incompatibility, dict[str, Scalar]]]:
        """Each rule that some setting breaks, once, with the values of such a setting."""
        # Nothing can be said of a part that is broken anyway, and each try takes a millisecond.
        broken = self.draft({}).broken
        open_rules = [rule for rule in declared if rule.touches.isdisjoint(broken)]
        concerns = functools.cache(_concerns)
        for tried in itertools.chain(self._singles(), self._pairs(open_rules)):
            dimensions = tuple(dimension for dimension, _ in tried)
            rules = [rule for rule in open_rules if concerns(rule, dimensions)]
            values = _assignment(tried)
            if not rules or values is None:
                continue
            for rule in self._broken(rules, values):
                open_rules.remove(rule)
                yield rule, values

    def _pairs(self, declared: Sequence[Incompatibility]) -> Iterator[Tried]:
        """Every two options that a rule reads; of many numbers the least and the largest."""
        for one, other in self._compared(declared):
            for values in itertools.product(_extremes(one), _extremes(other)):
                yield ((one, values[0]), (other, values[1]))

    def _compared(
        self, declared: Sequence[Incompatibility]
    ) -> Iterator[tuple[Dimension, Dimension]]:
        """Every two ranges that a rule reads."""
        concerned = functools.cache(
            lambda fields: any(_touches(rule, fields) for rule in declared)  # the same for many
        )
        for one, other in itertools.combinations(self.dimensions, 2):
            if concerned(frozenset((one.field, other.field))):
                yield one, other

    def _broken(
        self, rules: Sequence[Incompatibility], values: Mapping[str, Scalar]
    ) -> list[Incompatibility]:
        draft = self.draft(values)
        if draft.config is None:
            return []
        sound = [rule for rule in rules if rule.touches.isdisjoint(draft.broken)]
        return [rule for rule in sound if rule.clash(draft.config)]

    def _clash_fault(self, rule: Incompatibility, values: Mapping[str, Scalar]) -> Fault:
        causes = self._causes(rule, values)
        config = self.draft(values).config
        assert config is not None  # it broke the rule
        if not causes:
            return rule.fault(config)
        first, *others = causes
        name, value = first.dimension.name, as_written(first.bad)
        if not others:
            field = first.dimension.field
            own = (field, *KEYS_FOR_BOTH.get(field, ()))
            with_what = next((f for f in rule.fields if f.split(".")[0] not in own), rule.fields[1])
            other = place_and_word(config, with_what)
            return Fault(name, f"{value} does not go with {other}: {rule.reason}")
        pair = " and ".join(f"{other.dimension.name} = {as_written(other.bad)}" for other in others)
        instead = nested_form(self.raw, causes)
        text = f"{value} does not go with {pair}: {rule.reason}; nest them instead: {instead}"
        return Fault(name, text)

    def _causes(self, rule: Incompatibility, values: Mapping[str, Scalar]) -> list[Cause]:
        """The dimensions for which another value would avoid the clash."""
        active: dict[Dimension, Scalar] = {}

        def decide(dimension: Dimension) -> Scalar:
            active[dimension] = values.get(dimension.name, dimension.values[0])
            return active[dimension]

        settle(self.root, decide)
        causes = []
        for dimension, bad in active.items():
            if not _concerns(rule, (dimension,)):
                continue
            others = [value for value in dimension.values if value != bad]
            good = [v for v in others if not self._broken([rule], {**values, dimension.name: v})]
            if good:
                causes.append(Cause(dimension, bad, tuple(good)))
        return causes

    # ---- outside the trial ----------------------------------------------------------------

    def _outside_faults(self, *, check_data: bool) -> list[Fault]:
        """The faults of the data, and of measuring the objective on them."""
        base = self.draft({})
        if base.config is None or "data" in base.broken:
            return []
        found = []
        if "objective" not in base.broken:
            found += self.objective_faults(base.config.objective)
        fault = self.catalogue.check_data(base.config.data) if check_data else None
        return [*found, fault] if fault is not None else found

    def objective_faults(self, objective: Objective, place: str = "objective") -> list[Fault]:
        """The faults of measuring an objective, written at ``place``, on the data."""
        base = self.draft({})
        if base.config is None or "data" in base.broken:
            return []
        rule = self.catalogue.check_objective(objective, base.config.data)
        if rule is None:
            return []
        turned = Objective(metric=objective.metric, mode=OTHER_MODE[objective.mode])
        if self.catalogue.check_objective(turned, base.config.data) is None:
            return [Fault(f"{place}.mode", rule, shown(objective.mode))]
        return [Fault(f"{place}.metric", rule, shown(objective.metric))]


OTHER_MODE: Mapping[str, Literal["min", "max"]] = {"min": "max", "max": "min"}


def _extra_rule(tree: Mapping[str, Any], place: Sequence[str], given: Any) -> str | None:
    """The rule that a leaf breaks, if `trial` does not mention it."""
    if place[0] in ELSEWHERE:
        return ELSEWHERE[place[0]].replace("in trial", "in start_from")
    here: Any = tree
    for step in place:
        if not isinstance(here, Mapping):
            break  # the entry has a mapping where the default is a list or a plain value
        if step not in here:
            return unknown_key(step, here, given, owner=_owner(here)).rule
        here = here[step]
    plain: Any = json.loads(json.dumps(here, default=str))
    if plain == given or (isinstance(plain, Mapping) and _fits(plain, given)):
        return None
    return f"is not in trial, where it keeps its default {shown(plain)}"


def _owner(here: Any) -> str:
    return str(here["name"]) if isinstance(here, Mapping) and "name" in here else "a trial"


def _fits(default: Mapping[str, Any], given: Any) -> bool:
    """Whether a part, or some of its arguments, equals the default."""
    if isinstance(given, str):
        given = {"name": given}
    if given is None:
        given = {"name": "none"}
    if not isinstance(given, Mapping):
        return False
    return all(key in default and default[key] == value for key, value in given.items())


def _assignment(tried: Tried) -> dict[str, Scalar] | None:
    """The values with which all tried dimensions exist; None if that is impossible."""
    values: dict[str, Scalar] = {}
    for dimension, value in tried:
        for name, needed in (*dimension.conditions, (dimension.name, value)):
            if not same_value(values.setdefault(name, needed), needed):
                return None
    return values


def _concerns(rule: Incompatibility, dimensions: Sequence[Dimension]) -> bool:
    return _touches(rule, {dimension.field for dimension in dimensions})


def _touches(rule: Incompatibility, fields: Collection[str]) -> bool:
    touched = {"", *rule.touches}
    touched |= {word for word, names in KEYS_FOR_BOTH.items() if not touched.isdisjoint(names)}
    return touched.issuperset(fields)


def _extremes(dimension: Dimension) -> Sequence[Scalar]:
    """Of many numbers the least and the largest: each pair of a long choice would take long."""
    if len(dimension.values) <= MANY_OPTIONS:
        return dimension.values
    numbers = [value for value in dimension.values if _is_number(value)]
    if len(numbers) < len(dimension.values):
        return dimension.values
    return list(dict.fromkeys((min(numbers), max(numbers))))


def _is_number(value: Scalar) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _build_once(
    build: Callable[[TrialConfig], Sequence[Fault]],
) -> Callable[[TrialConfig], Sequence[Fault]]:
    """``build`` with a cache.

    Real numbers do not affect shapes, so they are ignored, except in a user's own parts.
    """
    known: dict[str, Sequence[Fault]] = {}

    def build_once(config: TrialConfig) -> Sequence[Fault]:
        parts = (getattr(config, field) for field in PART_FIELDS)
        shapes = [
            part.tree() if ":" in part.name else _without_reals(part.tree())
            for part in (*parts, *config.penalties)
        ]
        key = json.dumps(shapes, sort_keys=True, default=str)
        if key not in known:
            known[key] = tuple(build(config))
        return known[key]

    return build_once


def _without_reals(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_reals(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_reals(inner) for inner in value]
    return "real" if isinstance(value, float) else value


def _name_in_file(path: str, names: Mapping[str, str], tree: Mapping[str, Any]) -> str:
    """The file's name for a dotted path of the resolved tree."""
    steps = path.split(".")
    for length in range(len(steps), 0, -1):
        above = ".".join(steps[:length])
        if above in names:
            below = steps[length:]
            # A part that is given by its name only has nothing below it in the file.
            plain = not isinstance(_at(tree, steps[:length]), (Mapping, list))
            return names[above] if plain else ".".join([names[above], *below])
    return path


def _at(tree: Any, steps: Sequence[str]) -> Any:
    """The value at a path of a tree; None if there is none, because a key contains a dot."""
    for step in steps:
        if isinstance(tree, list):
            tree = dict(enumerate(tree)).get(int(step) if step.isdecimal() else -1)
        elif isinstance(tree, Mapping):
            tree = tree.get(step)
        else:
            return None
    return tree


def _what_is_new(fault: Fault, tried: Tried) -> tuple[str, ...]:
    """The key by which equal faults are found. Both ends of a range may break the same rule."""
    options = any(isinstance(dimension, Choice) for dimension, _ in tried)
    return (fault.path, fault.rule, fault.given) if options else (fault.path, fault.rule)


def _with_cause(fault: Fault, tried: Tried) -> Fault:
    """The fault with the tried values added, if its place does not show them."""
    for dimension, value in tried:
        if not under(fault.path, dimension.name):
            rule = f"{fault.rule} (with {dimension.name} = {as_written(value)})"
            return replace(fault, rule=rule)
    return fault
