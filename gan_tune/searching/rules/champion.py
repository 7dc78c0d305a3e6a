"""The rule that decides which settings may become the champion, and in which order.

:mod:`gan_tune.searching.leading.crowning` checks that the weights exist and measures the champion
on the test split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gan_tune.config import Objective
from gan_tune.searching.jobs import FIRST_SETTING, Setting
from gan_tune.searching.rules.confirmation import Standing, ranked

__all__ = ["Contender", "contenders"]


@dataclass(frozen=True)
class Contender:
    """A setting that may become the champion, with the values by which it is judged.

    ``values`` are its replicates' best values, by replicate. ``mean`` and ``spread`` are their mean
    and sample deviation, ``seeds`` is their number. ``confirmed`` says whether they come from the
    confirmation, on fresh seeds.
    """

    setting: int
    values: Mapping[int, float | None]
    mean: float
    spread: float
    seeds: int
    confirmed: bool


def contenders(
    standings: Sequence[Standing],
    settings: Sequence[Setting],
    objective: Objective,
    *,
    replicated: bool,
) -> list[Contender]:
    """The settings that may become the champion, best first.

    1. Confirmed settings with a finite mean, by that mean. A setting with fewer seeds comes after
       those with more, unless these are clearly worse: its mean may be luck.
    2. All settings that ran to their end, by the value that the search itself measured. Only these
       count if there was only time to confirm the first setting, and another setting is better: the
       first setting has then not been compared with any other.

    Args:
        standings: of the confirmation.
        settings: of the search, with their stored values.
        objective: of the search.
        replicated: whether the search trains several replicates of a setting.
    """
    by_value = ranked(settings, mode=objective.mode, replicated=replicated)
    only_first = [row.setting for row in standings] == [FIRST_SETTING] != by_value[:1]
    confirmed = [row for row in standings if math.isfinite(row.mean) and not only_first]
    confirmed.sort(key=lambda row: (row.behind, objective.cost(row.mean)))
    found = [
        Contender(row.setting, row.values, row.mean, row.spread, row.seeds, confirmed=True)
        for row in confirmed
    ]
    known = {setting.number: setting for setting in settings}
    for number in by_value:
        value, replicates = known[number].value, known[number].values
        if value is not None:
            values = dict(enumerate(replicates or [value]))
            found.append(Contender(number, values, value, math.nan, 0, confirmed=False))
    return found
