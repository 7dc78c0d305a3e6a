"""The result of a search, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gan_tune.searching.study.leaderboard_row import best_by_origin
from gan_tune.words.readable import number

if TYPE_CHECKING:
    from gan_tune.service import SearchResult

__all__ = ["registered", "verdict", "what_mattered"]


def verdict(result: SearchResult) -> Iterator[str]:
    """The result of a search in lines: the gain, the picture, and the registered model."""
    metric, champion = result.metric, result.champion
    if champion is None:
        if result.finished:
            yield (
                "no champion: no trial completed with a finite value; if most diverged, lower "
                "the learning rates, clip the gradients, or see `divergence` in "
                "docs/reference/space-file.md"
            )
        return
    if champion.setting == 0:
        yield "the first setting is the champion: the search found nothing better"
    elif result.gain is not None:
        yield from _gain_on_test(result)
    else:
        if f"test.{metric}" in result.test:
            yield f"test split: {metric} {number(result.test[f'test.{metric}'])}"
        elif result.test:
            yield f"test split: no {metric}, which is measured on a trial's own networks alone"
        if champion.confirmed:
            yield _gain_in_search(result)
    yield from _by_origin(result)
    floor = result.test.get(f"test.floor.{metric}")
    if floor is not None:
        yield f"for comparison, real samples against real samples: {number(floor)}"
    yield from _examined(result.examination)
    if result.grid:
        yield f"samples: {result.grid}"
    yield from registered(result)


def registered(result: SearchResult) -> Iterator[str]:
    """Which version the champion has become, and whether it leads; or why it is none."""
    if result.model:
        yield f"registered: {result.model}/{result.model_version}, {_promotion(result)}"
    elif result.is_withheld or result.is_removed:
        yield f"not registered ({result.model_note})"
    elif result.model_note:
        yield f"registered: {result.model_note}"


def _examined(found: Mapping[str, Any]) -> Iterator[str]:
    """How far it is, how many of its samples are distinct, and what speaks against it."""
    if found.get("farness") is not None:
        yield f"how far: {found['farness']:.0%} (0 %: as real samples, 100 %: as the mean of all)"
    if found.get("distinct_share") is not None:
        yield f"distinct samples: {found['distinct_share']:.0%} of those among as many real ones"
    if found.get("copies") is not None:
        yield (
            f"nearer to the training data than most fresh data are: {found['copies']:.0%} of the "
            f"samples, {found['copies_of_selection']:.0%} of fresh data"
        )
    yield from found.get("faults", ())


def _by_origin(result: SearchResult) -> Iterator[str]:
    """What the search adds over its starts, if both are known."""
    best = best_by_origin(result.rows, result.objective)
    if len(best) > 1:
        told = ", ".join(f"{origin} {number(row.value)}" for origin, row in best.items())
        yield f"best on the selection split, by where the setting comes from: {told}"


def _gain_on_test(result: SearchResult) -> Iterator[str]:
    """The test figures of the champion and the first setting, over equal seeds."""
    metric = result.metric
    mine, first = (number(result.test[f"test.{who}.{metric}"]) for who in ("mean", "first"))
    ratio = f"(ratio {result.gain:.3g}, {result.objective.direction})"
    fewer = result.test.get(f"test.beside_first.{metric}")
    if fewer is None:
        yield f"test split: {metric} {mine}; the first setting has {first} {ratio}"
    else:
        yield f"test split: {metric} {mine}"
        yield f"over as many seeds as the first setting: {number(fewer)} against {first} {ratio}"


def _gain_in_search(result: SearchResult) -> str:
    """The gain over a first setting for whose confirmation there was no time."""
    known = result.at_equal_steps
    if known is None or not known["first"]:
        return "gain over the first setting: not measured"
    mine, first = known["champion"], known["first"]
    return (
        f"gain over the first setting, at equal steps ({known['step']:,}, one seed each, selection "
        f"split): {number(mine)} against {number(first)} (ratio {mine / first:.3g}, "
        f"{result.objective.direction})"
    )


def what_mattered(importances: Mapping[str, Any], *, top: int = 3) -> Iterator[str]:
    """The most important parameters with their shares, line by line.

    ``importances`` are those of `result.json`. There are no lines if it has none.
    """
    shares = importances.get("shares", {})
    if shares:
        yield (
            f"what mattered (PED-ANOVA: share in reaching the best quarter; "
            f"{importances['settings']} settings at step {importances['step']:,}):"
        )
    for name, share in list(shares.items())[:top]:
        yield f"  {share:4.0%}  {name}"


def _promotion(result: SearchResult) -> str:
    promoted = "now the champion" if result.promoted else "not the champion"
    return f"{promoted} ({result.model_note})" if result.model_note else promoted
