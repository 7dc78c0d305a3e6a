"""What a search has stored and somebody has damaged: read, or refused in one line."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from fuzzing import lanes, refused_or_taken, refuses_or_takes
from hypothesis import strategies as st
from mlflow import MlflowException
from mutations import contents, stored
from test_kept_notes import pictures
from test_search_result import STORED
from toy_study import CONDITIONAL, study_of
from written_search import WrittenSearch

from gan_tune import service
from gan_tune.cli import documents, printing
from gan_tune.outgoing import outgoing
from gan_tune.record.projection import Projection
from gan_tune.record.requests import is_refusal
from gan_tune.record.spool import Spool
from gan_tune.registry.candidate import (
    Candidate,
    CardDetails,
    DataTold,
    SeedTold,
    kept_candidate,
)
from gan_tune.registry.card import model_card
from gan_tune.searching.leading.confirming import stored_standings
from gan_tune.searching.study.leaderboard import leaderboard
from gan_tune.searching.study.origins import Start
from gan_tune.service.begin_from_data import DataNote
from gan_tune.service.damage import Damage
from gan_tune.service.running.judging import keep_judge, own_extractor
from gan_tune.service.running.note import PlanNote, SearchNote
from gan_tune.service.running.precision import PrecisionNote
from gan_tune.service.running.resources import ResourcesNote
from gan_tune.service.running.retrying import trials_put_back
from gan_tune.service.stored_study import StudyNote, read_study
from gan_tune.storage.holder import this_process
from gan_tune.storage.lease import holder_of
from gan_tune.storage.nodes_aside import NodeAside, nodes_aside
from gan_tune.storage.places import (
    JUDGE_ARRAYS,
    JUDGE_NOTE,
    RECORD_ENDING,
    RECORD_ENTRY,
    REGISTRATION,
    SEARCH_NOTE,
    STUDY_NOTE,
    look_in,
)
from gan_tune.storage.storage import Storage
from gan_tune.storage.stored import read_stored
from gan_tune.storage.trial_folder import TrialFolders

NAME = "toy"
TRIALS = ("0000", "0001", "0001-confirm-1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search of two settings that has finished; another lies beside it."""
    runs = tmp_path_factory.mktemp("runs")
    for name in (NAME, "sound"):
        (runs / name).mkdir()
        study_of(runs / name, CONDITIONAL, ["completed", "completed"])
        _write(WrittenSearch(runs, name))
    return runs / NAME


def _write(search: WrittenSearch) -> None:
    search.finish(leaderboard=[{"setting": 0}], files={"a": "b"}, metrics={"x": 0.5})
    for trial in TRIALS:
        search.trial(trial)
    SearchNote("frechet_distance", "min", 4, None, started_ms=1).write(search.home)
    start = Start("experience 1", {"loss": "hinge"})
    notes: Mapping[str, Any] = {
        "result.json": STORED | {"name": search.name},
        "study.json": asdict(StudyNote(None, "0a", "1b", ["other"], "", [start])),
        "plan.json": asdict(PlanNote(100, 4, 0.1, 0.2, 2, 10)),
        "data.json": asdict(DataNote("/photos", "0a", {"name": "pictures"})),
        "precision.json": asdict(PrecisionNote("float32")),
        "resources.json": asdict(ResourcesNote(0.5)),
        "retry.json": ["0001"],
        "running.json": {"trials": ["0001"]},
        "nodes.json": {"nodes": {"n1": asdict(NodeAside("10.0.0.2", "failing", "its disk"))}},
        "lease/000003.json": asdict(this_process()),
        REGISTRATION: asdict(_candidate()),
    }
    for name, content in notes.items():
        search.home.write_json(name, content)


def _candidate() -> Candidate:
    details = CardDetails(
        DataTold("pictures", "0a", {"train": 8}), {"loss": "hinge"}, 0.5,
        [SeedTold("0001", 7, 0.5, 40)], {"frechet_distance": 0.1}, ["It repeats itself."],
        has_picture=True, has_curve=True,
    )  # fmt: skip
    tags = {"gan_tune.value": "0.5", "gan_tune.mode": "min"}
    return Candidate(NAME, "min", "0001", tags, ["MLmodel"], details)


NOTES: Mapping[str, type[Any]] = {
    "plan.json": PlanNote,
    "data.json": DataNote,
    "precision.json": PrecisionNote,
    "resources.json": ResourcesNote,
    STUDY_NOTE: StudyNote,
}


def _status(runs: Path) -> None:
    found = service.status(NAME, runs)
    printing.print_status(found)
    documents.print_document(documents.status_document(found))


def _best(runs: Path) -> None:
    found = service.best(NAME, runs)
    printing.print_best(found)
    documents.print_document(documents.best_document(found))


def _result(runs: Path) -> None:
    result = service.load_result(NAME, runs)
    printing.print_result(result, again=True)
    documents.print_document(documents.result_document(result))
    assert result.trials is not None
    assert result._repr_html_()


def _trials(runs: Path) -> None:
    for trial in TRIALS:
        folder = TrialFolders(look_in(runs).below(NAME))[trial]
        for read in (folder.description, folder.config, folder.reports, folder.ending):
            refused_or_taken(read)


def _standings(runs: Path) -> None:
    home = look_in(runs).below(NAME)
    study = read_study(home, NAME)
    leaderboard(study, stored_standings(home, study, Damage()))


def _work(runs: Path) -> None:
    """What a command does that begins to work on the search, and what one says that looks on."""
    home = look_in(runs).below(NAME)
    for aside in nodes_aside(home).values():
        print(outgoing(str(aside)))
    print(outgoing(holder_of(home, NAME)))


def _ls(runs: Path) -> None:
    found = service.searches(runs)
    printing.print_searches(found)
    documents.print_document(documents.listing_document(found, []))
    assert "sound" in {search.name for search in found}


def _report(runs: Path) -> None:
    assert service.report(NAME, "page.html", runs, force=True).stat().st_size


def _spool(runs: Path) -> None:
    spool = Spool(look_in(runs).below(NAME))
    refused_or_taken(spool.entry)
    refused_or_taken(spool.ending)


def _card(runs: Path) -> None:
    kept = kept_candidate(look_in(runs).below(NAME))
    assert kept is not None
    model_card(kept.model, 1, kept.tags, kept.details)


def _notes(runs: Path) -> None:
    home = look_in(runs).below(NAME)
    refused_or_taken(lambda: trials_put_back(home))
    for name, kind in NOTES.items():
        refused_or_taken(lambda name=name, kind=kind: read_stored(home, name, kind))


Reader = Callable[[Path], object]
READERS: tuple[Reader, ...] = (
    _ls, _status, _best, _result, _trials, _standings, _spool, _card, _notes, _work
)  # fmt: skip
Read = Callable[[str, bytes, Reader], None]


@pytest.fixture(scope="module")
def read(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    """Reads the search while a file of it has another content."""

    def one(name: str, content: bytes, reader: Reader) -> None:
        sound, shown = (home / name).read_bytes(), io.StringIO()
        (home / name).write_bytes(content)
        try:
            with contextlib.redirect_stdout(shown):
                reader(home.parent)
        finally:
            (home / name).write_bytes(sound)
        assert shown.getvalue() == outgoing(shown.getvalue())

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("without MLflow"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield one


def _damaged_files(home: Path) -> st.SearchStrategy[tuple[str, bytes]]:
    files = {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*.json")}
    return st.one_of([st.tuples(st.just(name), stored(files[name])) for name in sorted(files)])


@lanes
def test_a_damaged_file_takes_nothing_else_with_it(examples: int, home: Path, read: Read) -> None:
    """It is named, and every other search is listed."""
    both = st.tuples(_damaged_files(home), st.sampled_from(READERS))
    refuses_or_takes(examples, both, lambda one: read(*one[0], one[1]))


@lanes
def test_a_report_of_damaged_files(examples: int, home: Path, read: Read) -> None:
    """A page takes long to write, so there are fewer examples."""
    refuses_or_takes(examples // 40, _damaged_files(home), lambda one: read(*one, _report))


@lanes
def test_a_damaged_journal_is_refused(examples: int, home: Path, read: Read) -> None:
    lines = (home / "study.journal").read_bytes().splitlines(keepends=True)

    def with_line(place: int) -> st.SearchStrategy[bytes]:
        before, after = b"".join(lines[:place]), b"".join(lines[place + 1 :])
        return stored(lines[place]).map(lambda line: before + line + b"\n" + after)

    damaged = st.integers(0, len(lines) - 1).flatmap(with_line)
    either = st.one_of(damaged, damaged, contents(b"".join(lines)))
    refuses_or_takes(
        examples // 4, either, lambda content: read("study.journal", content, _standings)
    )


@lanes
def test_a_damaged_judge(examples: int, tmp_path: Path) -> None:
    """The features by which a search compares pictures are taken, or refused in words."""
    home, dataset = Storage(str(tmp_path)), pictures()
    keep_judge(dataset, own_extractor(dataset, home), home)
    home.write(SEARCH_NOTE, b"{}")
    sound = {name: (tmp_path / name).read_bytes() for name in (JUDGE_NOTE, JUDGE_ARRAYS)}
    kept = own_extractor(dataset, home).identity

    def take(one: tuple[str, bytes]) -> None:
        name, content = one
        (tmp_path / name).write_bytes(content)
        try:
            assert own_extractor(dataset, home).identity.startswith("patches-")
        finally:
            (tmp_path / name).write_bytes(sound[name])

    damaged = st.one_of(
        st.tuples(st.just(JUDGE_NOTE), stored(sound[JUDGE_NOTE])),
        st.tuples(st.just(JUDGE_ARRAYS), contents(sound[JUDGE_ARRAYS])),
    )
    refuses_or_takes(examples, damaged, take)
    assert own_extractor(dataset, home).identity == kept


@lanes
def test_a_record_made_from_a_damaged_spool(examples: int, tmp_path: Path, uri: str) -> None:
    """`sync` writes what it can; what MLflow or gan-tune refuses is no other error."""
    search = WrittenSearch(tmp_path / "runs")
    search.trial("0000")
    search.finish(metrics={"x": 0.5}, leaderboard=[{"setting": 0}], tags={"a": "b"})
    assert not search.delivered(uri)
    sound = {name: search.home.read(name) or b"" for name in (RECORD_ENTRY, RECORD_ENDING)}

    def take(one: tuple[str, bytes]) -> None:
        name, content = one
        search.home.write(name, content)
        try:
            entry, ending = search.spool.entry(), search.spool.ending()
            if entry is None:
                return
            projection = Projection(uri, search.home, entry)
            projection.open(ending, goes_on=False)
            for trial in projection.trials():
                if projection.write_figures(trial, runs=False):
                    projection.write_rest(trial, runs=False)
            projection.finish(ending)
        except MlflowException as error:
            if not is_refusal(error):
                raise
        finally:
            search.home.write(name, sound[name])

    damaged = st.one_of([st.tuples(st.just(name), stored(sound[name])) for name in sorted(sound)])
    refuses_or_takes(max(5, examples // 20), damaged, take, shrinks=False)
