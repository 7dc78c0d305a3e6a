"""A trial's folder: its names, its records, and that it is laid out as promised."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from gan_tune.errors import StorageError
from gan_tune.gan import checkpoint
from gan_tune.storage.storage import open_storage
from gan_tune.storage.trial_folder import CHECKPOINT, TrialFolder, TrialFolders
from gan_tune.storage.trial_name import TrialName, is_confirmation, is_trial_name
from gan_tune.storage.trial_records import Ending, Result, TrialDescription

NAMES = {
    "0007": TrialName(7),
    "0007-seed-1": TrialName(7, 1),
    "0007-confirm-12": TrialName(7, 12, "confirmation"),
    "12345": TrialName(12345),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_read_as_it_was_written(name: str) -> None:
    assert TrialName.parse(name) == NAMES[name]
    assert str(NAMES[name]) == name
    assert is_confirmation(name) == (NAMES[name].kind == "confirmation")
    assert is_trial_name(name)


@pytest.mark.parametrize("name", ["", "7", "0007-", "0007-seed", "0007-other-1", "0007-seed-1-2"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="SETTING-seed-N"):
        TrialName.parse(name)
    assert not is_trial_name(name)


def test_the_layout_is_the_one_that_earlier_releases_wrote(tmp_path: Path) -> None:
    trials = TrialFolders(open_storage(tmp_path))
    trial = trials["0007"]
    trial.describe(TrialDescription("0007", 7, 0, {"steps": 9}, {"lr": 0.1}, []))
    trial.write_report(Result(40, {"loss": 1.0}, 2.0, 1.5, None, timestamp_ms=3))
    trial.write_grid(40, b"png")
    trial.write_checkpoint(b"state")
    trial.write_ready(40, b"ready")
    trial.write_inherited(b"before")
    trial.write_ending(Ending("completed", 1.5, 40))
    root = tmp_path / "trials" / "0007"
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()) == [
        "checkpoint.safetensors",
        "grids/40.png",
        "inherited.safetensors",
        "outcome.json",
        "ready/40.safetensors",
        "reports/40.json",
        "trial.json",
    ]
    assert (root / "trial.json").read_text() == (
        '{\n "trial": "0007",\n "setting": 7,\n "replicate": 0,\n "config": {\n  "steps": 9\n },\n'
        ' "params": {\n  "lr": 0.1\n },\n "lineage": []\n}'
    )
    assert CHECKPOINT == checkpoint.FILE_NAME, "gan-tune train --resume looks for it there"
    assert trials.names() == ["0007"]


def test_what_is_written_reads_back_and_what_is_not_there_is_none(tmp_path: Path) -> None:
    trial = TrialFolders(open_storage(tmp_path))["0000-seed-1"]
    nothing = [trial.description(), trial.ending(), trial.last_report(), trial.report(1)]
    nothing += [trial.checkpoint(), trial.inherited(), trial.ready(1), trial.grid(1)]
    assert nothing == [None] * len(nothing)
    assert trial.reports() == trial.grid_steps() == []
    results = [Result(step, {"a": 1.0}, None, None, None, 0) for step in (5, 100, 20)]
    for result in results:
        trial.write_report(result)
    ending = Ending("failed", None, 100, "ValueError: no", further={"b": 2.0}, paused=True)
    trial.write_ending(ending)
    assert trial.report_steps() == [5, 20, 100], "by number, not by name"
    in_order = sorted(results, key=lambda result: result.step)
    as_stored = [asdict(result) | {"symptoms": []} for result in in_order]
    assert [asdict(result) for result in trial.reports()] == as_stored
    assert trial.last_report() == trial.report(100)
    assert asdict(trial.ending() or ending) == asdict(ending) | {"symptoms": []}
    for delete in (trial.delete_checkpoint, trial.delete_inherited, lambda: trial.delete_ready(1)):
        delete()


def test_a_record_that_lacks_a_field_is_refused_by_its_path(tmp_path: Path) -> None:
    home = open_storage(tmp_path)
    home.write_json("trials/0000/outcome.json", {"outcome": "completed"})
    with pytest.raises(StorageError, match=r"trials/0000/outcome\.json must hold .* Ending"):
        TrialFolders(home)["0000"].ending()


def test_a_trial_is_described_in_a_search_and_by_its_config_alone_outside(tmp_path: Path) -> None:
    home = open_storage(tmp_path)
    inside, outside = TrialFolder(home.below("inside")), TrialFolder(home.below("outside"))
    assert inside.config() is None
    described = TrialDescription("0007-seed-1", 7, 1, {"steps": 9}, {"lr": 0.1}, [])
    inside.describe(described)
    outside.write_config({"steps": 9})
    assert inside.description() == described
    assert inside.config() == outside.config() == {"steps": 9}
    assert (tmp_path / "outside/trial.json").read_text() == '{\n "config": {\n  "steps": 9\n }\n}'
    with pytest.raises(StorageError, match=r"trial\.json must hold the fields of a TrialDesc"):
        outside.description()
    for damaged in (b"[]", b"{}", b'{"config": 3}'):
        home.write("outside/trial.json", damaged)
        with pytest.raises(StorageError, match=r"trial\.json must hold the config of a trial"):
            outside.config()
