"""The result of a search, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gan_tune.words.readable import number

if TYPE_CHECKING:
    from gan_tune.service import SearchResult

__all__ = ["verdict", "what_mattered"]


def verdict(result: SearchResult) -> Iterator[str]:
    """What came of a search, line by line: the gain, the picture, and what was registered."""
    metric, champion = result.metric, result.champion
    if champion is None:
        if result.finished:
            yield (
                "no champion: no trial stayed in good health; where most diverged, lower "
                "the learning rates, clip the gradients, or see `divergence` in "
                "docs/reference/space-file.md"
            )
        return
    mine, first = (result.test.get(f"test.{who}.{metric}") for who in ("mean", "first"))
    if champion.setting == 0:
        yield "the first setting is the champion: the search found nothing better"
    elif mine is not None and first is not None and result.gain is not None:
        yield (
            f"test split: {metric} {number(mine)}, the first setting {number(first)}: "
            f"{result.gain:.3g} times as much ({result.objective.direction})"
        )
    elif f"test.{metric}" in result.test:
        yield f"test split: {metric} {number(result.test[f'test.{metric}'])}"
    elif result.test:
        yield f"test split: no {metric}, which is measured on a trial's own networks as they train"
    floor = result.test.get(f"test.floor.{metric}")
    if floor is not None:
        yield f"real against real: {number(floor)}"
    if result.grid:
        yield f"samples: {result.grid}"
    if result.model:
        yield f"registered: {result.model}/{result.model_version}, {_promotion(result)}"


def what_mattered(importances: Mapping[str, Any], *, top: int = 3) -> Iterator[str]:
    """The most important parameters with their shares, line by line.

    ``importances`` are as `result.json` holds them; where they tell of none, there is no line.
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
