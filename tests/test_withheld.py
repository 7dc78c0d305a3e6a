"""A champion that has learnt nothing is not registered, unless one asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from conftest import trial_config
from tiny_search import space_tree
from torch import Tensor, nn

from gan_tune import service
from gan_tune.cli.printing.verdict import verdict
from gan_tune.config import CollapseRule
from gan_tune.data.by_name import load_dataset
from gan_tune.data.scaling import in_data_space
from gan_tune.errors import ModelNotFoundError
from gan_tune.metrics import build_judge
from gan_tune.metrics.farness import FAR, collapsed_samples, farness, told_by
from gan_tune.model.export import ExportedGenerator
from gan_tune.samples.inspection import CopiedShares
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.crowning import Champion
from gan_tune.service.running.examination import Examination, examine, is_shipped
from gan_tune.space import shipped_spaces


@pytest.mark.parametrize(
    ("name", "metric"), [("digits", "frechet_distance"), ("ring", "energy_distance")]
)
def test_real_samples_are_near_and_their_mean_is_far(name: str, metric: str) -> None:
    dataset = load_dataset(name)
    judge = build_judge(dataset, "selection")
    floor = farness(judge, dataset, metric, judge.floor[metric])
    assert floor == 0
    collapsed = judge(collapsed_samples(dataset, judge.count))[metric]
    assert farness(judge, dataset, metric, collapsed) == pytest.approx(1)
    drawn = np.random.RandomState(1).permutation(dataset.train)[: judge.count]
    fresh = judge(in_data_space(torch.tensor(drawn)))[metric]
    far = farness(judge, dataset, metric, fresh)
    assert far is not None
    assert abs(far) < 0.05 < FAR


def test_how_far_is_told_by_the_objective_where_it_is_a_distance() -> None:
    judge = build_judge(load_dataset("ring"), "selection")
    assert told_by(judge, "energy_distance") == "energy_distance"
    assert told_by(judge, "coverage") == "frechet_distance"


def test_a_shipped_space_is_known_by_its_text() -> None:
    for name in shipped_spaces():
        assert is_shipped(service.load_space(name).source)
    assert not is_shipped(service.load_space(space_tree()).source)


class Draws(nn.Module):
    """A generator that draws from the first few of some pictures."""

    def __init__(self, pictures: Tensor) -> None:
        super().__init__()
        self.pictures = pictures

    def forward(self, z: Tensor) -> Tensor:
        return self.pictures[(1e4 * z[:, 0].abs()).long() % len(self.pictures)]


def examined(pictures: Tensor, rule: CollapseRule) -> Examination:
    """What is found of a generator of the digits that draws these."""
    dataset = load_dataset("digits")
    job = Job("0001", 1, 0, trial_config())
    generator = cast(ExportedGenerator, Draws(pictures))
    champion = Champion(job, generator, 1.0, 0.0, 1, confirmed=True, first_mean=None)
    judge = build_judge(dataset, "selection")
    near = CopiedShares(samples=0.5, held_out=0.05)
    return examine(champion, dataset, judge, objective="coverage", rule=rule, copied=near)


def test_a_generator_of_real_pictures_has_no_faults() -> None:
    found = examined(in_data_space(torch.tensor(load_dataset("digits").train)), CollapseRule())
    assert found.faults == ()
    assert found.farness is not None
    assert abs(found.farness) < 0.05
    assert (found.metric, found.copies) == ("frechet_distance", 0.5)


@pytest.mark.parametrize("kinds", [1, 2, 20])
def test_a_generator_of_few_pictures_repeats_them(kinds: int) -> None:
    few = in_data_space(torch.tensor(load_dataset("digits").train[:kinds]))
    assert "repeats a few samples" in examined(few, CollapseRule()).faults[-1]
    off = examined(few, CollapseRule.model_validate("none"))
    assert off.faults == ()
    assert off.distinct_share is not None
    assert off.distinct_share < 0.1


def test_a_generator_of_noise_is_far() -> None:
    noise = torch.rand(500, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    (fault,) = examined(noise, CollapseRule()).faults
    assert fault.startswith("this generator has not learnt the data: its frechet_distance of ")


@pytest.mark.ci
def test_it_is_withheld_and_then_registered_by_the_same_command(tmp_path: Path) -> None:
    tree = space_tree(name="far", budget={"trials": 2, "steps": 4, "evaluations": 2})
    tree["trial"] = {**tree["trial"], "collapse": {"after": 1.0}}
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    where = {"storage": tmp_path / "runs", "tracking_uri": uri}
    first = service.search(tree, **where)
    assert first.is_withheld
    assert first.examination["farness"] > FAR
    told = "\n".join(verdict(first))
    assert "has not learnt the data" in told
    assert "not registered (--register-anyway registers it)" in told
    with pytest.raises(ModelNotFoundError):
        service.load_generator("far", tracking_uri=uri)
    assert service.search(tree, **where) == first
    second = service.search(tree, **where, register_anyway=True)
    assert (second.model, second.promoted) == ("far", True)
    assert second.faults == first.faults
    assert second.rows == first.rows
    assert service.load_generator("far", tracking_uri=uri).sample(2, seed=0).shape == (2, 1, 8, 8)
