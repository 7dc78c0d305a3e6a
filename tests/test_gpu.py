"""What only a real GPU can show: `pytest -m gpu -n 0 tests/test_gpu.py` on a machine that has one.

All else about GPUs is shown on a stand-in, in test_stand_in_gpu.py.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import trial_config
from test_training import VARIANTS
from test_weights import own_generator
from tiny_search import space_tree

from gan_tune import service
from gan_tune.config import TrialConfig
from gan_tune.gan import checkpoint
from gan_tune.gan.building import build_game
from gan_tune.gan.device import accelerators, exact_convolutions, free_memory, trial_device
from gan_tune.gan.randomness import global_generators
from gan_tune.gan.training import CHECK_EVERY, build_training, train
from gan_tune.metrics import build_judge
from gan_tune.model.generator import Generator
from gan_tune.parts.all_parts import dataset_of
from gan_tune.serving.drawing import Order, draw_together

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

GPU = torch.device("cuda")
# Transposed convolutions have kernels that repeat and others, in evaluation too.
DCGAN: dict[str, Any] = {
    "generator": {"name": "dcgan", "latent": 8, "width": 16},
    "discriminator": {"name": "dcgan", "width": 16},
}
REPEATED = VARIANTS | {"dcgan": DCGAN}


def run(config: TrialConfig, device: str = "cuda", **options: Any) -> list[tuple[Any, bytes]]:
    dataset = dataset_of(config.data)
    judge = build_judge(dataset, "selection", extra=config.wanted_metrics)
    reports = train(config, dataset, judge, device=device, **options)
    return [(dict(report.scalars), report.checkpoint()) for report in reports]


def assert_equal(mine: list[tuple[Any, bytes]], other: list[tuple[Any, bytes]]) -> None:
    assert [scalars for scalars, _ in mine] == [scalars for scalars, _ in other]
    ours, theirs = checkpoint.read(mine[-1][1]), checkpoint.read(other[-1][1])
    for name, tensor in ours.tensors.items():
        assert torch.equal(tensor, theirs.tensors[name]), name


@contextmanager
def synchronisations(mode: str) -> Iterator[None]:
    """CUDA's own alarm, "warn" or "error", for what makes the host wait."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode(mode)
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


# ------------------------------------------------------------------ numbers


@pytest.mark.parametrize("variant", REPEATED)
def test_a_gpu_repeats_and_resumes_bit_for_bit(variant: str) -> None:
    config = trial_config(deterministic=True, **REPEATED[variant])
    through = run(config)
    assert_equal(run(config), through)
    assert_equal(run(config, resume_from=through[0][1]), through[1:])


@pytest.mark.parametrize("variant", REPEATED)
def test_from_a_cpu_to_a_gpu_and_back_repeats(variant: str) -> None:
    config = trial_config(deterministic=True, **REPEATED[variant])
    for there, back in (("cpu", "cuda"), ("cuda", "cpu")):
        state = run(config, there)[0][1]
        moved = run(config, back, resume_from=state)
        assert_equal(run(config, back, resume_from=state), moved)


@pytest.mark.parametrize("changes", [{}, DCGAN], ids=["mlp", "dcgan"])
def test_one_step_is_that_of_the_cpu_up_to_rounding(changes: dict[str, Any]) -> None:
    """Of equal weights and samples; each kind of device draws its own."""
    config = trial_config(deterministic=True, **changes)
    gradients = []
    for device in ("cpu", "cuda"):
        game = build_game(config, dataset_of(config.data), torch.device(device))
        random = torch.Generator().manual_seed(0)
        real = torch.rand(16, *dataset_of(config.data).shape, generator=random).to(device)
        z = torch.randn(16, 8, generator=random).to(device)
        batch = game.draw()._replace(real=real, z=z, fake=game.networks.generator(z))
        with exact_convolutions():
            gradients.append([g.cpu() for g in game.gradients("discriminator", batch)])
    for mine, other in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)


def test_judgement_does_not_round_to_tf32() -> None:
    config = trial_config(deterministic=True, **DCGAN)
    found = []
    for rounded in (False, True):
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=rounded):
            dataset = dataset_of(config.data)
            judge = build_judge(dataset, "selection")
            training = build_training(config, dataset, judge, device="cuda")
            found.append(training._judged()[0])
    assert found[0] == found[1]


# ------------------------------------------------------------------ random generators


def test_training_leaves_the_gpus_own_generator_alone() -> None:
    torch.cuda.manual_seed(1)
    expected = torch.randn(3, device=GPU)
    torch.cuda.manual_seed(1)
    run(trial_config(**VARIANTS["a user's dropout"]))
    assert torch.equal(torch.randn(3, device=GPU), expected)


def test_the_gpus_own_generator_goes_on_where_it_was() -> None:
    game = build_game(trial_config(), dataset_of(trial_config().data), GPU)
    assert game.global_random.keys() == {"cpu", "cuda"}
    draws = []
    for _ in range(2):
        with global_generators(game.global_random, GPU):
            draws.append(torch.randn(3, device=GPU))
    assert not torch.equal(*draws)


# ------------------------------------------------------------------ waits


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_never_waits_for_the_gpu(variant: str) -> None:
    config = trial_config(**VARIANTS[variant])
    game = build_game(config, dataset_of(config.data), GPU)
    game.train_step()
    with synchronisations("error"):
        for _ in range(4):
            game.train_step()


def test_a_look_for_divergence_waits_once() -> None:
    config = trial_config(steps=CHECK_EVERY, evaluations=1)
    dataset = dataset_of(config.data)
    training = build_training(config, dataset, build_judge(dataset, "selection"), device="cuda")
    training.game.train_step()
    training.game.step = 0
    with warnings.catch_warnings(record=True) as caught, synchronisations("warn"):
        warnings.simplefilter("always")
        assert training._train_to(config.steps)
    assert len([w for w in caught if "synchronizing" in str(w.message)]) == 1


# ------------------------------------------------------------------ memory, and which GPU


def test_free_memory_is_what_this_process_can_still_fill() -> None:
    torch.cuda.empty_cache()
    before = free_memory(GPU)
    assert 0 < before <= torch.cuda.get_device_properties(GPU).total_memory
    held = torch.empty(2**28, dtype=torch.uint8, device=GPU)
    assert before - free_memory(GPU) >= held.numel()
    del held  # PyTorch's allocator keeps it for reuse
    assert abs(before - free_memory(GPU)) < 2**26


def test_a_trial_with_a_share_trains_on_the_gpu_that_cuda_shows() -> None:
    assert trial_device(gpu=True) == "cuda"
    assert trial_device(gpu=False) == "cpu"
    assert accelerators() == torch.cuda.device_count() >= 1


def test_a_search_with_half_a_gpu_a_trial(tmp_path: Path) -> None:
    tree = space_tree(
        budget={"trials": 3, "steps": 20, "evaluations": 2},
        confirm={"top": 1, "seeds": 1},
        resources={"cpu": 1, "gpu": 0.5},
    )
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    result = service.search(tree, storage=tmp_path / "runs", tracking_uri=uri)
    assert set(result.outcomes) <= {"completed", "pruned"}
    assert result.champion is not None


def test_a_generator_draws_on_a_gpu_from_the_latents_of_a_cpu() -> None:
    module = own_generator("dcgan")
    here = Generator("faces", 1, 6, module, config=module.config)
    there = Generator("faces", 1, 6, copy.deepcopy(module).to(GPU), config=module.config)
    drawn = there.sample(70, seed=3)
    torch.testing.assert_close(drawn.cpu(), here.sample(70, seed=3), rtol=0, atol=1e-4)
    orders = [Order(3, 1, None), Order(5, 2, None)]
    both = [[one.samples.cpu() for one in draw_together(each, orders)] for each in (there, here)]
    torch.testing.assert_close(*both, rtol=0, atol=1e-4)
