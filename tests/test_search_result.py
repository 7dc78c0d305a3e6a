"""The stored result of a search: its JSON stays as it is, and older ones load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gan_tune import service
from gan_tune.errors import SearchNotFoundError, StorageError
from gan_tune.service.search_status import SearchStatus, TrialStatus

ROW: dict[str, Any] = {
    "setting": 2,
    "origin": "",
    "outcome": "completed",
    "value": 10.5,
    "value_spread": None,
    "value_seeds": 1,
    "mean": 11.0,
    "spread": 0.25,
    "seeds": 2,
    "steps": 1000,
    "further": {},
    "on_front": False,
    "changes": {"loss": "hinge", "generator_optimizer.adam.lr": 0.0002},
}
STORED: dict[str, Any] = {
    "name": "digits",
    "finished": True,
    "metric": "frechet_distance",
    "mode": "min",
    "trials": 3,
    "minutes": None,
    "outcomes": {"completed": 1},
    "rows": [ROW],
    "champion": {
        "trial": "0002-confirm-1",
        "setting": 2,
        "mean": 11.0,
        "spread": 0.25,
        "seeds": 2,
        "confirmed": True,
        "config": {"steps": 1000, "loss": {"name": "hinge"}},
        "lineage": [{"trial": "0000", "until": 200, "config": {"steps": 1000}}],
    },
    "first_mean": 40.0,
    "test": {"test.mean.frechet_distance": 10.0, "test.first.frechet_distance": 40.0},
    "model": "digits",
    "model_version": 1,
    "promoted": True,
    "model_note": "",
    "grid": "/runs/digits/champion.png",
    "tracking_uri": "sqlite:////mlflow.db",
    "experiment": "digits",
    "run_id": "1f",
    "seconds": 12.5,
    "space_digest": "0a",
    "importances": {"step": 200, "settings": 1, "left_out": 0, "shares": {}},
    "examination": {
        "metric": "frechet_distance",
        "farness": 0.1,
        "distinct_share": None,
        "variety": 0.9,
        "copies": 0.05,
        "copies_of_selection": 0.05,
        "faults": [],
    },
    "at_equal_steps": None,
    "gpu_hours": None,
    "waiting": "",
}


def test_a_result_is_written_as_it_was_read_field_by_field() -> None:
    result = service.SearchResult.from_json(STORED)
    assert json.dumps(result.to_json()) == json.dumps(STORED)
    assert result.champion is not None
    assert (result.champion.mean, result.rows[0].changes["loss"]) == (11.0, "hinge")
    assert result.gain == 0.25


def test_a_result_of_an_older_version_loads(tmp_path: Path) -> None:
    later = ("importances", "examination", "at_equal_steps", "gpu_hours", "waiting")
    old = {key: value for key, value in STORED.items() if key not in later}
    row = {
        key: ROW[key]
        for key in ROW
        if key not in ("origin", "value_spread", "value_seeds", "further", "on_front")
    }
    champion = {key: value for key, value in STORED["champion"].items() if key != "lineage"}
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "result.json").write_text(
        json.dumps(old | {"rows": [row], "champion": champion})
    )
    result = service.load_result("digits", tmp_path)
    assert result.rows[0] == service.SearchResult.from_json(STORED).rows[0]
    assert result.champion is not None
    assert result.champion.lineage == ()
    assert result.mattered == {}
    assert result.grid == str(tmp_path / "digits" / "champion.png"), "where the folder is now"
    best = service.best("digits", tmp_path)
    assert (best.trial, best.value, best.decided) == ("0002-confirm-1", 11.0, ROW["changes"])


@pytest.mark.parametrize("key", ["trial", "until", "config"])
def test_a_lineage_without_its_fields_is_refused(key: str) -> None:
    (earlier,) = STORED["champion"]["lineage"]
    lineage = [{name: value for name, value in earlier.items() if name != key}]
    with pytest.raises(StorageError, match=rf"champion\.lineage\.0\.{key}: Field required"):
        service.SearchResult.from_json(
            STORED | {"champion": STORED["champion"] | {"lineage": lineage}}
        )


def test_a_search_without_a_champion(tmp_path: Path) -> None:
    assert service.SearchResult.from_json(STORED | {"champion": None}).champion is None
    with pytest.raises(SearchNotFoundError, match="no result of a search 'digits'"):
        service.load_result("digits", tmp_path)


def test_a_setting_counts_by_its_last_replicate_unless_nothing_is_known_of_that() -> None:
    outcomes = {"0000": "completed", "0001": "completed", "0001-seed-10": "diverged"}
    outcomes |= {"0001-seed-9": "completed", "0000-confirm-1": "diverged", "0002": "pruned"}
    outcomes |= {"0003": "completed", "0003-seed-1": "pruned"}
    rows = [
        TrialStatus(name, "confirmation" if "confirm" in name else "search", outcome, 1.0, 1, 1)
        for name, outcome in outcomes.items()
    ]
    status = SearchStatus("s", "running", "", "m", "min", 2, None, None, rows, "here")
    assert status.outcomes == {"completed": 2, "diverged": 1, "pruned": 1}
    assert status.confirmations == 1
