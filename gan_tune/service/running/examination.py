"""The examination of a champion before it is registered: has it learnt the data, is it varied?

A search always has a best setting, also where none is any good. What is far from the data or
repeats the same few samples is not registered unless the user asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gan_tune.config import CollapseRule
from gan_tune.data.dataset import Dataset
from gan_tune.metrics import Judge
from gan_tune.metrics.farness import FAR, farness, told_by
from gan_tune.samples.inspection import CopiedShares
from gan_tune.searching.leading.crowning import Champion, measured
from gan_tune.service.stored_findings import Examination
from gan_tune.space import shipped_spaces
from gan_tune.words.readable import number

__all__ = ["Examination", "examine", "is_shipped"]

NOT_LEARNT = (
    "this generator has not learnt the data: its {metric} of {value} is {farness:.0%} of the way "
    "from real samples ({floor}) to the mean of all of them; try more --minutes, smaller networks "
    "or pictures (`size`), or lower learning rates"
)
REPEATS = (
    "this generator repeats a few samples: it has {share:.0%} of the distinct ones that the data "
    "have; try `penalties: [{{name: r1, weight: 1.0}}]`, `loss: relativistic` or `ema: 0.999`"
)
NO_VARIETY = "this generator has collapsed: its variety is {variety} of the data's"


def examine(
    champion: Champion,
    dataset: Dataset,
    judge: Judge,
    *,
    objective: str,
    rule: CollapseRule,
    copied: CopiedShares | None,
) -> Examination:
    """Examine a champion by the selection split's judge; with the rule off it has no faults."""
    metric = told_by(judge, objective)
    figures = measured(champion.job, champion.generator, judge)
    far = farness(judge, dataset, metric, figures[metric])
    found = Examination(
        metric=metric,
        farness=far,
        distinct_share=figures.get("distinct_share"),
        variety=figures.get("variety"),
        copies=copied.samples if copied else None,
        copies_of_selection=copied.held_out if copied else None,
        faults=(),
    )
    if rule.is_off:
        return found
    return replace(found, faults=tuple(_faults(found, rule, figures[metric], judge)))


def is_shipped(text: str) -> bool:
    """Whether this is the text of a space that comes with gan-tune."""
    return any(path.read_text("utf-8") == text for path in shipped_spaces().values())


def _faults(found: Examination, rule: CollapseRule, value: float, judge: Judge) -> Iterator[str]:
    if found.farness is not None and found.farness > FAR:
        yield NOT_LEARNT.format(
            metric=found.metric,
            value=number(value),
            farness=found.farness,
            floor=number(judge.floor[found.metric]),
        )
    if found.distinct_share is not None and found.distinct_share < rule.distinct:
        yield REPEATS.format(share=found.distinct_share)
    elif found.variety is not None and found.variety < rule.variety:
        yield NO_VARIETY.format(variety=number(found.variety))
