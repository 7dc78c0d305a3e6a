"""Records of MLflow that somebody has damaged: each is named and left out, the sound ones stay."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import trial_config
from fuzzing import lanes, refused_or_taken, refuses_or_takes
from hypothesis import strategies as st
from mutations import ODD_TEXTS, trees
from test_warm_start import space
from written_search import WrittenSearch

from gan_tune import service
from gan_tune.cli import documents, printing
from gan_tune.config import TrialConfig
from gan_tune.experience.recorded import recorded_setting
from gan_tune.outgoing import outgoing
from gan_tune.parts.all_parts import catalogue
from gan_tune.record.requests import param_text
from gan_tune.service.running.earlier_searches import at_their_length, read_searches, warm_start

TOGETHER = 40
"""Records that are damaged at once: reading a store takes longer than many records."""

PARAMS = {path: param_text(value) for path, value in trial_config().params().items()}
TRIAL: Mapping[str, Any] = {
    "tags": {
        "gan_tune.trial": "0001", "gan_tune.setting": "1", "gan_tune.replicate": "0",
        "gan_tune.kind": "search", "gan_tune.outcome": "completed", "gan_tune.search": "toy",
        "mlflow.parentRunId": "PARENT",
    },
    "params": PARAMS,
    "run": {"start_time": 1, "end_time": 2, "status": "FINISHED", "name": "0001"},
    "metrics": [[10, 1.5], [24, 0.5]],
}  # fmt: skip
SEARCH: Mapping[str, Any] = {
    "tags": {
        "gan_tune.search": "other", "gan_tune.kind": "parent", "gan_tune.mode": "min",
        "gan_tune.objective": "frechet_distance", "gan_tune.metric_version": "1",
    },
    "run": {"start_time": 1, "end_time": 2, "status": "FINISHED", "name": "other"},
}  # fmt: skip
VERSION: Mapping[str, Any] = {
    "tags": {
        "gan_tune.value": "0.5", "gan_tune.objective": "frechet_distance", "gan_tune.mode": "min",
        "gan_tune.search": "toy", "gan_tune.trial": "0000", "gan_tune.confirmed_seeds": "2",
        "gan_tune.latent": "8", "gan_tune.test.frechet_distance": "0.6", "gan_tune.spread": "0.1",
        "gan_tune.faults": "[]", "gan_tune.comparable": "x",
    },
    "run": {"creation_time": 1},
}  # fmt: skip
WORDS = tuple({*TRIAL["tags"], *SEARCH["tags"], *VERSION["tags"], *PARAMS, "²", "metrics"})
TEXTS = st.one_of(
    st.sampled_from(
        [*ODD_TEXTS[:-2], "9" * 4999, "[" * 7000, "NaN", "-1", "1e400", "{}", "[]", "\ufeff1"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


def _as_recorded(value: Any) -> Any:
    """What MLflow takes: texts, whole numbers of 64 bits, and mappings of texts."""
    if isinstance(value, dict):
        return {_text(key): _text(inner) for key, inner in value.items()}
    return {}


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text.encode(errors="replace").decode()[:7999]


def _number(value: Any) -> int | None:
    sound = isinstance(value, int) and -(2**63) <= value < 2**63
    return int(value) if sound else None


def _damaged(record: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    texts = st.tuples(
        st.sampled_from(sorted(record["tags"])), TEXTS, st.sampled_from(sorted(PARAMS)), TEXTS
    ).map(
        lambda four: {
            **record,
            "tags": record["tags"] | {four[0]: four[1]},
            "params": record.get("params", {}) | {four[2]: four[3]},
        }
    )
    return st.one_of(texts, trees(dict(record), WORDS))


class Store:
    """An MLflow store of one sound search and model, to which damaged records are added."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.uri, self.folder = uri, folder
        search = WrittenSearch(folder / "runs", "toy")
        for trial in ("0000", "0001"):
            search.trial(trial, params=PARAMS)
        search.finish()
        assert not search.delivered(uri)
        self._database = sqlite3.connect(folder / "mlflow.db", isolation_level=None)
        one = "select run_uuid, experiment_id from tags join runs using (run_uuid) where"
        parent = self._database.execute(f"{one} key = 'gan_tune.kind' and value = 'parent'")
        self._parent, self._experiment = parent.fetchone()
        self._add_version("sound", VERSION)

    def hold(self, trials: list[Any], searches: list[Any], versions: list[Any]) -> None:
        """Let the store hold these records beside the sound ones."""
        self._database.execute("begin")
        for table in ("tags", "params", "metrics", "latest_metrics", "runs"):
            self._database.execute(f"delete from {table} where run_uuid like 'damaged%'")
        for table in ("model_version_tags", "registered_model_aliases", "model_versions"):
            self._database.execute(f"delete from {table} where name like 'damaged%'")
        for table in ("registered_model_tags", "registered_models"):
            self._database.execute(f"delete from {table} where name like 'damaged%'")
        for place, record in enumerate([*trials, *searches]):
            self._add_run(f"damaged{place}", record)
        for place, record in enumerate(versions):
            self._add_version(f"damaged{place}", record)
        self._database.execute("commit")

    def _add_run(self, run: str, record: Mapping[str, Any]) -> None:
        about = record.get("run")
        about = about if isinstance(about, dict) else {}
        times = [_number(about.get(key)) for key in ("start_time", "end_time")]
        status = about.get("status") if about.get("status") in ("KILLED", "RUNNING") else "FINISHED"
        self._insert(
            "runs",
            run_uuid=run, name=_text(about.get("name", "")), source_type="LOCAL", status=status,
            start_time=times[0], end_time=times[1], lifecycle_stage="active", user_id="x",
            artifact_uri=f"{self.folder}/mlruns/{run}", experiment_id=self._experiment,
        )  # fmt: skip
        for table in ("tags", "params"):
            for key, value in _as_recorded(record.get(table)).items():
                value = value.replace("PARENT", self._parent)
                self._insert(table, key=key[:250], value=value, run_uuid=run)
        reports = record.get("metrics")
        for report in reports if isinstance(reports, list) else []:
            if isinstance(report, list) and len(report) == 2:
                self._add_metric(run, *report)

    def _add_metric(self, run: str, step: Any, value: Any) -> None:
        number = float(value) if isinstance(value, (int, float)) and abs(value) < 1e300 else 0.0
        found = {
            "value": 0.0 if number != number else number, "is_nan": number != number,
            "timestamp": 1, "step": _number(step) or 0, "run_uuid": run,
        }  # fmt: skip
        for key in ("frechet_distance", "best.frechet_distance"):
            self._insert("metrics", key=key, **found)
            self._insert("latest_metrics", key=key, **found)

    def _add_version(self, name: str, record: Mapping[str, Any]) -> None:
        about = record.get("run")
        made = _number(about.get("creation_time")) if isinstance(about, dict) else None
        self._insert("registered_models", name=name, creation_time=made, last_updated_time=made)
        self._insert("registered_model_tags", name=name, key="gan_tune.kind", value="generator")
        self._insert("registered_model_aliases", name=name, alias="champion", version=1)
        self._insert(
            "model_versions",
            name=name, version=1, creation_time=made, last_updated_time=made, status="READY",
            current_stage="None", source=f"{self.folder}/mlruns/{name}", run_id="",
        )  # fmt: skip
        for key, value in _as_recorded(record.get("tags")).items():
            self._insert("model_version_tags", name=name, version=1, key=key[:250], value=value)

    def _insert(self, table: str, **row: Any) -> None:
        columns = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" * len(row))
        self._database.execute(
            f"insert or replace into {table} ({columns}) values ({marks})", list(row.values())
        )


SPACE = space()


def _ls(store: Store) -> None:
    found, models = (
        service.searches(store.folder, tracking_uri=store.uri),
        service.models(store.uri),
    )
    printing.print_searches(found)
    printing.print_models(models)
    documents.print_document(documents.listing_document(found, models))
    assert "toy" in {search.name for search in found}
    assert "sound" in {model.name for model in models}


def _status(store: Store) -> None:
    found = service.status("toy", store.folder, tracking_uri=store.uri)
    printing.print_status(found)
    documents.print_document(documents.status_document(found))


def _models(store: Store) -> None:
    names = [f"damaged{place}" for place in range(4)]
    for name in names:
        refused_or_taken(lambda name=name: _best(store, name))
    for pair in zip(["sound", *names], names, strict=False):
        refused_or_taken(
            lambda pair=pair: printing.print_comparison(
                service.compare(*pair, tracking_uri=store.uri)
            )
        )
    refused_or_taken(lambda: service.load_generator(names[0], tracking_uri=store.uri))


def _best(store: Store, name: str) -> None:
    found = service.best(name, store.folder, tracking_uri=store.uri)
    printing.print_best(found)
    documents.print_document(documents.best_document(found))


def _warm_start(store: Store) -> None:
    found = read_searches(["toy"], SPACE, store.uri)
    at_their_length(found, SPACE)
    for data in ("abc123", "other"):
        version = found[0].metric_version
        warm = warm_start(found, SPACE, metric_version=version, data=data)
        assert list(warm.notes())


def _learn(store: Store) -> None:
    service.learn(["toy"], store.folder / "x.json", tracking_uri=store.uri, force=True)


Reader = Callable[[Store], None]
READERS: tuple[Reader, ...] = (_ls, _status, _models, _warm_start, _learn)


@pytest.fixture
def store(tmp_path: Path, uri: str) -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        yield Store(tmp_path, uri)


@lanes
def test_damaged_records_take_no_sound_ones_with_them(examples: int, store: Store) -> None:
    few = {"min_size": TOGETHER // 10, "max_size": TOGETHER // 10}
    many = {"min_size": TOGETHER - 2 * (TOGETHER // 10), "max_size": TOGETHER}
    damaged = st.tuples(
        st.lists(_damaged(TRIAL), **many),
        st.lists(_damaged(SEARCH), **few),
        st.lists(_damaged(VERSION), **few),
        st.sampled_from(READERS),
    )

    def read(one: tuple[list[Any], list[Any], list[Any], Reader]) -> None:
        store.hold(*one[:3])
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            one[3](store)
        assert shown.getvalue() == outgoing(shown.getvalue())

    refuses_or_takes(max(2, examples // TOGETHER), damaged, read, shrinks=False)


@lanes
def test_damaged_params_are_no_setting(examples: int) -> None:
    def read(record: Mapping[str, Any]) -> None:
        params = _as_recorded(record.get("params"))
        refused_or_taken(lambda: TrialConfig.from_params(params, catalogue()))
        recorded_setting(params, "pictures", catalogue())

    refuses_or_takes(examples, _damaged(TRIAL), read)
