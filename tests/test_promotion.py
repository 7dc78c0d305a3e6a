"""Which of two generators is the champion: the decision alone, without MLflow."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import gan_tune
from gan_tune.config import Objective
from gan_tune.record.tags import Tag
from gan_tune.registry.promotion import Measured, decide_promotion

MINIMUM, MAXIMUM = Objective(mode="min"), Objective(mode="max")


def promoted(
    champion: Measured | None, candidate: Measured, objective: Objective = MINIMUM
) -> bool:
    decision = decide_promotion(champion, candidate, model="digits", objective=objective)
    assert "\n" not in decision.reason
    return decision.promoted


@pytest.mark.parametrize("value", [0.5, 1e9])
def test_the_first_version_is_champion(value: float) -> None:
    assert promoted(None, Measured(1, value, "v1", 0))


def test_the_champion_stays_champion_when_registered_again() -> None:
    assert promoted(Measured(3, 0.5, "v1", 0), Measured(3, 0.9, "v2", 0))


@pytest.mark.parametrize("seeds", [(0, 0), (3, 3), (3, 1), (1, 5)])
@pytest.mark.parametrize("values", [(0.25, 0.5), (0.5, 0.25)])
def test_the_better_value_wins_in_both_directions(
    seeds: tuple[int, int], values: tuple[float, float]
) -> None:
    champion = Measured(1, values[0], "v1", seeds[0])
    candidate = Measured(2, values[1], "v1", seeds[1])
    assert promoted(champion, candidate, MINIMUM) == (values[1] < values[0])
    assert promoted(champion, candidate, MAXIMUM) == (values[1] > values[0])


def test_equal_values_leave_the_champion() -> None:
    assert not promoted(Measured(1, 0.5, "v1", 2), Measured(2, 0.5, "v1", 2))


@pytest.mark.parametrize("values", [(0.25, 0.5), (0.5, 0.25)])
def test_confirmation_outranks_value(values: tuple[float, float]) -> None:
    confirmed, lucky = Measured(1, values[0], "v1", 1), Measured(2, values[1], "v1", 0)
    for objective in (MINIMUM, MAXIMUM):
        assert not promoted(confirmed, lucky, objective)
        assert promoted(lucky, confirmed, objective)


@pytest.mark.parametrize("champion", [Measured(1, 9.0, "v2", 0), Measured(1, None, None, 0)])
def test_unlike_values_are_never_compared(champion: Measured) -> None:
    candidate = Measured(2, 0.1, "v1", 3)
    decision = decide_promotion(champion, candidate, model="digits", objective=MINIMUM)
    assert not decision.promoted
    assert f"measured by {champion.comparable or 'nothing known'}, this one by v1" in (
        decision.reason
    )


def test_a_version_is_read_from_its_tags() -> None:
    tags = {Tag.VALUE: repr(0.1), Tag.COMPARABLE: "v1", Tag.CONFIRMED_SEEDS: "2"}
    assert Measured.from_tags("x", 4, tags) == Measured(4, 0.1, "v1", 2)
    assert Measured.from_tags("x", 4, {}) == Measured(4, None, None, 0)
    assert math.isnan(Measured.from_tags("x", 4, {Tag.VALUE: "nan"}).value or 0.0)


def test_tags_are_named_in_one_file() -> None:
    names = {name: tag for name, tag in vars(Tag).items() if name.isupper() and name != "PREFIX"}
    assert names == {name: f"{Tag.PREFIX}{name.lower()}" for name in names}
    literals = [f'"{tag}"' for tag in names.values()] + ['"gan_tune.{']
    package = Path(gan_tune.__file__).parent
    for file in sorted(package.rglob("*.py")):
        if file.name not in ("tags.py", "__init__.py"):  # the latter names modules
            text = file.read_text()
            assert not [literal for literal in literals if literal in text], file
