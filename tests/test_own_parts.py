"""What a user's own parts may be, and when they are imported and called."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from conftest import trial_tree
from torch.nn import Linear as Borrowed
from typer.testing import CliRunner

from gan_tune import service
from gan_tune.cli import app
from gan_tune.config.import_path import import_own, own_parts_in
from gan_tune.data.by_name import load_dataset, user_dataset
from gan_tune.errors import ConfigError, DataError, SpaceError
from gan_tune.gan.networks import network_class
from gan_tune.service.train import stored_trial
from gan_tune.storage.places import look_in
from gan_tune.storage.trial_folder import TrialFolder

PARTS = """
    from pathlib import Path

    import numpy as np
    import torch
    from torch import nn

    import gan_tune

    CALLED = Path(__file__).with_name("called")


    def points(count: int = 60) -> gan_tune.Dataset:
        CALLED.touch()
        drawn = np.random.RandomState(0).randn(count, 2).astype(np.float32)
        return gan_tune.Dataset("own", "points", drawn[:-20], drawn[-20:-10], drawn[-10:])


    class Generator(nn.Sequential):
        def __init__(self, shape: tuple[int, ...], latent: int = 4) -> None:
            CALLED.touch()
            super().__init__(nn.Linear(latent, 2))
"""


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module with a data set and a generator that leave a trace when they are called."""
    name = f"own_parts_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(dedent(PARTS))
    monkeypatch.syspath_prepend(tmp_path)
    return name


def space(parts: str) -> dict[str, Any]:
    return {
        "name": "own",
        "objective": {"metric": "energy_distance", "mode": "min"},
        "budget": {"trials": 2, "steps": 4},
        "trial": {
            "data": {"name": f"{parts}:points", "batch_size": 8},
            "generator": {"name": f"{parts}:Generator"},
            "discriminator": "mlp",
            "loss": {"choice": ["non_saturating", "hinge"]},
            "generator_optimizer": {"name": "adam", "lr": 1e-3},
            "discriminator_optimizer": {"name": "adam", "lr": 1e-3},
        },
    }


@pytest.mark.parametrize(
    "name", ["subprocess:getoutput", "os:system", "os:mkdir", "builtins:dict", "shutil:rmtree"]
)
def test_no_other_function_serves_as_data(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must be"):
        load_dataset(name, cmd=f"touch {tmp_path}/ran")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["subprocess:Popen", "builtins:dict", "os:system"])
def test_no_other_class_serves_as_a_network(name: str) -> None:
    with pytest.raises(LookupError, match=r"must be a class derived|must be defined in"):
        network_class("generator", name)


def test_a_part_is_defined_in_the_package_that_its_path_names() -> None:
    assert import_own("torch.nn:Linear") is Borrowed
    with pytest.raises(LookupError, match="must be defined in test_own_parts"):
        import_own(f"{__name__}:Borrowed")


def test_annotations_of_any_form_are_read(parts: str) -> None:
    assert user_dataset(f"{parts}:points").__name__ == "points"


def test_without_data_nothing_of_the_users_is_called(parts: str, tmp_path: Path) -> None:
    checked = service.load_space(space(parts), check_data=False)
    assert own_parts_in(checked.tree) == [f"{parts}:points", f"{parts}:Generator"]
    assert not (tmp_path / "called").exists()
    service.load_space(space(parts))
    assert (tmp_path / "called").exists()


def test_without_data_other_faults_are_found_nevertheless(parts: str) -> None:
    faulty = space(parts)
    faulty["trial"]["generator"]["width"] = 3
    faulty["trial"]["loss"] = "hinges"
    with pytest.raises(SpaceError) as caught:
        service.load_space(faulty, check_data=False)
    assert {fault.path for fault in caught.value.faults} == {"generator.width", "loss"}


def test_validate_says_what_it_did_not_call(parts: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(json.dumps(space(parts)))
    done = CliRunner().invoke(app, ["validate", "--no-data", str(file)])
    assert done.exit_code == 0
    assert f"{parts}:points, {parts}:Generator: not called" in done.stderr
    assert not (tmp_path / "called").exists()


def test_a_stored_trial_imports_only_what_the_user_names(tmp_path: Path, parts: str) -> None:
    evil = trial_tree(generator={"name": "evil_of_a_folder:Net", "latent": 4})
    folder = TrialFolder(look_in(tmp_path / "trial"))
    folder.write_config(evil)
    (tmp_path / "evil_of_a_folder.py").write_text("raise SystemExit('imported')")
    with pytest.raises(ConfigError, match=r"generator\.name: a record alone imports no code"):
        stored_trial(tmp_path / "trial")
    assert "evil_of_a_folder" not in sys.modules
    short = trial_tree(generator="evil_of_a_folder:Net")
    folder.write_config(short)
    with pytest.raises(ConfigError, match="a record alone imports no code"):
        stored_trial(tmp_path / "trial")

    own = trial_tree(generator={"name": "user_networks:Generator", "latent": 4})
    folder.write_config(own)
    with pytest.raises(ConfigError, match="user_networks:Generator"):
        stored_trial(tmp_path / "trial", [f"{parts}:Generator"])
    config = stored_trial(tmp_path / "trial", ["user_networks:Generator"])
    assert config.generator.name == "user_networks:Generator"
