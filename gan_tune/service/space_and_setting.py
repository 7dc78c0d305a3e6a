"""A checked space, and one setting of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from gan_tune.config import TrialConfig
from gan_tune.config.import_path import own_parts_uncalled
from gan_tune.errors import Fault, SpaceError
from gan_tune.parts.all_parts import catalogue
from gan_tune.service.optuna_stand_ins import Decided, Draws, LowEnds
from gan_tune.space import SearchSpace
from gan_tune.words.wording import did_you_mean


def load_space(
    source: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    check_data: bool = True,
) -> SearchSpace:
    """Load and check a space against all known parts.

    Without ``check_data`` the user's own parts are imported, but not called: what only their
    networks or data would show is not checked.

    Raises:
        SpaceError: with every fault found.
    """
    with nullcontext() if check_data else own_parts_uncalled():
        return SearchSpace.load(source, catalogue(), overrides=overrides, check_data=check_data)


def first_setting(
    space: SearchSpace, given: Sequence[str] = (), *, seed: int | None = None
) -> TrialConfig:
    """One setting of a space: its first `start_from`, overridden by the values ``given``.

    Args:
        space: a checked space.
        given: `NAME=VALUE` texts, each a dimension by its name in :meth:`SearchSpace.dimensions`.
        seed: the trial's seed. With a seed, values that are left open are drawn at random. Without
            one, they are the first option or the low end of the range, and the trial's seed is 0.

    Raises:
        SpaceError: a dimension does not exist or a value is outside its range; lists all faults.
    """
    known = {dimension.name: dimension for dimension in space.dimensions()}
    decided: dict[str, Any] = dict(space.starts[0]) if space.starts else {}
    faults: list[Fault] = []
    asked: list[str] = []
    for text in given:
        name, equals, written = text.partition("=")
        if not equals or name not in known:
            faults.append(Fault(f"--setting {text}", _broken_rule(name, equals, known)))
            continue
        decided[name] = known[name].read(written)
        asked.append(name)
        rule = known[name].broken_rule(decided[name])
        if rule is not None:
            faults.append(Fault(f"--setting {text}", rule))
    if faults:
        raise SpaceError(faults, space.name)
    rest = LowEnds() if seed is None else Draws(seed)
    choice = Decided(decided, rest)
    config = space.sample(choice, seed=seed or 0)
    idle = [name for name in asked if name not in choice.used]
    if idle:
        rules = [f"is there only where {known[name].condition}" for name in idle]
        raise SpaceError(
            [Fault(f"--setting {n}", rule) for n, rule in zip(idle, rules, strict=True)], space.name
        )
    return config


def _broken_rule(name: str, equals: str, known: Iterable[str]) -> str:
    if not equals:
        return "must be NAME=VALUE, such as loss=hinge"
    hint = did_you_mean(name, known) or "; gan-tune show lists them"
    return f"the space has no such range{hint}"
