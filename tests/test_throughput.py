"""The meter of the benchmark with a thousand short trials."""

from __future__ import annotations

import pytest

from benchmarks.throughput import LIMITS, Meter, beyond


def metered(trials: int, *, slower: float = 1.0, larger: float = 1.0) -> Meter:
    """One trial a second, in the last hundred ``slower``; memory grows in the last quarter."""
    meter, now = Meter(), 0.0
    for trial in range(trials):
        now += slower if trial >= trials - 100 else 1.0
        meter.ended.append((now, int(2**30 * (larger if trial >= 0.75 * trials else 1.0))))
    return meter


@pytest.mark.parametrize(
    ("change", "trials", "named"),
    [
        ({}, 400, []),
        ({"slower": 3.0}, 400, ["growth"]),
        ({"slower": 3.0}, 60, []),  # of so few none is known
        ({"larger": 1.5}, 60, ["memory"]),
        ({"slower": 3.0, "larger": 1.5}, 400, ["memory", "growth"]),
    ],
)
def test_what_grows_beyond_its_limit_is_named(
    change: dict[str, float], trials: int, named: list[str]
) -> None:
    exceeded = beyond(metered(trials, **change).ratios(), LIMITS)
    assert [line.partition(":")[0] for line in exceeded] == named
