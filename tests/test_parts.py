"""What space files rely on: every part's arguments carry bounds that their defaults keep."""

from __future__ import annotations

from typing import Any

import pytest

from gan_tune.config import Argument, signature_arguments
from gan_tune.gan.augment import AUGMENTS
from gan_tune.gan.gradients import GRADIENT_CLIPS
from gan_tune.gan.losses import LOSSES
from gan_tune.gan.optimizers import OPTIMIZERS
from gan_tune.gan.penalties import PENALTIES
from gan_tune.gan.schedules import SCHEDULES
from gan_tune.gan.sparsity import SPARSITIES
from gan_tune.searching.population import POPULATIONS
from gan_tune.searching.samplers import SAMPLERS
from gan_tune.searching.stopping import SCHEDULERS

PARTS = {
    "loss": LOSSES,
    "penalty": {name: penalty.function for name, penalty in PENALTIES.items()},
    "gradient_clip": GRADIENT_CLIPS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "augment": AUGMENTS,
    "sparsity": SPARSITIES,
    "sampler": {name: sampler.build for name, sampler in SAMPLERS.items()},
    "scheduler": {**SCHEDULERS, **POPULATIONS},
}
ARGUMENTS = {
    f"{kind} {name} {argument.name}": argument
    for kind, parts in PARTS.items()
    for name, part in parts.items()
    for argument in signature_arguments(part).values()
}


@pytest.mark.parametrize("argument", ARGUMENTS.values(), ids=ARGUMENTS)
def test_an_argument_is_annotated_and_its_default_fits(argument: Argument) -> None:
    assert argument.annotation is not Any
    if not argument.required:
        assert argument.check(argument.default) == argument.default


@pytest.mark.parametrize("argument", ARGUMENTS.values(), ids=ARGUMENTS)
def test_a_number_has_bounds(argument: Argument) -> None:
    schema = argument.json_schema()
    if schema.get("type") in ("number", "integer"):
        assert {"minimum", "exclusiveMinimum"} & schema.keys()
