"""What the peer searches: pinned, and the same ranges as in `space.yaml` beside it."""

from __future__ import annotations

from typing import Any

from ray import tune

SPACE: dict[str, Any] = {
    "latent": tune.choice([32, 64, 100]),
    "generator_width": tune.choice([128, 256]),  # of the first hidden layer; the other has twice it
    "discriminator_width": tune.choice([128, 256]),  # of the last hidden layer, likewise
    "batch_size": tune.choice([64, 128, 256]),
    "label_smoothing": tune.uniform(0.0, 0.2),
    "generator_lr": tune.loguniform(1e-5, 1e-2),
    "generator_beta1": tune.uniform(0.0, 0.9),
    "discriminator_lr": tune.loguniform(1e-5, 1e-2),
    "discriminator_beta1": tune.uniform(0.0, 0.9),
}
