"""Troubles of adversarial training, told from the figures of a trial's reports.

Each symptom is a pure function of the trial's history: one :class:`Vitals` a report, oldest first.
The thresholds are rules of thumb, stated here and in docs/reference/metrics.md; a symptom is a
hint for people, it stops nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

__all__ = [
    "SYMPTOMS",
    "Vitals",
    "dominated",
    "exploding",
    "mode_dropping",
    "oscillating",
    "symptoms",
    "vanishing",
    "vitals_of",
]

VANISHING = 1e-2
"""Share of its largest mean under which the generator's mean gradient norm has vanished."""
SILENT = 1e-7
"""Mean gradient norm of the generator under which there is nothing but rounding."""
EXPLODING = 50.0
"""Times its mean over the reports before that a gradient norm may reach."""
DOMINATED = 0.99
"""Accuracy on real and on fake samples beyond which the discriminator dominates."""
SWING = 1.5
"""Least ratio between a value and the next turning point for the way to be a swing."""
NOISE = 3.0
"""Times its noise that is added to the objective: what lies below it counts as still."""
SLIGHT = 0.01
"""Share of the largest objective seen that is added to it where that is more than the noise."""
SWINGS = 4
"""So many swings make an oscillation."""
FAITHFUL = 0.35
"""Share of samples on the modes of a mixture, or density, from which on a part can be missed."""
CROWDED = 0.5
"""Coverage over density (at most 1) under which samples crowd on a part of the data."""
DROPPED_REPORTS = 2
"""So many reports in a row, the last ones, show dropped modes."""


class Vitals(NamedTuple):
    """What one report says of the training since the last one.

    Means (and largest values) of both players' gradient norms before clipping, the
    discriminator's mean accuracy on real and on fake samples, and the objective, all of them
    possibly NaN; ``noise`` is by how much the objective changes with the draw of the samples alone,
    in its units. What is of the discriminator is None where it made no step, as in a ``block`` of
    the generator alone.

    ``modes_missed`` and ``high_quality_share`` are known of a mixture, ``density`` and ``coverage``
    of any other data.
    """

    generator_norm: float
    generator_norm_max: float
    discriminator_norm: float | None
    discriminator_norm_max: float | None
    accuracy_real: float | None
    accuracy_fake: float | None
    value: float
    noise: float = 0.0
    modes_missed: float | None = None
    high_quality_share: float | None = None
    density: float | None = None
    coverage: float | None = None


def vitals_of(
    scalars: Mapping[str, float], value: float, noise: float, *, modes: int | None
) -> Vitals:
    """The vitals of a report with these scalars; ``modes`` are those of a mixture, if it is one."""
    if modes is None:
        spread = {name: scalars[name] for name in ("density", "coverage")}
    else:
        spread = {
            "modes_missed": modes - scalars["modes_covered"],
            "high_quality_share": scalars["high_quality_share"],
        }
    return Vitals(
        scalars["generator_gradient_norm"],
        scalars["generator_gradient_norm_max"],
        scalars.get("discriminator_gradient_norm"),
        scalars.get("discriminator_gradient_norm_max"),
        scalars.get("discriminator_accuracy_real"),
        scalars.get("discriminator_accuracy_fake"),
        value,
        noise,
        **spread,
    )


def vanishing(history: Sequence[Vitals]) -> bool:
    """The generator hears nothing (any more): ‖g‖ fell under a hundredth of what it was, or never
    was more than rounding.

    The saturating loss does this where the discriminator wins (Arjovsky and Bottou 2017).
    """
    means = [vitals.generator_norm for vitals in history if math.isfinite(vitals.generator_norm)]
    return bool(means) and means[-1] < max(VANISHING * max(means), SILENT)


def exploding(history: Sequence[Vitals]) -> bool:
    """A gradient norm that is not finite, or leapt to 50 times its mean before."""
    return _leaps((v.generator_norm, v.generator_norm_max) for v in history) or _leaps(
        (v.discriminator_norm, v.discriminator_norm_max) for v in history
    )


def _leaps(mean_and_peak: Iterable[tuple[float | None, float | None]]) -> bool:
    norms = [(mean, peak) for mean, peak in mean_and_peak if mean is not None and peak is not None]
    totals = itertools.accumulate(mean for mean, _ in norms)
    leap = any(
        peak > EXPLODING * total / reports
        for reports, (total, (_, peak)) in enumerate(zip(totals, norms[1:], strict=False), 1)
    )
    return leap or not all(math.isfinite(peak) for _, peak in norms)


def dominated(history: Sequence[Vitals]) -> bool:
    """The discriminator told real from fake almost perfectly in over half of its reports."""
    won = [
        min(vitals.accuracy_real, vitals.accuracy_fake) > DOMINATED
        for vitals in history
        if vitals.accuracy_real is not None and vitals.accuracy_fake is not None
    ]
    return sum(won) > len(won) / 2


def oscillating(history: Sequence[Vitals]) -> bool:
    """The objective went up and down again and again by half of itself and more.

    A ratio means nothing next to 0, where shares, divergences and unbiased distances may lie: so
    some of what cannot be told from 0 is added first.
    """
    told = [vitals for vitals in history if math.isfinite(vitals.value)]
    if not told:
        return False
    largest = max(abs(vitals.value) for vitals in told)
    values = [max(v.value, 0) + max(NOISE * v.noise, SLIGHT * largest) for v in told]
    swings, falling, extreme = 0, True, values[0]
    for value in values:
        turned = value > SWING * extreme if falling else value * SWING < extreme
        if turned:
            swings, falling = swings + 1, not falling
        if turned or (value < extreme) == falling:
            extreme = value
    return swings >= SWINGS


def mode_dropping(history: Sequence[Vitals]) -> bool:
    """Samples are like the data, but only like a part of them, in the last two reports.

    Of a mixture, a mode is missed while a third of the samples lie on modes. Of other data, samples
    lie where the data are dense and yet leave most of them without a sample nearby: coverage is
    under half of density, and the two are alike for real samples (Naeem et al. 2020).
    """
    last = history[-DROPPED_REPORTS:]
    return len(last) == DROPPED_REPORTS and all(_misses_modes(v) or _crowds(v) for v in last)


def _misses_modes(vitals: Vitals) -> bool:
    share, missed = vitals.high_quality_share, vitals.modes_missed
    return share is not None and missed is not None and share >= FAITHFUL and missed > 0


def _crowds(vitals: Vitals) -> bool:
    density, coverage = vitals.density, vitals.coverage
    if density is None or coverage is None:
        return False
    return density >= FAITHFUL and coverage < CROWDED * min(density, 1)


SYMPTOMS: dict[str, Callable[[Sequence[Vitals]], bool]] = {
    "vanishing": vanishing,
    "exploding": exploding,
    "oscillating": oscillating,
    "dominated": dominated,
    "mode_dropping": mode_dropping,
}


def symptoms(history: Sequence[Vitals]) -> tuple[str, ...]:
    """The names of the symptoms that a history shows."""
    return tuple(name for name, shows in SYMPTOMS.items() if shows(history))
