"""The Optuna study: told what happened, resumed without repeats, mended after a kill."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from conftest import trial_tree
from optuna.exceptions import StorageInternalError
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState
from optuna_dashboard import wsgi

from gan_tune.errors import SpaceError, StorageError, StudyError
from gan_tune.parts.all_parts import catalogue
from gan_tune.searching.study.database import open_to_read
from gan_tune.searching.study.journal import mend_journal
from gan_tune.searching.study.opening import LAYOUT, open_study, study_as_it_stands
from gan_tune.searching.study.reading import settings_of
from gan_tune.searching.study.study import Study
from gan_tune.service.running.study_place import study_of_search
from gan_tune.service.stored_study import read_study
from gan_tune.space import SearchSpace
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.words.outcomes import ENDINGS

RATE = {"log_uniform": [1e-4, 1e-2]}
LEFT_OUT = ("steps", "evaluations", "seed")
TREE = {key: value for key, value in trial_tree().items() if key not in LEFT_OUT}
SEVERAL: dict[str, Any] = {
    "generator_optimizer": {"name": "adam", "lr": RATE, "beta1": {"uniform": [0.0, 0.9]}},
    "discriminator_optimizer": {"name": "adam", "lr": RATE},
}


def space(**changes: Any) -> SearchSpace:
    optimizer = {
        "choice": [{"name": "adam", "lr": RATE}, {"name": "sgd", "lr": RATE, "momentum": 0.5}]
    }
    tree = {
        "name": "toy",
        "budget": {"trials": 6, "steps": 100, "evaluations": 5},
        "trial": TREE | {"generator_optimizer": optimizer},
        "start_from": [{"generator_optimizer": {"name": "adam", "lr": 1e-3}}],
    }
    return SearchSpace.load(tree | changes, catalogue())


OUTCOMES = {
    "completed": (TrialState.COMPLETE, 0.0),
    "pruned": (TrialState.PRUNED, 0.0),
    "diverged": (TrialState.PRUNED, 1.0),
    "collapsed": (TrialState.PRUNED, 1.0),
    "failed": (TrialState.FAIL, None),
}


def test_optunas_dashboard_shows_it_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    study = open_study(path, space())
    for outcome in ("completed", "pruned", "completed", None):
        job = study.ask()
        study.report(job.setting, 20, 3.0 + job.setting)
        if outcome:
            study.tell(job.setting, outcome, 3.0 + job.setting)
    app = wsgi(JournalStorage(JournalFileBackend(str(path))))

    def shown(place: str) -> Any:
        environ = {"PATH_INFO": place}
        setup_testing_defaults(environ)
        return json.loads(b"".join(app(environ, lambda *_: None)))

    trials = shown("/api/studies/0")["trials"]
    assert [trial["state"] for trial in trials] == ["Complete", "Pruned", "Complete", "Running"]
    reported = [trial["intermediate_values"] for trial in trials]
    assert reported == [[{"step": 20, "value": 3.0 + number}] for number in range(4)]
    importances = shown("/api/studies/0/param_importances")["param_importances"][0]
    assert "generator_optimizer" in {entry["name"] for entry in importances}


@pytest.mark.parametrize("outcome", ENDINGS)
def test_optuna_hears_what_happened(tmp_path: Path, outcome: Any) -> None:
    study = open_study(tmp_path / "study.journal", space())
    job = study.ask()
    assert study.report(job.setting, 20, 3.0)
    assert study.report(job.setting, 40, 2.0)
    study.tell(job.setting, outcome, 2.0)
    trial = study.optuna_study.trials[0]
    state, health = OUTCOMES[outcome]
    assert trial.state == state
    assert trial.constraints.get("health") == health
    assert trial.intermediate_values == {20: 3.0, 40: 2.0}
    if outcome == "completed":
        assert trial.value == 2.0
    assert study.settings()[0].outcome == outcome
    assert study.settings()[0].value == 2.0


@pytest.mark.filterwarnings("error")
def test_a_kill_while_an_end_is_told_is_followed_by_no_warning(tmp_path: Path) -> None:
    path, torn = tmp_path / "study.journal", tmp_path / "torn.journal"
    study = open_study(path, space())
    job = study.ask()
    before = len(path.read_bytes().splitlines())
    study.tell(job.setting, "diverged", 2.0)
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in range(before, len(lines) + 1):
        torn.write_bytes(b"".join(lines[:kept]))
        again = open_study(torn, space())
        again.tell(job.setting, "diverged", 2.0)
        assert again.settings() == study.settings()
        assert again.optuna_study.trials[0].constraints == {"health": 1.0}


def test_a_trial_that_diverged_at_once_has_no_value_and_does_not_stop_the_sampler(
    tmp_path: Path,
) -> None:
    study = open_study(tmp_path / "study.journal", space())
    for _ in range(14):  # beyond TPE's random start
        job = study.ask()
        study.tell(job.setting, "diverged", None)
    assert {t.state for t in study.optuna_study.trials} == {TrialState.PRUNED}
    study.ask()


def test_a_step_reported_twice_is_ignored(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.journal", space())
    job = study.ask()
    assert study.report(job.setting, 20, 3.0)
    assert not study.report(job.setting, 20, 9.0)
    assert study.optuna_study.trials[0].intermediate_values == {20: 3.0}


def test_the_first_setting_comes_first_and_is_spared(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.journal", space())
    first, second = study.ask(), study.ask()
    assert first.config.generator_optimizer.args["lr"] == 1e-3
    assert first.config.collapse.variety == 0
    assert second.config.collapse.variety > 0
    assert first.params["generator_optimizer.lr"] == 1e-3
    assert first.params["generator_optimizer"] == "adam"


def test_unfinished_trials_come_back_the_same_and_nothing_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    study = open_study(path, space())
    jobs = [study.ask() for _ in range(4)]
    study.tell(jobs[1].setting, "completed", 1.0)
    study.seconds_used = 12.5
    again = open_study(path, space())
    assert [job.setting for job in again.finish_proposals()] == [0, 2, 3]
    assert [job.config for job in again.finish_proposals()] == [jobs[i].config for i in (0, 2, 3)]
    assert again.seconds_used == 12.5
    rest = [again.ask() for _ in range(3)]
    configs = {job.config.model_copy(update={"seed": 0}).digest() for job in [*jobs, *rest]}
    assert len(configs) == 7, "a study taken up again must not repeat configurations"


@pytest.mark.parametrize("sampler", ["random", {"name": "tpe", "startup": 99}, "tpe", "cmaes"])
def test_a_proposal_torn_by_a_kill_becomes_what_it_would_have_been(
    tmp_path: Path, sampler: Any
) -> None:
    """The driver dies behind any line that a proposal writes."""
    path, torn = tmp_path / "study.journal", tmp_path / "torn.journal"
    several = space(search={"sampler": sampler}, start_from=[], trial=TREE | SEVERAL)
    study = open_study(path, several)
    for number in range(12):  # beyond the random start of those that have one of 10
        study.tell(study.ask().setting, "completed", 1.0 + number % 5)
    before = len(path.read_bytes().splitlines())
    job = study.ask()
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) - before > len(SEVERAL)
    for kept in range(before + 1, len(lines) + 1):
        torn.write_bytes(b"".join(lines[:kept]))
        assert open_study(torn, several).finish_proposals() == [job]
        assert open_study(torn, several).finish_proposals() == [job], "once it has been completed"


def test_replicates_differ_in_their_seed_alone(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.journal", space())
    job = study.ask()
    other = study.job(job.setting, 2)
    assert other.name == "0000-confirm-2"
    assert other.config.seed != job.config.seed
    assert other.config.model_copy(update={"seed": job.config.seed}) == job.config


def test_a_changed_space_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    open_study(path, space())
    open_study(path, space(budget={"trials": 60, "steps": 100, "evaluations": 5, "minutes": 9}))
    with pytest.raises(SpaceError, match="the space has changed since this search began"):
        open_study(path, space(budget={"trials": 6, "steps": 200, "evaluations": 5}))


@pytest.mark.parametrize("kept", ["journal", "database"])
def test_holding_a_study_writes_nothing(tmp_path: Path, database: str, kept: str) -> None:
    place = tmp_path / "study.journal" if kept == "journal" else database
    file = tmp_path / ("study.journal" if kept == "journal" else "studies.db")
    opened = open_study(place, space(), owner="me")
    opened.ask()
    before = file.read_bytes()
    assert Study(opened.optuna_study, space()).finish_proposals() == opened.finish_proposals()
    assert file.read_bytes() == before


def test_a_renamed_space_goes_on_with_its_study(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    open_study(path, space()).ask()
    assert open_study(path, space(name="other")).proposed() == 1


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "study.journal"
    study = open_study(path, space())
    for _ in range(3):
        study.ask()
    path.write_bytes(path.read_bytes()[:-cut])
    (tmp_path / "study.journal.lock").symlink_to("gone")
    again = open_study(path, space())
    again.ask()
    assert len(open_study(path, space()).optuna_study.trials) >= 3
    assert not (tmp_path / "study.journal.lock").is_symlink()


@pytest.mark.parametrize("line", ["[1]", "3", "{}"])
def test_a_line_that_is_no_journal_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "study.journal"
    path.write_text(f"{line}\n")
    with pytest.raises(StorageError, match=r"storage: cannot use the study .*study\.journal: "):
        open_study(path, space())
    assert path.read_text() == f"{line}\n"


def test_a_sound_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    open_study(path, space()).ask()
    before = path.read_bytes()
    mend_journal(path)
    assert path.read_bytes() == before


def test_the_sampler_stays_away_from_what_diverges(tmp_path: Path) -> None:
    """Where large rates diverge, TPE proposes fewer of them than chance would."""
    study = open_study(tmp_path / "study.journal", space(start_from=[]))
    diverging = []
    for _ in range(60):
        job = study.ask()
        rate = job.config.generator_optimizer.args["lr"]
        diverges = rate > 1e-3  # half of the range, by its logarithm
        diverging.append(diverges)
        if diverges:
            study.tell(job.setting, "diverged", None)
        else:
            study.report(job.setting, 100, 1.0)
            study.tell(job.setting, "completed", 1.0)
    assert sum(diverging[30:]) <= 10


# ---------------------------------------------------------------- in a database


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'studies.db'}"


def test_a_database_keeps_a_study_as_a_journal_does(tmp_path: Path, database: str) -> None:
    journal = tmp_path / "study.journal"
    for _ in range(14):  # beyond TPE's random start
        told = []
        for place in (journal, database):
            study = open_study(place, space(), owner="me")
            job = study.ask()
            assert study.report(job.setting, 20, 3.0)
            assert not study.report(job.setting, 20, 9.0)
            study.tell(job.setting, "collapsed" if job.setting % 3 else "completed", 3.0)
            told.append((job, study.settings(), list(study.reports())))
        assert told[0] == told[1]


def test_onlookers_see_a_study_in_a_database(database: str) -> None:
    study = open_study(database, space(), name="one", owner="me")
    study.report(study.ask().setting, 20, 3.0)
    open_study(database, space(), name="two", owner="you")
    assert settings_of(study_as_it_stands(database, "one")) == study.settings()
    with pytest.raises(StorageError, match="cannot read the study sqlite:"):
        study_as_it_stands(database, "three")


def test_onlookers_make_no_database(tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    for file in (empty, tmp_path / "missing.db"):
        with pytest.raises(StorageError, match="cannot read the study sqlite:"):
            study_as_it_stands(f"sqlite:///{file}", "one")
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("empty.db", 0)]


@pytest.mark.parametrize("name", ["a b", "100%", "%20", "a#b", "ä☃", "a;b&c"])
def test_onlookers_cannot_write_to_a_database(tmp_path: Path, name: str) -> None:
    url = f"sqlite:///{tmp_path / name}"
    open_study(url, space(), name="one", owner="me").ask()
    stored = open_to_read(url)
    assert [study.study_name for study in stored.get_all_studies()] == ["one"]
    with pytest.raises(StorageInternalError):
        stored.create_new_study([StudyDirection.MINIMIZE], "two")


def test_a_study_elsewhere_is_named_by_the_user(tmp_path: Path, database: str) -> None:
    home = Storage(str(tmp_path)).below("one")
    mine = open_study(database, space(), name="one", owner="me")
    mine.ask()
    home.write_json("study.json", {"url": "postgresql://evil.example/x", "owner": "me"})
    with pytest.raises(StorageError, match=r"a database, postgresql://evil.*; name it yourself"):
        read_study(home, "one")
    assert settings_of(read_study(home, "one", database)) == mine.settings()
    home.write_json("study.json", {"url": f"sqlite:///{tmp_path}/made.db", "owner": "me"})
    with pytest.raises(StorageError, match="name it yourself"):
        read_study(home, "one")
    assert not (tmp_path / "made.db").exists()


def test_a_journal_that_is_a_link_out_is_not_read(tmp_path: Path) -> None:
    open_study(tmp_path / "private.journal", space(), owner="me").ask()
    home = Storage(str(tmp_path)).below("one")
    home.write_json("study.json", {"url": None, "owner": "me"})
    (tmp_path / "one/study.journal").symlink_to(tmp_path / "private.journal")
    with pytest.raises(StorageError, match="must be no link to another folder"):
        read_study(home, "one")


def test_a_database_holds_many_studies_each_for_one_owner(database: str) -> None:
    open_study(database, space(), name="one", owner="me").ask()
    assert open_study(database, space(), name="two", owner="you").proposed() == 0
    assert open_study(database, space(name="renamed"), name="one", owner="me").proposed() == 1
    with pytest.raises(
        StorageError, match=r"the study one in sqlite:.* belongs to a search in ano"
    ):
        open_study(database, space(), name="one", owner="you")


@pytest.mark.parametrize("kept", ["journal", "database"])
def test_a_study_of_another_layout_is_refused(tmp_path: Path, database: str, kept: str) -> None:
    place = tmp_path / "study.journal" if kept == "journal" else database
    study = open_study(place, space(), owner="me")
    study.ask()
    assert study.optuna_study.user_attrs["layout"] == LAYOUT
    study.optuna_study.set_user_attr("layout", LAYOUT + 1)
    for refused in (
        lambda: open_study(place, space(), owner="me"),
        lambda: study_as_it_stands(place, "toy"),
    ):
        with pytest.raises(StorageError) as raised:
            refused()
        assert str(raised.value).endswith(
            f"must have layout {LAYOUT}, but has {LAYOUT + 1}, of another version of gan-tune; go "
            "on with that one, or use another --name"
        )
        assert "\n" not in str(raised.value)


def test_a_journal_is_of_one_search(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    open_study(path, space(), owner="me").ask()
    assert open_study(path, space(), owner="me").proposed() == 1
    with pytest.raises(
        StorageError, match=r"the study .*study\.journal belongs to a search in ano"
    ):
        open_study(path, space(), owner="you")


@pytest.mark.parametrize("kept", ["journal", "database"])
def test_a_lost_study_is_refused_where_its_trials_are(
    tmp_path: Path, database: str, kept: str
) -> None:
    home = open_storage(tmp_path / "home")
    file = home.folder / "study.journal" if kept == "journal" else tmp_path / "studies.db"  # type: ignore[operator]
    mine = space(search={"study": None if kept == "journal" else database})
    study_of_search(mine, home, "toy")
    file.unlink()
    study_of_search(mine, home, "toy").ask()  # nothing is lost without a trial
    home.write("trials/0000/trial.json", b"{}")
    assert study_of_search(mine, home, "toy").proposed() == 1
    stored = file.read_bytes()
    file.unlink()
    with pytest.raises(StorageError) as raised:
        study_of_search(mine, home, "toy")
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(
        "is gone, but its trials are there; restore it, or start a new search with --fresh"
    )
    assert file.name in str(raised.value)
    file.write_bytes(stored)
    assert study_of_search(mine, home, "toy").proposed() == 1


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////no/such/folder/x.db",
        "nothing://host/db",
        "postgresql+nodriver://host/db",
        "postgresql://nowhere.invalid/db",
        "postgresql://127.0.0.1:9/db",
    ],
)
def test_a_database_that_cannot_be_used_is_told_in_one_line(url: str) -> None:
    with pytest.raises(StorageError) as raised:
        open_study(url, space())
    assert str(raised.value).startswith(f"search.study: cannot use {url}: ")
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == (1 if "127.0.0.1:9" in url else 2), "it may come back"


@pytest.mark.ci
def test_a_locked_database_is_waited_for(database: str) -> None:
    study = open_study(database, space(), owner="me")
    other = sqlite3.connect(database.removeprefix("sqlite:///"), check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(6.0, other.rollback)  # SQLite itself gives up after 5
    release.start()
    assert study.ask().setting == 0
    release.join()


def test_a_database_that_stays_locked_is_told_in_one_line(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gan_tune.searching.study.database.LOCK_PATIENCE", 0.1)
    study = open_study(database, space(), owner="me")
    job = study.ask()
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        for use in (study.ask, lambda: study.tell(job.setting, "completed", 1.0)):
            with pytest.raises(StudyError, match="must not stay locked by another") as raised:
                use()
            assert "\n" not in str(raised.value)
    study.tell(job.setting, "completed", 1.0)
    assert study.settings()[0].outcome == "completed"


def test_a_search_goes_on_with_the_study_that_it_began(tmp_path: Path, database: str) -> None:
    one, other = (open_storage(tmp_path / name) for name in ("one", "other"))
    with pytest.raises(StorageError, match="cannot use nothing://"):
        study_of_search(space(search={"study": "nothing://host"}), one, "toy")
    kept = space(search={"study": database})
    study_of_search(kept, one, "toy").ask()
    assert study_of_search(kept, one, "toy").proposed() == 1
    with pytest.raises(StorageError, match="belongs to a search in another folder"):
        study_of_search(kept, other, "toy")
    with pytest.raises(StorageError, match=r"the search toy keeps its study in sqlite:///"):
        study_of_search(space(), one, "toy")
    study_of_search(space(), journals := open_storage(tmp_path / "journals"), "toy").ask()
    with pytest.raises(StorageError, match="keeps its study in a journal in its folder"):
        study_of_search(kept, journals, "toy")


def test_the_journal_reaches_the_disk_with_all_but_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what is noted between two proposals; the lines of one of these reach it together."""
    path, synced = tmp_path / "study.journal", [0]
    plain = os.fsync

    def fsync(descriptor: int) -> None:
        plain(descriptor)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            synced.append(os.fstat(descriptor).st_size)

    study = open_study(path, space())
    monkeypatch.setattr(os, "fsync", fsync)
    for value in (3.0, 2.0):
        job = study.ask()
        assert synced[-1] == path.stat().st_size
        before = len(synced)
        study.report(job.setting, 50, value)
        assert len(synced) == before, "reports do not wait for the disk"
        study.note_replicates(job.setting, [value])
        assert synced[-1] == path.stat().st_size
        before = len(synced)
        study.tell(job.setting, "completed", value)
        assert synced[-1] == path.stat().st_size
        assert len(synced) == before + 1
        study.seconds_used = 7.0 * value
        assert synced[-1] == path.stat().st_size
