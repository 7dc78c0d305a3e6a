"""What only a GPU can show. Run with `pytest -m gpu` on a machine that has one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conftest import trial_config

from gan_tune.gan import checkpoint
from gan_tune.gan.training import train
from gan_tune.metrics import build_judge
from gan_tune.parts.catalogue import dataset_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


VARIANTS: dict[str, dict[str, Any]] = {
    "digits": {},
    "ring": {
        "data": {"name": "ring", "size": 500, "scale": "symmetric"},
        "generator": {"name": "mlp", "latent": 2, "output": "tanh"},
        "objective": {"metric": "energy_distance", "mode": "min"},
    },
    # Transposed convolutions have kernels that repeat and others, in evaluation too.
    "dcgan": {
        "generator": {"name": "dcgan", "latent": 8, "width": 16},
        "discriminator": {"name": "dcgan", "width": 16},
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_gpu_repeats_and_resumes_bit_for_bit(variant: str) -> None:
    config = trial_config(deterministic=True, ema=0.9, **VARIANTS[variant])
    dataset = dataset_of(config.data)
    judge = build_judge(dataset, "selection")

    def run(**options: bytes) -> list[tuple[dict[str, float], bytes]]:
        reports = train(config, dataset, judge, device="cuda", **options)  # type: ignore[arg-type]
        return [(dict(r.scalars), r.checkpoint()) for r in reports]

    through, again = run(), run()
    assert [scalars for scalars, _ in through] == [scalars for scalars, _ in again]
    resumed = run(resume_from=through[0][1])
    assert [scalars for scalars, _ in resumed] == [scalars for scalars, _ in through[1:]]
    mine, other = checkpoint.read(resumed[-1][1]), checkpoint.read(through[-1][1])
    assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in mine.tensors.items())
