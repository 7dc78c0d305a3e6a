"""A study in segments, as in a bucket: as in a file, merged, and closed to a second writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from test_conductor import space

from gan_tune.errors import SearchLostError, StorageError
from gan_tune.searching.study import segments
from gan_tune.searching.study.opening import open_study, study_as_it_stands
from gan_tune.searching.study.study import Study
from gan_tune.storage.storage import Storage, open_storage


@pytest.fixture
def home(tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "home")


def some(study: Study, *, settings: int = 3) -> Study:
    """The study after so many more settings, of which the last one runs."""
    for number in range(settings):
        job = study.ask()
        for step in (20, 40):
            study.report(job.setting, step, 3.0 + job.setting)
        if number < settings - 1:
            study.tell(job.setting, "completed", 3.0 + job.setting)
    study.seconds_used = 7.5
    return study


def content(study: optuna.Study) -> list[Any]:
    """All that a study holds, but for the time of day."""
    trials = study.get_trials(deepcopy=False)
    each = [(t.number, t.state, t.params, t.values, t.intermediate_values) for t in trials]
    return [each, [t.user_attrs for t in trials], [t.system_attrs for t in trials]]


def test_it_holds_what_a_file_holds_and_goes_on_as_one(tmp_path: Path, home: Storage) -> None:
    file, parts = (some(open_study(place, space())) for place in (tmp_path / "journal", home))
    assert content(parts.optuna_study) == content(file.optuna_study)
    file, parts = (some(open_study(place, space())) for place in (tmp_path / "journal", home))
    assert content(parts.optuna_study) == content(file.optuna_study)
    assert parts.seconds_used == 7.5
    assert [job.setting for job in parts.finish_proposals()] == [2, 5]
    assert content(study_as_it_stands(home)) == content(study_as_it_stands(tmp_path / "journal"))


def test_one_after_another_they_are_a_journal(tmp_path: Path, home: Storage) -> None:
    study = some(open_study(home, space()))
    lines = b"".join(home.read(f"study/{name}") or b"" for name in home.names("study"))
    (tmp_path / "study.journal").write_bytes(lines)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
    assert content(optuna.load_study(study_name=None, storage=storage)) == content(
        study.optuna_study
    )


def test_a_proposal_is_one_segment_and_a_report_waits_for_the_next(home: Storage) -> None:
    study = open_study(home, space())
    before = len(home.names("study"))
    job = study.ask()
    assert len(home.names("study")) == before + 1
    study.report(job.setting, 20, 3.0)
    assert len(home.names("study")) == before + 1
    study.tell(job.setting, "completed", 3.0)
    assert len(home.names("study")) == before + 2
    assert [value.step for value in open_study(home, space()).reports()] == [20]


def test_many_are_merged_also_if_a_kill_cut_that_off(
    home: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "MOST", 5)
    study = some(open_study(home, space()), settings=9)
    names = home.names("study")
    assert len(names) <= 5
    assert sum("-" in name for name in names) == 1
    merged = next(name for name in names if "-" in name)
    home.write("study/000002.jsonl", b"of a merge that was cut off")
    home.write("study/000001-000003.jsonl", b"an earlier one")
    again = open_study(home, space())
    assert content(again.optuna_study) == content(study.optuna_study)
    assert merged in home.names("study")
    assert content(some(again).optuna_study) == content(open_study(home, space()).optuna_study)


def test_who_lost_the_search_cannot_write_into_it(home: Storage) -> None:
    first = some(open_study(home, space()))
    second = open_study(home, space())
    second.tell(2, "pruned", 5.0)
    with pytest.raises(SearchLostError, match="another command works on this search"):
        first.tell(2, "completed", 5.0)
    with pytest.raises(SearchLostError):
        first.ask()
    assert content(open_study(home, space()).optuna_study) == content(second.optuna_study)


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (lambda home: home.delete("study/000002.jsonl"), "study/000002.jsonl, a part of the study"),
        (lambda home: home.write("study/000002.jsonl", b'{"torn\n'), r"must hold objects, but has"),
        (lambda home: home.write("study/000002.jsonl", b"[1]\n"), r"must hold objects, but has"),
        (
            lambda home: home.write("study/000002.jsonl", b'{"op_code": 0}\n'),
            "cannot use the study",
        ),
    ],
)
def test_damage_is_named(home: Storage, damage: Any, rule: str) -> None:
    some(open_study(home, space()))
    damage(home)
    with pytest.raises(StorageError, match=rule) as raised:
        open_study(home, space())
    assert "\n" not in str(raised.value)


def test_a_study_that_is_gone_or_not_there_is_refused(home: Storage) -> None:
    with pytest.raises(StorageError, match="is gone, but its trials are there"):
        open_study(home, space(), begun=True)
    with pytest.raises(StorageError, match=r"no study .*home/study"):
        study_as_it_stands(home)
    assert home.names() == []
