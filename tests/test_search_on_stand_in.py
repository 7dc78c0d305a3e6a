"""A whole search on GPUs that do not exist: Ray is told of one, and its workers have a stand-in."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import torch
from stand_in_gpu import switch_on
from tiny_search import space_tree

from gan_tune import service
from gan_tune.config import TrialConfig
from gan_tune.gan.game import Game
from gan_tune.gan.training import train
from gan_tune.metrics import build_judge
from gan_tune.parts.all_parts import catalogue, dataset_of
from gan_tune.service.running import resources
from gan_tune.service.trial_cost import TrialCost
from gan_tune.storage.places import RESOURCES_NOTE
from gan_tune.storage.storage import open_storage
from gan_tune.storage.trial_folder import TrialFolders

pytestmark = pytest.mark.ci

WITNESSED = "GAN_TUNE_TEST_WITNESSED"
"""The environment variable that names the folder of what workers saw."""


def set_up_worker() -> None:
    """What Ray runs in each worker process before anything else."""
    switch_on()
    step = Game.train_step

    def witnessed(game: Game) -> None:
        step(game)
        devices = sorted({str(weight.device) for weight in game.weights()})
        with (Path(os.environ[WITNESSED]) / str(os.getpid())).open("a") as file:
            print(*devices, file=file)

    Game.train_step = witnessed  # type: ignore[method-assign]
    resources.measure_here = measured


def measured(*_: object, threads: int, device: str) -> TrialCost:
    """In place of a measurement: the stand-in is slower than the CPU that it is."""
    return TrialCost(0.001 if device == "gpu" else 0.002, 0.1, 2**30, 2**30)


@pytest.fixture
def ray_with_a_gpu(tmp_path: Path) -> Iterator[Path]:
    """Ray with one GPU, and the folder of what its workers saw."""
    witnessed = tmp_path / "witnessed"
    witnessed.mkdir()
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=1,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={
            "env_vars": {"PYTHONPATH": os.pathsep.join(sys.path), WITNESSED: str(witnessed)},
            "worker_process_setup_hook": f"{__name__}.set_up_worker",
        },
    )
    yield witnessed
    ray.shutdown()


def test_a_search_on_its_share_of_a_gpu_trains_on_the_gpu(
    ray_with_a_gpu: Path, tmp_path: Path
) -> None:
    tree = space_tree(
        budget={"trials": 3, "steps": 20, "evaluations": 2},
        confirm={"top": 1, "seeds": 1},
        resources={"cpu": 1, "gpu": "auto"},
    )
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    result = service.search(tree, storage=tmp_path / "runs", tracking_uri=uri)
    assert set(result.outcomes) <= {"completed", "pruned"}
    files = list(ray_with_a_gpu.iterdir())
    seen = [line for file in files for line in file.read_text().splitlines()]
    assert set(seen) == {"gpu:0"}
    assert len(files) == 2  # two halves, for two cores
    assert service.load_space(tree).resources.gpu == "auto"
    note = (tmp_path / "runs" / "tiny" / RESOURCES_NOTE).read_text()
    assert json.loads(note) == {"gpu": 0.5}
    assert result.champion is not None

    # The first setting's figures are those of the CPU, bit for bit.
    folder = TrialFolders(open_storage(tmp_path / "runs" / "tiny"))["0000"]
    config = TrialConfig.from_tree(folder.config(), catalogue())
    dataset = dataset_of(config.data)
    torch.set_num_threads(1)
    expected = list(train(config, dataset, build_judge(dataset, "selection")))
    found = folder.reports()
    assert len(seen) >= config.steps
    for mine, other in zip(found, expected, strict=False):
        assert mine.scalars == dict(other.scalars)

    # What was trained there is drawn from here, where there is no GPU.
    service.generate("tiny", str(tmp_path / "samples.png"), count=4, tracking_uri=uri)
    look = service.look("tiny", tmp_path / "look", tracking_uri=uri)
    assert all(file.is_file() for file in look.files)
