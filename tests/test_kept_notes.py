"""What a search keeps of its beginning is read by its types when it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import trial_tree
from safetensors.numpy import save

from gan_tune.data.dataset import Dataset
from gan_tune.errors import StorageError
from gan_tune.parts.all_parts import catalogue
from gan_tune.service.running.judging import keep_judge, own_extractor
from gan_tune.service.running.precision import in_own_precision
from gan_tune.service.running.retrying import put_back, trials_put_back
from gan_tune.space import SearchSpace
from gan_tune.storage.storage import Storage


def space() -> SearchSpace:
    trial = trial_tree()
    steps, _, _ = (trial.pop(key) for key in ("steps", "evaluations", "seed"))
    budget = {"trials": 2, "steps": steps}
    return SearchSpace.load(
        {"name": "x", "budget": budget, "trial": trial | {"precision": "auto"}}, catalogue()
    )


def pictures() -> Dataset:
    random = np.random.default_rng(0)
    train, selection, test = (
        random.integers(0, 256, (n, 1, 8, 8)).astype(np.uint8) for n in (300, 40, 40)
    )
    return Dataset("made", "pictures", train, selection, test)


READERS: dict[str, Callable[[Storage], Any]] = {
    "precision.json": lambda home: in_own_precision(space(), home).precision,
    "retry.json": trials_put_back,
    "judge.json": lambda home: own_extractor(pictures(), home).identity,
}
BAD = ("", "{", "[1]", "3", '{"precision": "float16"}', '["../../x"]', '{"features": "x"}',
       '{"features": "x", "shape": [1, 8]}', '{"features": "x", "shape": [1, 8, 99999]}',
       '{"features": "x", "shape": [1, 8, 8]}', "[" * 100_000)  # fmt: skip


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", BAD, ids=range(len(BAD)))
def test_a_damaged_note_is_one_line(tmp_path: Path, name: str, content: str) -> None:
    home = Storage(str(tmp_path))
    home.write(name, content.encode())
    with pytest.raises(StorageError, match=rf"^storage: {tmp_path}/[^\n]+$"):
        READERS[name](home)


def test_notes_are_read_as_they_were_kept(tmp_path: Path) -> None:
    home, dataset = Storage(str(tmp_path)), pictures()
    for precision in ("float32", "bfloat16"):
        home.write_json("precision.json", {"precision": precision})
        assert in_own_precision(space(), home).precision == precision
    assert trials_put_back(home) == []
    put_back(home, ["0001", "0000-confirm-1"])
    assert trials_put_back(home) == ["0000-confirm-1", "0001"]
    keep_judge(dataset, own_extractor(dataset, home), home)
    assert json.loads((tmp_path / "judge.json").read_text())["shape"] == [1, 8, 8]
    (tmp_path / "search.json").write_text("{}")
    assert own_extractor(dataset, home).identity.startswith("patches")
    sound = home.read_json("judge.json")
    for name in ("", "pca64-0123abcd"):
        home.write_json("judge.json", sound | {"features": name})
        with pytest.raises(StorageError, match="must name features of patches: "):
            own_extractor(dataset, home)
    home.write_json("judge.json", sound)
    home.write("judge.safetensors", save({"filters": np.zeros((1, 1, 2, 2), np.float32)}))
    with pytest.raises(StorageError, match="must hold the arrays of the search: KeyError"):
        own_extractor(dataset, home)
