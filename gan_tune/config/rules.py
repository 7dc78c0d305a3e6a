"""Rules about combinations: inside a trial, and in the search of a space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gan_tune.config.parts import Part
from gan_tune.config.trial import KEYS_FOR_BOTH, TrialConfig
from gan_tune.errors import Fault

__all__ = ["Incompatibility", "Ranged", "SearchPlan", "SearchRule", "place_and_word"]


@dataclass(frozen=True)
class Incompatibility:
    """Two parts (or settings of them) that do not work together, and why.

    ``fields`` are the dotted places in a trial config that ``clash`` reads.
    """

    fields: tuple[str, str]
    reason: str
    clash: Callable[[TrialConfig], bool]

    @property
    def touches(self) -> frozenset[str]:
        """The fields of a trial config that the rule reads."""
        heads = {place.split(".")[0] for place in self.fields}
        return frozenset(
            heads.union(*(KEYS_FOR_BOTH[head] for head in heads if head in KEYS_FOR_BOTH))
        )

    def fault(self, config: TrialConfig) -> Fault:
        """The rule as a fault of a trial config that breaks it."""
        one, other = self.fields
        text = f"{_word_at(config, one)} does not go with {place_and_word(config, other)}"
        return Fault(one, f"{text.strip()}: {self.reason}")


def place_and_word(config: TrialConfig, place: str) -> str:
    """A dotted place of a config, with its value if that is one word."""
    word = _word_at(config, place)
    return f"{place} = {word}" if word else place


def _word_at(config: TrialConfig, place: str) -> str:
    head, *below = place.split(".")
    value = getattr(config, head, None)
    if below and isinstance(value, Part):
        value = value.args.get(below[0])
    if isinstance(value, Part):
        return value.name
    if isinstance(value, tuple):
        return ", ".join(part.name for part in value if isinstance(part, Part))
    return str(value) if isinstance(value, (str, int, float)) else ""


class Ranged(Protocol):
    """One value that a search decides; implemented by :class:`gan_tune.space.Dimension`."""

    @property
    def field(self) -> str:
        """The field of a trial config that it belongs to."""

    @property
    def conditions(self) -> Sequence[Any]:
        """The choices above it."""


@dataclass(frozen=True)
class SearchPlan:
    """How a space is searched.

    ``objectives`` are metrics. ``starts`` is the number of settings to start from, ``trials`` that
    of all settings (infinite if only time ends the search), ``distinct`` that of the settings which
    the space has, ``seeds`` that of each setting's seeds. ``sampler_given`` is whether the file
    names a sampler, ``bred`` whether the scheduler is a population.
    """

    sampler: Part
    scheduler: Part
    ranges: Sequence[Ranged]
    objectives: Sequence[str]
    trials: float
    distinct: float
    starts: int
    seeds: int
    prune_on: str | None
    sampler_given: bool
    bred: bool


@dataclass(frozen=True)
class SearchRule:
    """Something that a search cannot do, and the two places in the space file that request it."""

    fields: tuple[str, str]
    reason: str
    clash: Callable[[SearchPlan], bool]

    def fault(self) -> Fault:
        """The rule as a fault of a space file."""
        return Fault(self.fields[0], f"does not go with {self.fields[1]}: {self.reason}")
