"""Values that an earlier version computed in another way are told apart."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gan_tune.config import Objective
from gan_tune.service.running.command import SearchCommand
from gan_tune.service.running.metric_versions import changed_metrics
from gan_tune.service.running.note import read_note
from gan_tune.storage.places import SEARCH_NOTE
from gan_tune.storage.storage import open_storage

NOW = {
    "frechet_distance": "frechet_distance/features/selection/300",
    "linear_probe_accuracy": "linear_probe_accuracy/discriminator_features-ridge/selection/300",
}


@pytest.mark.parametrize(
    ("before", "changed"),
    [
        (NOW, []),
        (None, ["linear_probe_accuracy"]),  # begun by 0.2.0 or an older version
        (NOW | {"frechet_distance": "frechet_distance/others/selection/300"}, ["frechet_distance"]),
        ({"linear_probe_accuracy": NOW["linear_probe_accuracy"]}, []),
    ],
)
def test_a_metric_has_changed_if_its_version_has(
    before: dict[str, str] | None, changed: list[str]
) -> None:
    assert changed_metrics(before, NOW) == changed


def test_a_search_that_goes_on_says_each_time_what_cannot_be_compared(tmp_path: Path) -> None:
    home = open_storage(tmp_path)
    notes: list[str] = []
    context: Any = SimpleNamespace(
        home=home,
        judge=SimpleNamespace(versions=NOW),
        watcher=SimpleNamespace(note=notes.append),
        objective=Objective(metric="linear_probe_accuracy", mode="max"),
        space=SimpleNamespace(budget=SimpleNamespace(trials=3, most_trials=3, minutes=None)),
        names=SimpleNamespace(experiment="one"),
    )
    command = SearchCommand(context)
    command._write_note(0.0)  # a new search
    command._write_note(0.0)  # it goes on
    assert notes == []
    note = read_note(home)
    assert note is not None
    assert note.metric_versions == NOW

    old = home.read_json(SEARCH_NOTE)
    del old["metric_versions"]  # as 0.2.0 wrote it
    home.write_json(SEARCH_NOTE, old)
    for times in (1, 2):
        command._write_note(0.0)
        assert len(notes) == times
        assert notes[-1].startswith("linear_probe_accuracy is computed in another way")
