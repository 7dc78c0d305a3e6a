"""How the tests of this folder run: 50 examples in plain pytest, 2,000 in CI, or as many as asked.

`GAN_TUNE_FUZZ=100000 pytest -m "" tests/fuzz` runs 100,000 of each. What fails is an exception that
is no GanTuneError; Hypothesis then prints the smallest example that it finds.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from gan_tune.errors import GanTuneError
from gan_tune.outgoing import outgoing

ASKED = os.environ.get("GAN_TUNE_FUZZ")
for_as_long_as_it_takes = pytest.mark.timeout(0 if ASKED else 600)
lanes = pytest.mark.parametrize(
    "examples",
    [pytest.param(int(ASKED), marks=for_as_long_as_it_takes)]
    if ASKED
    else [50, pytest.param(2000, marks=pytest.mark.ci)],
)


def refuses_or_takes(
    examples: int,
    mutated: SearchStrategy[Any],
    take: Callable[[Any], object],
    *,
    shrinks: bool = True,
) -> None:
    """``take`` each mutated input: it works, or it ends in an error that gan-tune raises.

    ``shrinks``: whether a smallest example is looked for, which calls ``take`` many times more.
    """

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=not ASKED,  # the same examples for everyone; those asked for are new ones
        suppress_health_check=list(HealthCheck),
        phases=[phase for phase in Phase if shrinks or phase != Phase.shrink],
    )
    @given(mutated)
    def each(one: Any) -> None:
        refused_or_taken(lambda: take(one))

    each()


def refused_or_taken(take: Callable[[], object]) -> bool:
    """Whether an action works; where it does not, it ends in an error of gan-tune's own."""
    try:
        take()
    except GanTuneError as error:
        told = str(error)
    else:
        return True
    assert told.strip()
    assert told == outgoing(told)
    return False
