"""Recognises problems of adversarial training from the figures of a trial's reports.

Each symptom is a pure function of the trial's history: one :class:`Vitals` per report, oldest
first. The thresholds are rules of thumb, stated here and in docs/reference/metrics.md. A symptom is
a hint for people; it never stops a trial.
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
    "repeating",
    "symptoms",
    "vanishing",
    "vitals_of",
]

VANISHING = 1e-2
"""The generator's gradient has vanished if its mean norm is below this share of its largest."""
SILENT = 1e-7
"""Below this, the generator's mean gradient norm consists of rounding errors only."""
EXPLODING = 50.0
"""A gradient explodes if its norm reaches this many times its mean over the earlier reports."""
DOMINATED = 0.99
"""Accuracy on real and on fake samples beyond which the discriminator dominates."""
SWING = 1.5
"""Smallest ratio between two successive turning points that counts as a swing."""
NOISE = 3.0
"""This many times its noise is added to the objective, so that smaller changes do not count."""
SLIGHT = 0.01
"""This share of the largest objective so far is added instead, if it is more than the noise."""
SWINGS = 4
"""Number of swings that counts as an oscillation."""
FAITHFUL = 0.35
"""A part of the data can be missed only if density, or the share on modes, reaches this value."""
CROWDED = 0.5
"""Samples crowd on a part of the data if coverage / density (at most 1) is below this."""
REPEATED = 0.4
"""Samples repeat if so much smaller a share of them is distinct than of real ones."""
DROPPED_REPORTS = 2
"""Number of successive last reports that must all show dropped modes, or repeated samples."""


class Vitals(NamedTuple):
    """The figures of one report about the training since the last one.

    They are the means (and largest values) of both players' gradient norms before clipping, the
    discriminator's mean accuracy on real and on fake samples, and the objective. All of them may be
    NaN. ``noise`` is how much the objective varies between draws of samples, in its own units.
    Discriminator figures are None if it made no step, as in a ``block`` of generator steps.

    ``modes_missed`` and ``high_quality_share`` exist for mixtures, ``density``, ``coverage`` and
    ``distinct`` (the metric `distinct_share`) for all other data.
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
    distinct: float | None = None


def vitals_of(
    scalars: Mapping[str, float], value: float, noise: float, *, modes: int | None
) -> Vitals:
    """The vitals of a report with these scalars; ``modes`` are a mixture's modes, if it is one."""
    if modes is None:
        spread = {name: scalars[name] for name in ("density", "coverage")}
        if "distinct_share" in scalars:  # a judge of one's own may lack it
            spread["distinct"] = scalars["distinct_share"]
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
    """The generator's gradient vanished: ‖g‖ fell below a hundredth of its former value, or was
    never above rounding errors.

    The saturating loss causes this if the discriminator wins (Arjovsky and Bottou 2017).
    """
    means = [vitals.generator_norm for vitals in history if math.isfinite(vitals.generator_norm)]
    return bool(means) and means[-1] < max(VANISHING * max(means), SILENT)


def exploding(history: Sequence[Vitals]) -> bool:
    """A gradient norm is not finite, or rose to 50 times its earlier mean."""
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
    """The discriminator separated real from fake almost perfectly in over half of its reports."""
    won = [
        min(vitals.accuracy_real, vitals.accuracy_fake) > DOMINATED
        for vitals in history
        if vitals.accuracy_real is not None and vitals.accuracy_fake is not None
    ]
    return sum(won) > len(won) / 2


def oscillating(history: Sequence[Vitals]) -> bool:
    """The objective rose and fell repeatedly by at least half of its value.

    Ratios have no meaning near 0, where shares, divergences and unbiased distances may lie. So a
    small amount that is indistinguishable from 0 is added first.
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
    """Samples resemble only a part of the data, in each of the last two reports.

    For a mixture: a mode is missed although a third of the samples lie on modes. For other data:
    samples lie where the data are dense, but most data have no sample nearby, so coverage is below
    half of density. For real samples the two are about equal (Naeem et al. 2020).
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


def repeating(history: Sequence[Vitals]) -> bool:
    """The same few samples come over and over, in each of the last two reports.

    Far fewer of them are distinct than of as many real samples.
    """
    last = history[-DROPPED_REPORTS:]
    return len(last) == DROPPED_REPORTS and all(
        vitals.distinct is not None and vitals.distinct < REPEATED for vitals in last
    )


SYMPTOMS: dict[str, Callable[[Sequence[Vitals]], bool]] = {
    "vanishing": vanishing,
    "exploding": exploding,
    "oscillating": oscillating,
    "dominated": dominated,
    "mode_dropping": mode_dropping,
    "repeating": repeating,
}


def symptoms(history: Sequence[Vitals]) -> tuple[str, ...]:
    """The names of the symptoms that a history shows."""
    return tuple(name for name, shows in SYMPTOMS.items() if shows(history))
