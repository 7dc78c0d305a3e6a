"""The turns of the thread that delivers, beside a search that has many news.

Its projection is a stand-in, since no store takes a given time of the processor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from typing import Any, cast

import pytest

from gan_tune.record import delivery as delivery_module
from gan_tune.record.delivery import Delivery
from gan_tune.record.projection import Projection
from gan_tune.record.spool import SearchEnding


class Writing:
    """Computes for so many seconds for each trial's figures, and for its pictures."""

    is_open, parent_run_id = True, None

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.begun = threading.Event()
        self.figures: list[str] = []
        self.rests: list[str] = []

    def write_figures(self, trial: str, *, runs: bool, waits: bool) -> bool:
        self._compute()
        self.figures.append(trial)
        return True

    def write_rest(self, trial: str, *, runs: bool) -> None:
        self._compute()
        self.rests.append(trial)

    def finish(self, ending: SearchEnding | None, *, without: Collection[str] = ()) -> list[str]:
        return []

    def has_ended(self, trial: str) -> bool:
        return False

    def _compute(self) -> None:
        self.begun.set()
        until = time.thread_time() + self._seconds
        while time.thread_time() < until:
            pass


def delivering(writing: Writing, **options: Any) -> Delivery:
    return Delivery(cast(Projection, writing), uri="sqlite:///none.db", gather=0.0, **options)


def test_pictures_take_turns_with_figures_of_which_there_are_always_some() -> None:
    writing = Writing(0.002)
    delivery = delivering(writing)
    delivery.start()
    until, news = time.monotonic() + 1.5, 0
    while time.monotonic() < until:
        delivery.has_news(f"{news % 200:04}", runs=True)
        news += 1
        time.sleep(0.002)
    figures, rests = len(writing.figures), len(writing.rests)
    delivery.end(SearchEnding("completed", 1))
    assert delivery.waiting.trials > 50, "there were always some"
    assert rests >= figures / 2 - 1 > 0
    assert not delivery.wait(60)
    assert {*writing.figures} == {*writing.rests} == {f"{i:04}" for i in range(200)}


def test_the_delivery_rests_while_the_search_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "REST", 4.0)
    writing = Writing(0.05)
    delivery = delivering(writing)
    delivery.start()
    began = time.monotonic()
    for trial in ("0000", "0001"):
        delivery.has_news(trial, runs=False)
    while delivery.waiting.trials:
        assert time.monotonic() - began < 60
        time.sleep(0.005)
    assert time.monotonic() - began >= 3 * 0.05 * (1 + 4.0) + 0.05, "not after the last one"
    delivery.close()


@pytest.mark.parametrize("how", ["end", "close"])
def test_a_rest_ends_with_the_search(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "REST", 1000.0)
    writing = Writing(0.02)
    delivery = delivering(writing)
    delivery.start()
    delivery.has_news("0000", runs=False)
    assert writing.begun.wait(60)
    until = time.monotonic() + 60
    while delivery.waiting.trials != 1 or not writing.figures:  # its pictures wait
        assert time.monotonic() < until
        time.sleep(0.005)
    began = time.monotonic()
    if how == "end":
        delivery.end(SearchEnding("completed", 1))
        assert not delivery.wait(60)
        assert writing.rests == ["0000"]
    else:
        delivery.close()
        assert writing.rests == []
    assert time.monotonic() - began < 10
