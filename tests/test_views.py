"""What MLflow's pages show of a search: descriptions, the table and the charts of its trials."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from written_search import WrittenSearch

import gan_tune
from gan_tune.record.mlflow_internals import NOTE, SHARED_VIEW
from gan_tune.record.note import note_tags
from gan_tune.record.shared_view import LONGEST, shared_view
from gan_tune.record.spool import EndingChampion
from gan_tune.record.tags import Tag
from gan_tune.service.running.recording import searched_params

SEARCHED = {"generator_optimizer.adam.lr": "generator_optimizer.lr", "ema": "ema"}
ROWS = [
    {"setting": 1, "outcome": "completed", "value": 0.5, "mean": 0.55, "spread": 0.05, "seeds": 3},
    {"setting": 0, "outcome": "diverged", "value": None, "mean": None, "spread": None, "seeds": 0},
]
CHAMPION = EndingChampion("0001", 1, mean=0.55, spread=0.05, seeds=3)


@pytest.fixture
def search(tmp_path: Path) -> WrittenSearch:
    written = WrittenSearch(tmp_path / "runs", searched=SEARCHED)
    written.trial("0000", "diverged")
    written.trial("0001")
    return written


def finish(search: WrittenSearch) -> None:
    settings = {"generator_optimizer.adam.lr": 0.001, "steps": 20}
    search.home.write("champion.png", b"picture")
    search.finish(
        leaderboard=[{**row, **settings} for row in ROWS],
        files={"champion.png": "champion.png"},
        champion=replace(CHAMPION, model="digits"),
    )


def note(run: Run) -> str:
    return str(run.data.tags.get(NOTE, ""))


def view(uri: str, run: Run) -> dict[str, Any]:
    experiment = MlflowClient(uri).get_experiment(run.info.experiment_id)
    envelope = json.loads(experiment.tags[f"{SHARED_VIEW}{run.info.run_id}"])
    assert envelope["name"] == "digits: the best first"
    found = json.loads(envelope["state"])
    assert isinstance(found, dict)
    return found


def test_a_running_search_tells_its_goal_and_leads_to_its_trials(
    uri: str, search: WrittenSearch
) -> None:
    delivery = search.delivery(uri)
    delivery.start(["0001"], live=True)
    delivery.wait(60)
    delivery.close()
    parent = search.runs(uri)[""]
    assert note(parent).startswith("Search for the lowest `frechet_distance` on **digits**")
    assert f"viewStateShareKey={parent.info.run_id}" in note(parent)
    assert "Leaderboard" not in note(parent)


def test_a_search_that_has_ended_shows_champion_leaderboard_and_use(
    uri: str, search: WrittenSearch
) -> None:
    finish(search)
    assert not search.delivered(uri)
    text = note(search.runs(uri)[""])
    assert "2 settings: completed 1, diverged 1" in text
    assert "### Best trial: `0001`, frechet_distance 0.55 ± 0.05 (3 fresh seeds)" in text
    assert "](get-artifact?path=champion.png&run_uuid=" in text
    assert "| `generator_optimizer.adam.lr` | `0.001` |" in text
    assert "| 1 | 1 | completed | 0.5 | 0.55 ± 0.05 (3 fresh seeds) |" in text
    assert "| 2 | 0 | diverged | - | - |" in text
    assert "gan-tune generate digits -n 64" in text


def test_a_trial_is_described_in_one_line(uri: str, search: WrittenSearch) -> None:
    finish(search)
    search.delivered(uri)
    text = note(search.runs(uri)["0000"])
    assert text.startswith("**diverged** after 20 steps (a value was not finite, or exploded)")
    assert "generator_optimizer.adam.lr" not in text, "the short form"
    assert "lr=0.0001" in text
    assert "\n" not in text


def test_a_second_delivery_changes_no_description(uri: str, search: WrittenSearch) -> None:
    finish(search)
    search.delivered(uri)
    before = {name: note(run) for name, run in search.runs(uri).items()}
    search.delivered(uri)
    assert {name: note(run) for name, run in search.runs(uri).items()} == before


def test_what_somebody_has_written_is_kept(uri: str, search: WrittenSearch) -> None:
    delivery = search.delivery(uri)
    delivery.start(["0000"], live=True)
    delivery.wait(60)
    delivery.close()
    parent = search.runs(uri)[""]
    MlflowClient(uri).set_tag(parent.info.run_id, NOTE, "my own words")
    finish(search)
    search.delivered(uri)
    assert note(search.runs(uri)[""]) == "my own words"


def test_a_record_without_descriptions_gets_them(uri: str, search: WrittenSearch) -> None:
    """As one of an older version, which a later command completes."""
    finish(search)
    search.delivered(uri)
    client, parent = MlflowClient(uri), search.runs(uri)[""]
    for tag in (NOTE, Tag.DESCRIBED):
        client.delete_tag(parent.info.run_id, tag)
    search.delivered(uri)
    assert "### Leaderboard" in note(search.runs(uri)[""])


def test_an_entry_of_an_older_version_is_delivered(uri: str, tmp_path: Path) -> None:
    search = WrittenSearch(tmp_path / "old")
    search.trial("0000")
    search.finish()
    for place, new in (("record/search.json", "searched"), ("record/ending.json", "champion")):
        stored = search.home.read_json(place)
        del stored[new]
        search.home.write_json(place, stored)
    search = WrittenSearch.of(tmp_path / "old", "digits")
    assert not search.delivered(uri)
    assert note(search.runs(uri)[""])
    assert note(search.runs(uri)["0000"]).startswith("**completed** after 20 steps")


def test_the_view_shows_the_trials_flat_and_sorted(uri: str, search: WrittenSearch) -> None:
    finish(search)
    search.delivered(uri)
    parent = search.runs(uri)[""]
    seen = view(uri, parent)
    assert (seen["orderByKey"], seen["orderByAsc"]) == ("metrics.`best.frechet_distance`", True)
    found = MlflowClient(uri).search_runs(
        [parent.info.experiment_id], seen["searchFilter"], order_by=[f"{seen['orderByKey']} ASC"]
    )
    assert {run.data.tags[Tag.TRIAL] for run in found} == {"0000", "0001"}
    assert "params.`generator_optimizer.lr`" in seen["selectedColumns"]
    kinds = [chart["type"] for chart in seen["compareRunCharts"]]
    assert kinds == ["LINE", "PARALLEL", "IMAGE"]
    axes = seen["compareRunCharts"][1]["selectedParams"]
    assert axes
    for run in found:
        assert set(axes) <= run.data.params.keys(), "MLflow compares trials that have them all"
    assert seen["compareRunCharts"][-1]["step"] == 20


def test_a_view_of_many_dimensions_fits_into_mlflows_tag() -> None:
    searched = [f"generator.a_rather_long_name_of_an_argument.{i}" for i in range(500)]
    text = shared_view(
        "mine",
        "r" * 32,
        created_ms=1,
        metric="frechet_distance",
        ascending=True,
        searched=searched,
        compared=[*searched[:2], searched[-1]],
    )
    assert len(text) <= LONGEST
    state = json.loads(json.loads(text)["state"])
    assert state["compareRunCharts"][1]["selectedParams"] == searched[:2]
    columns = state["selectedColumns"]
    assert f"params.`{searched[0]}`" in columns
    assert f"params.`{searched[-1]}`" not in columns


def test_a_long_description_is_cut_between_lines() -> None:
    tags = note_tags({}, "word word\n" * 2000)
    assert len(tags[NOTE]) < 8000
    assert tags[NOTE].endswith("word word\n\n…")
    assert note_tags(tags, "other") == note_tags({}, "other")


@pytest.mark.parametrize("name", ["digits", "mlp", "points"])
def test_what_is_searched_is_found_among_a_trials_params(name: str) -> None:
    space = gan_tune.load_space(name)
    searched = searched_params(space)
    assert set(searched) == {dimension.name for dimension in space.dimensions()}
    for assignment in space.start_assignments():
        params = space.config(assignment, seed=0).params() | space.choosers(assignment)
        for dimension, value in assignment.items():
            if searched[dimension] in params and not str(value).startswith("#"):
                assert params[searched[dimension]] == value, dimension
        assert len(params.keys() & set(searched.values())) >= 5
