"""Decides whether a registered generator becomes the champion of its model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gan_tune.config import Objective
from gan_tune.errors import TrackingError
from gan_tune.record.sound_tags import VersionTags, read_tags, warn_once

__all__ = ["ALIAS", "Measured", "Promotion", "decide_promotion"]

ALIAS = "champion"
"""MLflow's alias of the best version of a model."""


@dataclass(frozen=True)
class Measured:
    """A version of a model and how good it is.

    Attributes:
        value: the objective on the selection split; None if it is not known.
        comparable: objective, mode, data and metric version as a text; values may be compared only
            if their texts are equal.
        confirmed_seeds: number of fresh seeds over which ``value`` is the mean; 0: unconfirmed.
        mode: of the objective.
    """

    version: int
    value: float | None
    comparable: str | None
    confirmed_seeds: int
    mode: Literal["min", "max"] = "min"

    @classmethod
    def from_tags(cls, name: str, version: int, tags: Mapping[str, str]) -> Measured:
        """Read it from the tags of a version of the model ``name``.

        Of one whose tags are damaged nothing is known, which a warning says.
        """
        try:
            found = read_tags(VersionTags, tags, f"model {name}/{version}")
        except TrackingError as error:
            warn_once(str(error))
            return cls(version, None, None, 0)
        return cls(version, found.value, found.comparable, found.confirmed_seeds, found.mode)


@dataclass(frozen=True)
class Promotion:
    """Whether a version becomes the champion, and why.

    Attributes:
        promoted: whether it does.
        reason: why, or why not.
        advice: what a search can do about it; empty if there is nothing to say.
    """

    promoted: bool
    reason: str
    advice: str = ""


def decide_promotion(
    champion: Measured | None, candidate: Measured, *, model: str, objective: Objective
) -> Promotion:
    """Whether ``candidate`` replaces the present ``champion`` of a model.

    If the values are not comparable, the champion stays. An unconfirmed value may be luck: it never
    beats a confirmed one, and any confirmed one beats it. Otherwise the better value wins; if the
    values are equal, the champion stays.
    """
    if champion is None:
        return Promotion(True, f"the first {ALIAS} of {model}")
    number = champion.version
    if number == candidate.version:
        return Promotion(True, f"version {number} is the {ALIAS} already")
    value, best = candidate.value, champion.value
    if champion.comparable != candidate.comparable or value is None or best is None:
        return Promotion(
            False,
            f"version {number} stays {ALIAS}: it was measured by "
            f"{champion.comparable or 'nothing known'}, this one by "
            f"{candidate.comparable or 'nothing known'}",
            f"give another name (--model OTHERNAME) or delete the alias {ALIAS}",
        )
    seeds, champion_seeds = candidate.confirmed_seeds, champion.confirmed_seeds
    if champion_seeds and not seeds:
        return Promotion(
            False,
            f"version {number} stays {ALIAS}: its {best:g} is confirmed (seeds: {champion_seeds}), "
            f"and {value:g} is not",
        )
    if seeds and not champion_seeds:
        return Promotion(
            True, f"{value:g} is confirmed (seeds: {seeds}), and version {number}'s {best:g} is not"
        )
    if objective.better(value, best):
        return Promotion(True, f"{value:g} beats version {number}'s {best:g}")
    return Promotion(
        False, f"version {number} stays {ALIAS}: its {best:g} is not beaten by {value:g}"
    )
