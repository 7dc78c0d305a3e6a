"""Averages of weights, and the batch statistics that they take."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from gan_tune.gan.averages import STATISTICS_BATCHES, statistics_batches, take_batch_statistics


class Frozen(nn.BatchNorm1d):
    """Batch norm that its author keeps from training."""

    def train(self, mode: bool = True) -> Frozen:
        super().train(False)
        return self


def batches(count: int = 4) -> Iterator[Tensor]:
    random = torch.Generator().manual_seed(1)
    for _ in range(count):
        yield 3 + 2 * torch.randn(500, 4, generator=random)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("training", [True, False])
def test_statistics_are_those_over_all_batches(momentum: float | None, training: bool) -> None:
    layer = nn.BatchNorm1d(4, momentum=momentum)
    network = nn.Sequential(layer, nn.Linear(4, 2)).train(training)
    layer(torch.full((9, 4), 100.0))  # what it had before counts no more
    take_batch_statistics(network, batches())
    each = torch.stack(list(batches()))
    torch.testing.assert_close(layer.running_mean, each.mean((0, 1)))
    torch.testing.assert_close(layer.running_var, each.var(1).mean(0))
    assert [layer.momentum, layer.training, network.training] == [momentum, training, training]


def test_the_other_layers_work_as_in_evaluation() -> None:
    """Dropout and the like: so they will be when the statistics are used."""
    layer = nn.BatchNorm1d(4)
    take_batch_statistics(nn.Sequential(nn.Dropout(0.9), layer), batches())
    assert layer.running_var is not None
    assert float(layer.running_var.mean()) == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("layer", [Frozen(4), nn.BatchNorm1d(4, track_running_stats=False)])
def test_batch_norm_without_statistics_to_take_stays_as_it_is(layer: nn.BatchNorm1d) -> None:
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    drawn = batches()
    take_batch_statistics(nn.Sequential(layer), drawn)
    torch.testing.assert_close(dict(layer.state_dict()), before)
    assert len(list(drawn)) == 4  # none of them was drawn


def test_frozen_batch_norm_stays_as_it_is_beside_one_that_is_not() -> None:
    frozen, other = Frozen(4), nn.BatchNorm1d(4)
    assert frozen.running_mean is not None
    assert other.running_mean is not None
    frozen.running_mean.fill_(7.0)
    take_batch_statistics(nn.Sequential(frozen, other), batches())
    assert frozen.running_mean.tolist() == [7.0] * 4
    assert float(other.running_mean.mean()) == pytest.approx(3 - 7, rel=0.1)
    assert not frozen.training


@pytest.mark.parametrize(
    ("shape", "count"), [((2,), 4), ((1, 28, 28), 4), ((3, 64, 64), 2), ((3, 128, 128), 1)]
)
def test_large_pictures_need_fewer_batches(shape: tuple[int, ...], count: int) -> None:
    assert statistics_batches(shape, 2_000) == count <= STATISTICS_BATCHES
