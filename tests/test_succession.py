"""Searches that end together: who takes the alias, in every order of their calls."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import RESOURCE_DOES_NOT_EXIST, MlflowException
from mlflow.store.entities import PagedList

from gan_tune.config import Objective
from gan_tune.record.mlflow_store import connect
from gan_tune.record.tags import Tag
from gan_tune.registry.promotion import Promotion
from gan_tune.registry.succession import succeed

MINIMUM = Objective(mode="min")


class Registry:
    """The calls of an MLflow client that a succession makes; others may run before each of them."""

    def __init__(self, *values: float, champion: int | None = None) -> None:
        self.tags = {
            number: {Tag.VALUE: repr(value), Tag.COMPARABLE: "v1"}
            for number, value in enumerate(values, start=1)
        }
        self.champion = champion
        self._turns = threading.local()

    def version(self, number: int) -> Any:
        return SimpleNamespace(name="m", version=str(number), tags=dict(self.tags[number]))

    def search_model_versions(self, rule: str, page_token: str | None = None) -> PagedList[Any]:
        self._let_others_run()
        return PagedList([self.version(number) for number in self.tags], None)

    def get_model_version_by_alias(self, name: str, alias: str) -> Any:
        self._let_others_run()
        if self.champion is None:
            raise MlflowException("none", RESOURCE_DOES_NOT_EXIST)
        return self.version(self.champion)

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self._let_others_run()
        self.champion = int(version)

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        self._let_others_run()
        self.tags[int(version)][key] = value

    def _let_others_run(self) -> None:
        turn = getattr(self._turns, "mine", None)
        if turn is not None:
            turn.pause()

    def succeed(self, number: int) -> Promotion:
        return succeed(cast(MlflowClient, self), self.version(number), MINIMUM)

    def finished(self, numbers: Sequence[int], order: Sequence[int]) -> dict[int, Promotion]:
        """What some versions are told if their calls come in an order, given as their places."""
        told: dict[int, Promotion] = {}

        def body(turn: Turn, number: int) -> None:
            self._turns.mine = turn
            turn.pause()
            told[number] = self.succeed(number)

        turns = [Turn(body, number) for number in numbers]
        for place in [*order, *(place for place in range(len(turns)) for _ in range(2 * CALLS))]:
            turns[place].run()
        return told


class Turn:
    """A thread that runs up to its next pause, whenever it is told to."""

    def __init__(self, body: Any, number: int) -> None:
        self._go, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=lambda: self._body(body, number), daemon=True)
        self._thread.start()
        self._paused.acquire(timeout=10)
        self._is_over = False

    def _body(self, body: Any, number: int) -> None:
        try:
            body(self, number)
        finally:
            self._is_over = True
            self._paused.release()

    def pause(self) -> None:
        self._paused.release()
        self._go.acquire(timeout=10)

    def run(self) -> None:
        if not self._is_over:
            self._go.release()
            self._paused.acquire(timeout=10)


CALLS = 9
"""No fewer than a succession makes."""


@pytest.mark.parametrize("present", [None, 1])
@pytest.mark.parametrize("values", [(0.4, 0.3), (0.3, 0.4)])
def test_of_two_that_end_together_the_better_one_leads_and_both_know_it(
    values: tuple[float, float], present: int | None
) -> None:
    better = 3 if values[1] < values[0] else 2
    ends, rng = set(), random.Random(0)
    for _ in range(400):
        order = rng.sample([0, 1] * CALLS, 2 * CALLS)
        store = Registry(0.5, *values, champion=present)
        if present is None:
            store.tags[1][Tag.SUCCESSION] = "settled"  # deleted by its owner
        told = store.finished([2, 3], order)
        ends.add(store.champion)
        assert told[better].promoted, (order, told)
        # The worse one may have led: if so, it had ended before, and the better one knows it.
        if told[5 - better].promoted:
            assert f"beats version {5 - better}'s" in told[better].reason, (order, told)
    assert ends == {better}


def test_of_three_that_end_together_the_best_leads() -> None:
    rng = random.Random(0)
    for _ in range(400):
        values = [0.5, *rng.sample([0.1, 0.2, 0.3], 3)]
        store = Registry(*values, champion=1)
        told = store.finished([2, 3, 4], [rng.randrange(3) for _ in range(40)])
        best = values.index(0.1) + 1
        assert store.champion == best
        assert told[best].promoted


def test_what_is_decided_is_not_decided_again() -> None:
    store = Registry(0.5, 0.4)
    assert store.succeed(1).promoted
    assert store.succeed(2).promoted
    store.champion = 1  # somebody rolls back
    again = store.succeed(2)
    assert (store.champion, again.promoted) == (1, False)
    assert again.reason == "the champion is version 1 now; this version was compared before"
    store.champion = None
    assert store.succeed(2).reason.startswith("the champion is none now")


def test_who_was_beaten_later_is_told_by_whom() -> None:
    store = Registry(0.5, 0.4, 0.6)
    assert store.succeed(1).promoted
    assert not store.succeed(3).promoted
    assert store.succeed(2).promoted
    for beaten in (1, 3):
        assert store.succeed(beaten).reason.startswith("version 2 stays champion: its 0.4 is not")


@pytest.mark.parametrize("broken", range(1, CALLS + 1))
def test_a_succession_that_broke_off_is_repeated(broken: int) -> None:
    store = Registry(0.5, 0.4, champion=1)
    calls = 0

    def run() -> None:
        nonlocal calls
        calls += 1
        if calls == broken:
            raise ConnectionError

    store._let_others_run = run  # type: ignore[method-assign]
    try:
        store.succeed(2)
    except ConnectionError:
        assert store.succeed(2).promoted
    assert store.champion == 2
    assert store.tags[2][Tag.SUCCESSION] == "settled"


ENDING = """
import sys
from mlflow import MlflowClient
from gan_tune.config import Objective
from gan_tune.record.mlflow_store import connect
from gan_tune.registry.succession import succeed
client = MlflowClient(connect(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    model, number = line.split()
    decision = succeed(client, client.get_model_version(model, number), Objective(mode="min"))
    print(decision.promoted, decision.reason, sep="|", flush=True)
"""


@pytest.mark.ci
def test_two_processes_end_together_on_a_real_registry(tmp_path: Path) -> None:
    uri = connect(f"sqlite:///{tmp_path}/mlflow.db")
    client, values = MlflowClient(uri), (0.5, 0.4, 0.3)
    command = [sys.executable, "-c", ENDING, uri]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    ending = [subprocess.Popen(command, **pipes) for _ in range(2)]
    try:
        assert [each.stdout.readline() for each in ending] == ["ready\n"] * 2  # type: ignore[union-attr]
        met = 0
        for turn in range(12):
            model, order = f"m{turn}", ("2", "3") if turn % 2 else ("3", "2")
            client.create_registered_model(model)
            for value in values:
                tags = {Tag.VALUE: repr(value), Tag.COMPARABLE: "v1"}
                client.create_model_version(model, str(tmp_path), tags=tags)
            client.set_registered_model_alias(model, "champion", "1")
            for each, number in zip(ending, order, strict=True):
                each.stdin.write(f"{model} {number}\n")  # type: ignore[union-attr]
                each.stdin.flush()  # type: ignore[union-attr]
            told = dict(zip(order, (each.stdout.readline() for each in ending), strict=True))  # type: ignore[union-attr]
            assert client.get_model_version_by_alias(model, "champion").version == 3, told
            assert told["3"].startswith("True|0.3 beats version "), told
            # Version 2 may have led: if so, it had ended before, and version 3 knows it.
            if told["2"].startswith("True"):
                assert told["3"].startswith("True|0.3 beats version 2's"), told
            met += "2's" in told["3"] or "3 stays" in told["2"]
        assert met, "in no turn they met"
    finally:
        for each in ending:
            each.kill()
            each.communicate()
