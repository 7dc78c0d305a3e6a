"""What earlier commits wrote is still good: searches, champions, trainings (stored/README.md)."""

from __future__ import annotations

import importlib.util
import json
import math
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import gan_tune
from gan_tune import service

STORED = Path(__file__).parent / "stored"
COMMITS = sorted(path.name for path in STORED.iterdir() if (path / "made_by.json").exists())
SECONDS = {"training_seconds", "evaluation_seconds", "timestamp_ms"}
"""What differs from one run to the next."""

NEWER = {"distinct_share", "repeating"}
"""Metrics and symptoms that the earlier commits did not have."""

CLOSE = 1e-3
"""Relative distance that other kernels may bring about in so short a training."""


def _make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_stored_examples", STORED / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _make()


@dataclass(frozen=True)
class Unpacked:
    """The searches of an earlier commit, moved to a folder of this test."""

    commit: str
    folder: Path

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    @property
    def same_bits(self) -> bool:
        return made_here(self.commit)

    def result(self, search: str) -> dict[str, Any]:
        stored: dict[str, Any] = read(self.runs / search / "result.json")
        return stored

    def contents(self, search: str) -> dict[str, bytes]:
        """The files of a search's trials by path."""
        home = self.runs / search
        return {
            str(path.relative_to(home)): path.read_bytes()
            for path in sorted((home / "trials").rglob("*"))
            if path.is_file()
        }


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def made_here(commit: str) -> bool:
    """Whether the versions and the processor are those that made the examples."""
    return bool(read(STORED / commit / "made_by.json") == make.made_by())


def unpack(commit: str, archive: str, folder: Path) -> None:
    with tarfile.open(STORED / commit / archive) as tar:
        # Python 3.11.4 brought the filter; as an attribute it does no harm before.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(folder)


def move_artifacts(database: Path, folder: Path) -> None:
    """MLflow stores absolute locations: put this folder in place of the one where it was made."""
    places = {
        "experiments": ["artifact_location"],
        "runs": ["artifact_uri"],
        "logged_models": ["artifact_location"],
        "model_versions": ["source", "storage_location"],
    }
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, columns in places.items():
            for column in columns:
                connection.execute(
                    f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                    (str(make.FOLDER), str(folder)),
                )
    assert str(make.FOLDER).encode() not in database.read_bytes()


@pytest.fixture(params=COMMITS)
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Unpacked:
    unpack(request.param, "searches.tar.xz", tmp_path)
    move_artifacts(tmp_path / "mlflow.db", tmp_path)
    return Unpacked(request.param, tmp_path)


def test_a_champion_loads_and_draws_what_it_drew(earlier: Unpacked) -> None:
    generator = gan_tune.load_generator("stored", tracking_uri=earlier.uri)
    samples = generator.sample(make.SAMPLES, make.SEED).numpy()
    expected = np.array(read(earlier.folder / "samples.json"), dtype=np.float32)
    assert samples.shape == expected.shape
    np.testing.assert_allclose(samples, expected, rtol=1e-5, atol=1e-6)
    assert generator.tags["gan_tune.search"] == "whole"


def test_a_finished_search_hands_back_its_result(earlier: Unpacked) -> None:
    result = gan_tune.search(
        make.SPACE, name="whole", storage=earlier.runs, tracking_uri=earlier.uri
    )
    stored = earlier.result("whole")
    assert result.finished
    told = result.to_json()
    assert told["champion"] == stored["champion"]
    assert told["rows"] == [{**row, "origin": ""} for row in stored["rows"]]
    assert result.outcomes == stored["outcomes"]


@pytest.mark.ci
def test_an_earlier_record_can_be_learnt_from(earlier: Unpacked) -> None:
    """It does not tell the kind of its data, nor where its settings come from."""
    learnt = service.learn(["whole"], earlier.folder / "team.json", tracking_uri=earlier.uri)
    assert learnt.trials > 0
    assert list(learnt.experience.portfolios) == ["mlp"]


@pytest.mark.ci
def test_an_interrupted_search_goes_on_and_repeats_nothing(earlier: Unpacked) -> None:
    """It comes to what the same search came to that was not interrupted, champion and all."""
    before, was = earlier.contents("interrupted"), earlier.result("interrupted")
    ended = {path.split("/")[1] for path in before if path.endswith("outcome.json")}
    begun = {path.split("/")[1] for path in before}
    assert not was["finished"]
    assert 2 <= len(ended) < len(begun) < make.SPACE["budget"]["trials"]
    (open_trial,) = begun - ended
    assert f"trials/{open_trial}/checkpoint.safetensors" in before

    result = gan_tune.search(
        make.SPACE,
        name="interrupted",
        storage=earlier.runs,
        tracking_uri=earlier.uri,
        max_concurrent=1,
    )

    after, whole = earlier.contents("interrupted"), earlier.result("whole")
    assert result.finished
    for path, content in before.items():
        trial = path.split("/")[1]
        if trial in ended and not path.endswith("checkpoint.safetensors"):
            assert after[path] == content, "a trial that has ended is left alone"
        elif "/reports/" in path:
            repeated = figures(json.loads(after[path])), figures(json.loads(content))
            assert_same(*repeated, exactly=earlier.same_bits)
    assert result.outcomes == whole["outcomes"]
    rows = [{k: v for k, v in row.to_json().items() if k != "origin"} for row in result.rows]
    assert [row["setting"] for row in rows] == [row["setting"] for row in whole["rows"]]
    assert_same(rows, whole["rows"], exactly=earlier.same_bits)
    # The champion of the other search was compared with: what is as good does not replace it.
    champion = gan_tune.load_generator("stored", tracking_uri=earlier.uri)
    assert result.model_version == 2
    if earlier.same_bits:
        assert not result.promoted
        assert champion.version == 1
    assert champion.version == (2 if result.promoted else 1)
    assert f"{float(whole['champion']['mean']):g}" in result.model_note


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """What a report says, without what is newer than the earlier commits."""
    scalars = {k: v for k, v in report["scalars"].items() if k not in NEWER}
    symptoms = [name for name in report["symptoms"] if name not in NEWER]
    told = {k: v for k, v in report.items() if k not in SECONDS}
    return told | {"scalars": scalars, "symptoms": symptoms}


@pytest.mark.parametrize("commit", COMMITS)
def test_a_training_goes_on_from_its_checkpoint(commit: str, tmp_path: Path) -> None:
    """`gan-tune train --resume` comes to what the training came to that ran through."""
    unpack(commit, "alone.tar.xz", tmp_path)
    halfway, through = tmp_path / "halfway", tmp_path / "through"
    kept = {path.name: path.read_bytes() for path in (halfway / "reports").iterdir()}
    steps = {path.name for path in (through / "reports").iterdir()}
    assert kept.keys() < steps
    words = [sys.executable, "-c", "from gan_tune.cli import main; main()"]
    ran = subprocess.run(
        [*words, "train", "--resume", str(halfway)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    exactly = made_here(commit)
    assert {path.name for path in (halfway / "reports").iterdir()} == steps
    for name in steps:
        now = figures(read(halfway / "reports" / name))
        assert_same(now, figures(read(through / "reports" / name)), exactly=exactly)
        if name in kept:
            assert (halfway / "reports" / name).read_bytes() == kept[name], "it is not repeated"
    mine, theirs = (
        safetensors.numpy.load((folder / "checkpoint.safetensors").read_bytes())
        for folder in (halfway, through)
    )
    assert mine.keys() == theirs.keys()
    for name, tensor in theirs.items():
        if exactly:
            np.testing.assert_array_equal(mine[name], tensor, err_msg=name)
        else:
            assert (mine[name].shape, mine[name].dtype) == (tensor.shape, tensor.dtype)


def assert_same(found: Any, expected: Any, *, exactly: bool) -> None:
    """Equal to the last bit, or all numbers close, in trees of plain values."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_same(found[key], expected[key], exactly=exactly)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other, exactly=exactly)
    elif isinstance(expected, float) and not math.isnan(expected) and not exactly:
        assert found == pytest.approx(expected, rel=CLOSE, abs=CLOSE)
    else:
        assert found == expected or (found != found and expected != expected)
