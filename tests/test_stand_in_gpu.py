"""All that trains runs on a GPU, too: shown on a stand-in for one, whose numbers are the CPU's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from conftest import trial_config
from stand_in_gpu import counted_waits, switched_on
from test_training import POINTS, VARIANTS
from torch import nn

from gan_tune.config import TrialConfig
from gan_tune.data.placement import OnDevice
from gan_tune.data.scaling import in_data_space
from gan_tune.gan import checkpoint
from gan_tune.gan.building import build_game
from gan_tune.gan.device import accelerator, accelerators, free_memory, trial_device
from gan_tune.gan.fork_chain import Phase, replay
from gan_tune.gan.optimizers import OPTIMIZERS
from gan_tune.gan.training import CHECK_EVERY, Report, build_training, train
from gan_tune.metrics import METRICS, Judge, build_judge, inception
from gan_tune.metrics.models import Cost, Models
from gan_tune.model.export import best_generator, draw, exported
from gan_tune.parts.all_parts import dataset_of
from gan_tune.service.look import look_inside

pytestmark = pytest.mark.stand_in

Finished = list[tuple[Report, bytes]]

LENGTH: dict[str, Any] = {"steps": 4, "evaluations": 2}
DETECTED: dict[str, dict[str, Any]] = {
    "diverged": {"divergence": {"max_logit": 1e-6}},
    "collapsed": {"collapse": {"variety": 0.99, "after": 0.0, "reports": 1}},
}
AUTOENCODER: dict[str, Any] = {
    "encoder": {"name": "mlp", "hidden": [16]},
    "sparsity": {"name": "kl", "weight": 0.1},
    "ema": 0.9,
    "generator": {"name": "mlp", "latent": 8, "hidden": [16], "norm": "batch"},
}
DRAWS_ITSELF = "a user's dropout"
UNLIKE_THE_CPU = {DRAWS_ITSELF, "a user's tied weights"}
"""One draws from the device's own generator, which is not the CPU's. The other is an exception of
the stand-in, which unties weights."""


IN_BFLOAT16 = {"bfloat16", "bfloat16 convolutions"}
"""Not tried: the stand-in has no autocast. tests/test_precision.py tries them on the CPU."""


OF_TABLES = {"ks_median", "ks_max", "correlation_difference", "detection_accuracy"}
"""Not tried: they need a table. They compare on the host."""


def tried(*tables: Iterable[str]) -> list[str]:
    return [name for table in tables for name in table if name not in IN_BFLOAT16 | OF_TABLES]


@pytest.fixture
def gpu() -> Iterator[str]:
    with switched_on() as device:
        yield str(device)


_judges: dict[Any, Judge] = {}


def judge_of(config: TrialConfig) -> Judge:
    """Built once for each data set, on the CPU."""
    extra = tuple(config.wanted_metrics)
    key = (config.data.name, extra)
    if key not in _judges:
        _judges[key] = build_judge(dataset_of(config.data), "selection", extra=extra)
    return _judges[key]


def finished(config: TrialConfig, device: str, **options: Any) -> Finished:
    reports = train(config, dataset_of(config.data), judge_of(config), device=device, **options)
    return [(report, report.checkpoint()) for report in reports]


def finished_on_stand_in(config: TrialConfig, **options: Any) -> Finished:
    with switched_on() as device:
        return finished(config, str(device), **options)


def assert_equal(mine: Finished, other: Finished) -> None:
    """Equal reports and checkpoints; the random generators' states only where both have one."""
    assert [r.step for r, _ in mine] == [r.step for r, _ in other]
    for (a, a_bytes), (b, b_bytes) in zip(mine, other, strict=True):
        assert a.scalars == b.scalars
        assert (a.value, a.best, a.outcome) == (b.value, b.best, b.outcome)
        assert a.symptoms == b.symptoms
        assert torch.equal(a.grid, b.grid)
        a_state, b_state = checkpoint.read(a_bytes), checkpoint.read(b_bytes)
        assert a_state.scalars == b_state.scalars
        for name in a_state.tensors.keys() & b_state.tensors.keys():
            ours, theirs = a_state.tensors[name], b_state.tensors[name]
            if name.startswith("random/"):  # the device's states begin with a mark
                size = min(len(ours), len(theirs))
                ours, theirs = ours[-size:], theirs[-size:]
            assert torch.equal(ours, theirs), name


# ------------------------------------------------------------------ the stand-in itself


def test_the_device_is_there_only_while_it_is_switched_on() -> None:
    with switched_on() as device:
        assert str(accelerator()) == trial_device(gpu=True) == device.type
        assert accelerators() == 1
        assert free_memory(device) > 0
    assert accelerator() is None
    assert accelerators() == 0
    assert trial_device(gpu=True) == "cpu"


def test_tensors_and_generators_of_two_devices_do_not_mix(gpu: str) -> None:
    ours, theirs = torch.ones(3, device=gpu), torch.ones(3)
    assert str((ours * 2.0 + theirs.to(gpu)).device) == gpu
    for wrong in (
        lambda: ours + theirs,
        lambda: nn.Linear(3, 2)(ours),
        lambda: torch.rand(3, device=gpu, generator=torch.Generator()),
        lambda: torch.rand(3, generator=torch.Generator(gpu)),
        lambda: torch.Generator(gpu).set_state(torch.Generator().get_state()),
    ):
        with pytest.raises(RuntimeError, match=r"cpu|device|size"):
            wrong()


WAITS: dict[str, Any] = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x[0]),
    "truth": lambda x: bool((x > 0).all()),
    "to the CPU": lambda x: x.cpu(),
    "from the CPU": lambda x: torch.ones(3).to(x.device),
    "copy_": lambda x: torch.empty(3).copy_(x),
    "new tensor": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "nonzero": lambda x: x.nonzero(),
    "masked_select": lambda x: x.masked_select(x > 0),
    "indexing by truth values": lambda x: x[x > 0],
    "setting by truth values": lambda x: x.index_put((x > 0,), torch.ones(1, device=x.device)),
    "equal": lambda x: torch.equal(x, x),
    "unique": lambda x: x.unique(),
}
NO_WAITS: dict[str, Any] = {
    "arithmetic": lambda x: (x * 2 + 1).sum().sqrt(),
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "masked_fill": lambda x: x.masked_fill(x > 0, 1.0),
    "indexing by places": lambda x: x[torch.randint(3, (2,), device=x.device)],
    "shape": lambda x: len(x) + x.numel(),
}


@pytest.mark.parametrize("name", [*WAITS, *NO_WAITS])
def test_waits_for_the_device_are_counted(name: str, gpu: str) -> None:
    x = torch.ones(3, device=gpu)
    with counted_waits() as waits:
        (WAITS | NO_WAITS)[name](x)
    assert bool(waits) == (name in WAITS), waits


# ------------------------------------------------------------------ training


@pytest.mark.parametrize("variant", tried(VARIANTS, DETECTED))
def test_trains_bit_for_bit_as_on_the_cpu(variant: str) -> None:
    config = trial_config(**{"collapse": "none"} | (VARIANTS | DETECTED)[variant] | LENGTH)
    mine = finished_on_stand_in(config)
    alike = variant not in UNLIKE_THE_CPU
    assert_equal(mine, finished(config, "cpu") if alike else finished_on_stand_in(config))


@pytest.mark.parametrize("outcome", DETECTED)
def test_the_detectors_end_a_trial_there(outcome: str) -> None:
    (last, _) = finished_on_stand_in(trial_config(**DETECTED[outcome] | LENGTH))[-1]
    assert last.outcome == outcome


def test_the_trained_tensors_lie_on_the_device(gpu: str) -> None:
    config = trial_config(**AUTOENCODER, lookahead={"every": 2, "alpha": 0.5}, **LENGTH)
    training = build_training(config, dataset_of(config.data), judge_of(config), device=gpu)
    list(training.reports())
    game = training.game
    assert game.lookahead is not None
    tensors = [*game.weights(), *game.lookahead.slow, *training._best_weights.values()]
    for network in game.networks.by_name().values():
        tensors += [*network.parameters(), *network.buffers()]
    for player in game.players.values():
        tensors += [t for state in player.optimizer.state.values() for t in state.values()]
    assert {str(tensor.device) for tensor in tensors} == {gpu}


# ------------------------------------------------------------------ waits


@pytest.mark.parametrize("variant", tried(VARIANTS))
def test_a_step_never_waits_for_the_device(variant: str, gpu: str) -> None:
    config = trial_config(**VARIANTS[variant])
    game = build_game(config, dataset_of(config.data), torch.device(gpu))
    assert isinstance(game.batches.data, OnDevice)
    game.train_step()
    with counted_waits() as waits:
        for _ in range(4):
            game.train_step()
    assert waits == Counter()


def test_a_look_for_divergence_waits_once(gpu: str) -> None:
    config = trial_config(steps=CHECK_EVERY + 1, evaluations=1)
    training = build_training(config, dataset_of(config.data), judge_of(config), device=gpu)
    with counted_waits() as waits:
        assert training._train_to(config.steps)
    assert waits.total() == 2


WAITS_OF_A_REPORT = {"pictures": 5, "points": 7, "an autoencoder": 10}
"""How often a report waits, besides the look for divergence before it."""
REPORTED: dict[str, dict[str, Any]] = {
    "pictures": {},
    "points": POINTS,
    "an autoencoder": AUTOENCODER,
}


@pytest.mark.parametrize("kind", REPORTED)
def test_a_report_waits_a_stated_number_of_times(kind: str, gpu: str) -> None:
    config = trial_config(**REPORTED[kind] | LENGTH)
    training = build_training(config, dataset_of(config.data), judge_of(config), device=gpu)
    training.next_report()
    with counted_waits() as waits:
        training.next_report()
    assert waits.total() - 1 == WAITS_OF_A_REPORT[kind], waits


def test_a_checkpoint_waits_once_for_each_tensor(gpu: str) -> None:
    config = trial_config(**LENGTH)
    training = build_training(config, dataset_of(config.data), judge_of(config), device=gpu)
    training.next_report()
    with counted_waits() as waits:
        state = training.state()
    on_device = [n for n in checkpoint.read(state).tensors if not n.startswith(("random", "torch"))]
    assert waits.total() == len(on_device)


# ------------------------------------------------------------------ metrics


class Small(nn.Module):
    """In place of the Inception network, which takes seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("lines", torch.eye(3 * 64)[:16])

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor]:
        return (pictures.flatten(1).float() @ self.lines.T,)


@pytest.mark.parametrize("name", tried(METRICS))
def test_every_metric_judges_samples_of_the_device_as_those_of_the_cpu(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = inception.InceptionFeatures("small", Small())
    monkeypatch.setattr(inception, "inception_features", lambda: small)
    kind = {} if "pictures" in METRICS[name].kinds else POINTS
    dataset = dataset_of(trial_config(**kind).data)
    judge = build_judge(dataset, "selection", extra=[name])
    chosen = np.arange(judge.count) % len(dataset.train)
    samples = in_data_space(torch.tensor(dataset.train[chosen])) * 0.9
    assert name in judge.names

    def networks(device: str) -> Models:
        """What a trial's networks would compute, on tensors of the device alone."""
        size = math.prod(dataset.shape)
        lines = torch.linspace(-1, 1, size * 5).view(size, 5).to(device)
        return Models(
            discriminator_features=lambda x: x.flatten(1) @ lines,
            encode=lambda x: (x.flatten(1) @ lines).relu(),
            reconstruct=lambda x: x * 0.5,
            generator_cost=lambda: Cost(1.0, 1.0),
            fastest=accelerator(),
        )

    expected = judge(samples, networks("cpu"))
    with switched_on() as device:
        found = judge(samples.to(device), networks(str(device)))
    assert found == expected
    assert name in found


def test_a_costly_extractor_runs_on_the_device_though_training_does_not(
    gpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    network = Small()
    network.register_forward_pre_hook(lambda module, given: seen.append(str(given[0].device)))
    small = inception.InceptionFeatures("small", network)
    monkeypatch.setattr(inception, "inception_features", lambda: small)
    config = trial_config(measure=["fid"], **LENGTH)
    dataset = dataset_of(config.data)
    judge = build_judge(dataset, "selection", extra=["fid"], fastest=accelerator())
    list(train(config, dataset, judge))
    assert set(seen) == {gpu}


# ------------------------------------------------------------------ from device to device


RESUMED: dict[str, dict[str, Any]] = {
    **{name: {"optimizer": {"name": name, "lr": 1e-3}} for name in OPTIMIZERS},
    "momentum": {"optimizer": {"name": "sgd", "lr": 1e-3, "momentum": 0.9}},
    "autoencoder": AUTOENCODER,
    "lookahead": {"lookahead": {"every": 2, "alpha": 0.5}},
    "spectral norm": {"discriminator": {"name": "mlp", "hidden": [16], "norm": "spectral"}},
    DRAWS_ITSELF: VARIANTS[DRAWS_ITSELF],
}


@pytest.mark.parametrize("name", tried(RESUMED))
def test_resumes_bit_for_bit_and_also_from_a_cpu(name: str) -> None:
    changes = dict(RESUMED[name])
    if (optimizer := changes.pop("optimizer", None)) is not None:
        changes |= {f"{player}_optimizer": optimizer for player in ("generator", "discriminator")}
    config = trial_config(**changes | LENGTH, collapse="none")
    on_cpu, on_device = finished(config, "cpu"), finished_on_stand_in(config)
    assert_equal(finished_on_stand_in(config, resume_from=on_device[0][1]), on_device[1:])
    moved = finished_on_stand_in(config, resume_from=on_cpu[0][1])
    assert_equal(finished_on_stand_in(config, resume_from=on_cpu[0][1]), moved)
    back = finished(config, "cpu", resume_from=on_device[0][1])
    assert_equal(finished(config, "cpu", resume_from=on_device[0][1]), back)
    assert [r.outcome for r, _ in moved] == [r.outcome for r, _ in back] == ["completed"]


@pytest.mark.parametrize("optimizer", tried(OPTIMIZERS))
def test_all_but_the_random_draws_goes_from_device_to_device(optimizer: str) -> None:
    each = {"name": optimizer, "lr": 1e-3}
    changes = {"generator_optimizer": each, "discriminator_optimizer": each, **AUTOENCODER}
    config = trial_config(**changes | LENGTH)
    dataset, judge = dataset_of(config.data), judge_of(config)
    (_, state), *_ = finished(config, "cpu")
    with switched_on() as device:
        training = build_training(config, dataset, judge, device=str(device))
        training.load(checkpoint.read(state))
        there = checkpoint.read(training.state())
    before = checkpoint.read(state)
    assert before.scalars == there.scalars
    for name, tensor in before.tensors.items():
        if not name.startswith("random/"):
            assert torch.equal(tensor, there.tensors[name]), name


def test_forks_go_on_from_device_to_device() -> None:
    first, last = trial_config(**LENGTH), trial_config(seed=6, **LENGTH)
    dataset, judge = dataset_of(first.data), judge_of(first)
    phases = [Phase(2, first), Phase(4, last)]

    def steps(device: str) -> list[dict[str, float]]:
        return [dict(r.scalars) for r in replay(phases, dataset, judge, device=device)]

    with switched_on() as device:
        mine = steps(str(device))
    assert mine == steps("cpu")


def test_a_trial_of_the_device_is_exported_and_looked_into_as_one_of_the_cpu() -> None:
    config = trial_config(**AUTOENCODER, **LENGTH)
    dataset, latent = dataset_of(config.data), config.generator.args["latent"]
    with switched_on():
        saved = finished(config, "gpu")[-1][1]
        generator = best_generator(config, dataset, saved)
        samples = draw(exported(generator, latent=latent).module(), 8, latent=latent, seed=0)
        seen = look_inside(
            generator, latent, dataset=dataset, features=judge_of(config).extractor, seed=0
        )
    other = best_generator(config, dataset, finished(config, "cpu")[-1][1])
    np.testing.assert_array_equal(samples, draw(other, 8, latent=latent, seed=0))
    expected = look_inside(
        other, latent, dataset=dataset, features=judge_of(config).extractor, seed=0
    )
    assert seen == expected
