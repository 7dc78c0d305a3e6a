"""What a person decides about registered versions, in a real MLflow store."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from PIL import Image
from ray_nodes import free_port
from test_live import found as result_of
from test_registry import LATENT, Images, champion, register
from torch import nn
from written_search import WrittenSearch

from gan_tune import cli, service
from gan_tune.cli.printing.verdict import registered
from gan_tune.errors import GanTuneError, ModelNotFoundError, OutputError
from gan_tune.record.mlflow_internals import NOTE
from gan_tune.registry import publish
from gan_tune.registry.candidate import CardDetails, SeedTold, keep_candidate
from gan_tune.registry.card import model_card
from gan_tune.registry.curation import promote, remove, rollback
from gan_tune.registry.promotion import ALIAS
from gan_tune.registry.versions import find_version
from gan_tune.service import compare


@pytest.fixture(scope="module")
def store_of_three(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 (0.5), 2 (0.4), 3 (0.9): 2 is the champion."""
    path = tmp_path_factory.mktemp("three") / "mlflow.db"
    shutil.copy(empty_store, path)
    for seed, value in enumerate((0.5, 0.4, 0.9)):
        register(f"sqlite:///{path}", value, Images(seed))
    assert champion(f"sqlite:///{path}") == 2
    return path


@pytest.fixture
def three(uri: str, store_of_three: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """This test's own registry of the three versions; their files are shared."""
    monkeypatch.setenv("GAN_TUNE_ARTIFACT_ROOT", str(store_of_three.parent))
    with (
        closing(sqlite3.connect(store_of_three)) as made,
        closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as own,
    ):
        made.backup(own)
    return uri


def test_a_worse_version_can_be_promoted_and_taken_back(three: str) -> None:
    moved = promote("digits/3", uri=three)
    assert (moved.version, moved.before, champion(three)) == (3, 2, 3)
    assert moved.verdict is not None
    assert not moved.verdict.promoted
    back = rollback("digits", uri=three)
    assert (back.version, back.before, champion(three)) == (2, 3, 2)
    assert (rollback("digits", uri=three).version, champion(three)) == (1, 1)
    with pytest.raises(GanTuneError, match=r"no champion before version 1 .* versions: 1, 2, 3"):
        rollback("digits", uri=three)


def test_what_another_program_registered_is_neither_moved_nor_removed(uri: str) -> None:
    client = MlflowClient(uri)
    client.create_registered_model("house_prices")
    client.create_model_version("house_prices", "file:///nowhere/at/all")
    client.set_registered_model_alias("house_prices", ALIAS, "1")
    for act in (promote, remove, lambda model, uri: remove(model, force=True, uri=uri)):
        with pytest.raises(GanTuneError, match=r"house_prices/1 .* gan-tune did not save it"):
            act("house_prices/1", uri=uri)
    with pytest.raises(GanTuneError, match=r"house_prices/1 .* gan-tune did not save it"):
        rollback("house_prices", uri=uri)
    assert client.get_model_version_by_alias("house_prices", ALIAS).version == 1


def test_the_champion_promoted_again_stays(three: str) -> None:
    moved = promote("digits/2", uri=three)
    assert (moved.version, moved.before, moved.verdict) == (2, 2, None)
    assert rollback("digits", uri=three).version == 1


def test_a_champion_moved_by_hand_is_followed(three: str) -> None:
    MlflowClient(three).set_registered_model_alias("digits", "champion", "3")
    assert rollback("digits", uri=three).version == 2


@pytest.mark.parametrize("noted", ["x 1 2", "9" * 5000 + " 1 2"])
def test_a_damaged_list_of_champions_is_read_as_far_as_it_is_one(noted: str, three: str) -> None:
    MlflowClient(three).set_registered_model_tag("digits", "gan_tune.champions", noted)
    assert rollback("digits", uri=three).version == 1


def test_a_version_must_be_named(three: str) -> None:
    with pytest.raises(GanTuneError, match=r"a version must be named, as digits/3"):
        promote("digits", uri=three)
    with pytest.raises(GanTuneError, match=r"a version must be named, as NAME/3, .* given is ''"):
        remove("", uri=three)
    for number in (7, 99_999_999_999):
        with pytest.raises(ModelNotFoundError, match=f"no version {number}; .* are: 1, 2, 3"):
            promote(f"digits/{number}", uri=three)


def test_what_a_search_can_do_about_a_champion_is_told_to_searches_alone(uri: str) -> None:
    register(uri, 0.5, Images(1))
    told = register(uri, 0.4, Images(2), comparable="frechet_distance/digits-abc/v2").reason
    assert told.endswith("/v2; give another name (--model OTHERNAME) or delete the alias champion")
    moved = promote("digits/2", uri=uri)
    assert moved.verdict is not None
    assert "--model" not in moved.verdict.reason


def test_a_removed_version_is_gone_and_not_registered_again(three: str) -> None:
    run_id = MlflowClient(three).get_model_version("digits", "3").run_id
    assert remove("digits/3", uri=three) == "digits/3"
    with pytest.raises(ModelNotFoundError):
        find_version("digits/3", uri=three)
    with pytest.raises(GanTuneError, match="somebody has removed this generator"):
        register(three, 0.9, Images(2), run_id=run_id)


def synced(uri: str, home: Path) -> tuple[str, service.SearchResult]:
    """What `gan-tune sync` says of the registration, and the stored result."""
    done = service.sync("digits", home, tracking_uri=uri)
    assert done.waiting == ""
    assert done.result is not None
    return "; ".join(registered(done.result)), done.result


@pytest.fixture
def search(uri: str, tmp_path: Path) -> WrittenSearch:
    """A finished search whose champion is to be registered."""
    search = WrittenSearch(tmp_path, "digits")
    search.trial("0000")
    search.finish(tags={}, metrics={}, files={}, leaderboard=[])
    candidate = publish.export_champion(
        Images(), tmp_path / "model", latent=LATENT, model="digits", trial="0000", value=0.5,
        mode="min", comparable="frechet_distance/digits-abc/v1",
    )  # fmt: skip
    keep_candidate(search.home, candidate, tmp_path / "model")
    unregistered: dict[str, Any] = {"model": None, "model_version": None, "model_note": "not yet"}
    search.home.write_json("result.json", result_of(**unregistered).to_json())
    return search


def test_a_search_says_who_leads_now(uri: str, search: WrittenSearch, tmp_path: Path) -> None:
    first = "registered: digits/1, now the champion (the first champion of digits)"
    assert [synced(uri, tmp_path)[0] for _ in range(2)] == [first] * 2
    register(uri, 0.4, Images(2))
    beaten = "version 2 stays champion: its 0.4 is not beaten by 0.5"
    assert synced(uri, tmp_path)[0] == f"registered: digits/1, not the champion ({beaten})"
    promote("digits/1", uri=uri)
    again = "registered: digits/1, now the champion (version 1 is the champion already)"
    assert synced(uri, tmp_path)[0] == again


def test_a_search_says_that_its_version_was_removed(
    uri: str, search: WrittenSearch, tmp_path: Path
) -> None:
    synced(uri, tmp_path)
    assert not service.best("digits", tmp_path, tracking_uri=uri).removed
    (run,) = (run for name, run in search.runs(uri).items() if name == "0000")
    assert "Registered as [digits/1](#/models/digits/versions/1" in run.data.tags[NOTE]
    remove("digits/1", force=True, uri=uri)
    note = MlflowClient(uri).get_run(run.info.run_id).data.tags[NOTE]
    assert note.endswith("\n\nRegistered as digits/1, which was removed.")
    found = service.best("digits", tmp_path, tracking_uri=uri)
    assert (found.model, found.version, found.removed) == ("digits", 1, True)
    for _ in range(2):
        told, result = synced(uri, tmp_path)
        assert told == "not registered (its version was removed from the registry)"
        assert (result.model, result.model_version, result.promoted) == (None, None, False)
        assert service.best("digits", tmp_path, tracking_uri=uri).removed
    with pytest.raises(ModelNotFoundError):
        find_version("digits/1", uri=uri)


def test_a_version_that_was_removed_after_a_move_is_told(
    uri: str, search: WrittenSearch, tmp_path: Path
) -> None:
    synced(uri, tmp_path)
    result = search.home.read_json("result.json")
    search.home.write_json("result.json", result | {"tracking_uri": "sqlite:////gone/mlflow.db"})
    assert not service.best("digits", tmp_path, tracking_uri=uri).removed
    remove("digits/1", force=True, uri=uri)
    assert service.best("digits", tmp_path, tracking_uri=uri).removed


def test_the_champion_is_removed_only_by_force(three: str) -> None:
    with pytest.raises(GanTuneError, match="must not be the champion, but is"):
        remove("digits/2", uri=three)
    assert champion(three) == 2
    for version in (1, 2, 3):
        remove(f"digits/{version}", force=True, uri=three)
    with pytest.raises(ModelNotFoundError, match="no model named 'digits'"):
        find_version("digits", uri=three)


def test_a_removed_champion_is_no_target_of_a_rollback(three: str) -> None:
    promote("digits/3", uri=three)
    remove("digits/2", uri=three)
    assert rollback("digits", uri=three).version == 1


def test_two_versions_side_by_side(three: str, tmp_path: Path) -> None:
    found = compare("digits/1", "digits", out=tmp_path / "both.png", tracking_uri=three)
    assert found.names == ("digits/1", "digits/2")
    assert found.figures["frechet_distance (selection split)"] == (0.5, 0.4)
    assert found.comparable
    assert found.verdict.promoted
    with Image.open(tmp_path / "both.png") as picture:
        assert picture.width > picture.height
    with pytest.raises(OutputError, match=r"both\.png"):
        compare("digits/1", "digits/2", out=tmp_path / "both.png", tracking_uri=three)


def test_unlike_versions_are_called_so(three: str) -> None:
    register(three, 0.1, Images(7), comparable="other_distance/digits/v9")
    found = compare("digits/1", "digits/4", tracking_uri=three)
    assert not found.comparable
    assert not found.verdict.promoted
    with pytest.raises(GanTuneError, match="two versions must be given, but both are digits/1"):
        compare("digits/1", "digits/1", tracking_uri=three)


def test_points_are_compared_in_plots(uri: str, tmp_path: Path) -> None:
    for value in (0.5, 0.4):
        register(uri, value, nn.Linear(8, 2))
    compare("digits/1", "digits/2", out=tmp_path / "points.png", tracking_uri=uri)
    with Image.open(tmp_path / "points.png") as picture:
        assert len(picture.convert("L").getcolors() or []) > 10


def test_a_version_has_a_model_card_that_a_person_may_replace(uri: str) -> None:
    register(uri, 0.5, Images(1), confirmed_seeds=3)
    client = MlflowClient(uri)
    card = client.get_model_version("digits", "1").description
    assert "mean of 3 fresh seeds | 0.5 |" in card
    assert "gan-tune generate digits/1" in card
    assert 'load_generator("digits/1")' in card
    client.update_model_version("digits", "1", "mine")
    register(uri, 0.5, Images(1), confirmed_seeds=3)
    assert client.get_model_version("digits", "1").description == "mine"


@pytest.mark.parametrize("tag", ["confirmed_seeds", "value", "mode", "test.recall"])
def test_a_damaged_tag_costs_the_card_no_more_than_figures(tag: str) -> None:
    tags = {"value": "0.5", "mode": "min", "confirmed_seeds": "3", "test.recall": "0.25"}
    tags |= {tag: "x"}
    text = model_card(
        "m", 1, {f"gan_tune.{key}": value for key, value in tags.items()}, CardDetails()
    )
    assert ("0.5 |" in text, "0.25 |" in text) == (tag == "test.recall", tag != "test.recall")
    assert "of one training run" not in text


def test_each_figure_stands_beside_real_data_of_its_own_split() -> None:
    tags = {"value": "3", "mode": "min", "objective": "fd", "champion.fd": "9"}
    tags |= {"test.fd": "4", "test.mean.fd": "5", "test.floor.fd": "2", "test.recall": "0.25"}
    floors = {"fd": 1.0, "recall": 0.75}
    text = model_card(
        "m", 1, {f"gan_tune.{k}": v for k, v in tags.items()}, CardDetails(floors=floors)
    )
    table = text.partition("real against real |\n")[2].partition("\n\n")[0]
    assert [line.split(" | ", 1)[1] for line in table.splitlines()[1:]] == [
        "3 | 1 |", "9 |  |", "4 | 2 |", "2 |  |", "5 | 2 |", "0.25 |  |",
    ]  # fmt: skip


@contextmanager
def descriptions_up_to(characters: int, uri: str) -> Iterator[None]:
    """MLflow's table with the limit that it has in PostgreSQL, and that SQLite does not keep."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as store:
        store.execute(
            "CREATE TRIGGER longest BEFORE UPDATE ON model_versions "
            f"WHEN length(NEW.description) > {characters} "
            f"BEGIN SELECT RAISE(ABORT, 'value too long ({characters})'); END"
        )
        yield
        store.execute("DROP TRIGGER longest")


def register_with_card(uri: str, folder: Path, details: CardDetails) -> str:
    """The description of the version that was registered, in a store with MLflow's limits."""
    candidate = publish.export_champion(
        Images(), folder, latent=LATENT, model="digits", trial=None, value=0.5, mode="min",
        comparable="v1", details=details,
    )  # fmt: skip
    publish.register(uri, candidate, folder, run_id=None)
    return str(MlflowClient(uri).get_model_version("digits", "1").description)


@pytest.mark.parametrize(
    ("details", "says"),
    [
        (
            CardDetails(settings={f"optimizer.adam.{i}": 1e-4 for i in range(200)}),
            " rows left out here: ",
        ),
        (CardDetails(settings={"hidden": list(range(5000))}), "1 row left out here: "),
        (CardDetails(by_seed=[SeedTold("0001-1", 7, 1.5, 9)] * 500), " rows left out here: "),
        (CardDetails(faults=["It repeats itself. " * 300]), "… "),
    ],
    ids=["settings", "a long one", "seeds", "sentences"],
)
def test_a_long_card_is_cut_to_what_mlflows_databases_take(
    details: CardDetails, says: str, uri: str, tmp_path: Path
) -> None:
    with descriptions_up_to(5000, uri):
        card = register_with_card(uri, tmp_path / "model", details)
    assert champion(uri) == 1
    assert f"{says}`record/registration.json` in the search's folder has all of it." in card
    assert details.faults or "gan-tune generate digits/1" in card
    assert card.count("```") % 2 == 0


def test_a_description_that_mlflow_refuses_keeps_no_champion_from_its_place(
    uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with descriptions_up_to(100, uri):
        assert register_with_card(uri, tmp_path / "model", CardDetails()) == "None"
    assert champion(uri) == 1
    (told,) = (one.getMessage() for one in caplog.records if one.name == "gan_tune")
    assert told.startswith("MLflow refuses the description of model digits/1: ")
    assert "\n" not in told


# ------------------------------------------------------------------ the commands

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process: its exit code, and what it prints."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gan-tune", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


def test_the_commands_move_the_champion_and_say_so(three: str, command: Command) -> None:
    record = ("--tracking-uri", three)
    code, out, _ = command("promote", "digits/3", *record)
    assert (code, champion(three)) == (0, 3)
    assert out.startswith("version 3 of digits is the champion now, in place of version 2\n")
    code, out, _ = command("rollback", "digits", *record)
    assert (code, champion(three)) == (0, 2)
    assert out.startswith("version 2 of digits is the champion now, in place of version 3\n")
    code, _, err = command("promote", "digits/9", *record)
    assert (code, err) == (2, "error: model 'digits' has no version 9; its versions are: 1, 2, 3\n")


def test_the_commands_compare_and_remove(three: str, command: Command, tmp_path: Path) -> None:
    record, out_file = ("--tracking-uri", three), tmp_path / "both.png"
    code, out, _ = command("compare", "digits/1", "digits/2", "--out", out_file, *record)
    assert code == 0
    assert {"0.5", "0.4", str(out_file)} <= set(out.split())
    with Image.open(out_file) as both:
        assert both.width > both.height
    code, _, err = command("rm", "digits/2", *record)
    assert code == 2
    assert err.startswith("error: digits/2 must not be the champion, but is: ")
    told = "removed digits/1; the run that trained it stays in MLflow\n"
    assert command("rm", "digits/1", *record)[:2] == (0, told)
    with pytest.raises(ModelNotFoundError):
        find_version("digits/1", uri=three)


def test_sync_refuses_a_server_that_is_not_there_and_says_what_it_did(
    uri: str, search: WrittenSearch, tmp_path: Path, command: Command
) -> None:
    words = ("sync", "digits", "--storage", tmp_path, "--tracking-uri")
    code, _, err = command(*words, f"http://127.0.0.1:{free_port()}")
    assert code == 1
    assert err.splitlines()[-1].startswith("error: ")
    assert err.endswith("--tracking-uri\n")
    code, out, _ = command(*words, uri)
    assert code == 0
    assert "registered: digits/1, now the champion" in out
