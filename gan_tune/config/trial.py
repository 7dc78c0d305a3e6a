"""The config of one trial: a frozen, fully checked description of one training run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, Field

from gan_tune.config.blocks import Block, CollapseRule, DivergenceRule, InstanceNoise, Lookahead
from gan_tune.config.draft import Draft, PartSource, as_written, draft
from gan_tune.config.objective import Objective
from gan_tune.config.parts import Part, PartKind, part_fields, part_list_fields, words_for_both
from gan_tune.config.recorded import flatten, recorded_tree
from gan_tune.config.settings import (
    MOST_REPORTS,
    MOST_STEPS,
    Flag,
    Number,
    Seed,
    Settings,
    Whole,
    block_fields,
)
from gan_tune.errors import ConfigError, Fault
from gan_tune.words.wording import shown

__all__ = [
    "BLOCK_FIELDS",
    "KEYS_FOR_BOTH",
    "PART_FIELDS",
    "PART_LIST_FIELDS",
    "TrialCatalogue",
    "TrialConfig",
]


class TrialCatalogue(PartSource, Protocol):
    """All parts and the rules between them, by which a trial is checked."""

    def check(
        self, config: TrialConfig, *, but: frozenset[str] = ..., build: bool = ...
    ) -> list[Fault]:
        """The faults of a config whose single fields are valid."""


Gradient = Annotated[Part, PartKind("gradient", for_both=True)]
GradientClip = Annotated[Part, PartKind("gradient_clip", for_both=True)]
Schedule = Annotated[Part, PartKind("schedule", for_both=True)]


class TrialConfig(Settings):
    """All settings of one training run. Equal configs train bit-identically.

    The kinds of parts, the blocks of settings, the JSON Schema and `--set` are all derived from
    these annotations.
    """

    # data, networks, loss
    data: Annotated[Part, PartKind("data")]
    generator: Annotated[Part, PartKind("generator")]
    discriminator: Annotated[Part, PartKind("discriminator")]
    loss: Annotated[Part, PartKind("loss")]
    penalties: Annotated[tuple[Part, ...], PartKind("penalty")] = ()
    # optimization
    generator_optimizer: Annotated[Part, PartKind("optimizer")]
    discriminator_optimizer: Annotated[Part, PartKind("optimizer")]
    generator_gradient: Gradient = Part(name="backprop")
    discriminator_gradient: Gradient = Part(name="backprop")
    generator_gradient_clip: GradientClip = Part(name="none")
    discriminator_gradient_clip: GradientClip = Part(name="none")
    generator_schedule: Schedule = Part(name="constant", args={"warm_up": 0})
    discriminator_schedule: Schedule = Part(name="constant", args={"warm_up": 0})
    # order of the players' steps
    update: Annotated[Part, PartKind("update")] = Part(name="alternating")
    block: Block = Block()
    lookahead: Lookahead = Lookahead()
    weight_clip: Number = Field(
        0.0,
        ge=0,
        le=1e30,
        description="Largest |weight| of the discriminator after each step; 0: no limit",
    )
    # what the discriminator sees
    augment: Annotated[Part, PartKind("augment")] = Part(name="none")
    instance_noise: InstanceNoise = InstanceNoise()
    # autoencoder
    encoder: Annotated[Part, PartKind("encoder")] = Part(name="none")
    reconstruction_weight: Number = Field(
        1.0, ge=0, description="Weight of the reconstruction error, where there is an encoder"
    )
    sparsity: Annotated[Part, PartKind("sparsity")] = Part(name="none")
    # averaged generator
    ema: Number = Field(
        0.0, ge=0, lt=1, description="Decay per step of the averaged generator; 0: off"
    )
    ema_reach: Number = Field(
        0.1,
        gt=0,
        le=1,
        description="The average reaches back over at most this share of the steps so far",
    )
    d_steps: Whole = Field(1, ge=1, le=100, description="Discriminator steps per generator step")
    # reasons to end a trial early
    patience: Whole = Field(
        0,
        ge=0,
        le=MOST_REPORTS,
        description="Reports without a better objective after which the trial ends; 0: off",
    )
    collapse: CollapseRule = CollapseRule()
    divergence: DivergenceRule = DivergenceRule()
    # device
    deterministic: Flag = Field(
        False,
        description="Deterministic GPU kernels, which are slower; a CPU is always deterministic",
    )
    precision: Literal["float32", "bfloat16", "auto"] = Field(
        "float32",
        description="Precision of the networks' matrix products and convolutions in training, the "
        "same for every trial. `auto` takes bfloat16 where the hardware has it, but float32 for "
        "points and for estimates of gradients",
    )
    matmul_precision: Literal["highest", "high", "medium"] = Field(
        "highest",
        description="Precision of those matrix products that are in float32. Lower is faster on "
        "devices that support it: `high` uses TF32 on a GPU, `medium` also bfloat16 on a CPU",
    )
    # length and evaluation
    objective: Objective = Objective()
    measure: tuple[str, ...] = Field(
        (), description="Costly metrics to record beside the objective"
    )
    steps: Whole = Field(ge=1, le=MOST_STEPS, description="Total number of generator steps")
    evaluations: Whole = Field(
        10, ge=1, le=MOST_REPORTS, description="Reports, evenly spread over the steps"
    )
    seed: Seed = Field(0, description="Seed of everything random in the trial")

    @property
    def wanted_metrics(self) -> tuple[str, ...]:
        """The metrics to compute even if they are costly: the objective, and those in `measure`."""
        return (self.objective.metric, *self.measure)

    @property
    def report_steps(self) -> tuple[int, ...]:
        """The steps at which a report is due. The last one is ``steps``."""
        count = min(self.evaluations, self.steps)
        return tuple(self.steps * (i + 1) // count for i in range(count))

    def tree(self) -> dict[str, Any]:
        """The config as a tree of plain values, which :meth:`from_tree` reads back."""
        tree: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in PART_FIELDS:
                tree[name] = value.tree()
            elif name in PART_LIST_FIELDS:
                tree[name] = [part.tree() for part in value]
            elif isinstance(value, BaseModel):
                tree[name] = value.model_dump()
            else:
                tree[name] = value
        return tree

    def params(self) -> dict[str, Any]:
        """Dotted path → value, the form of MLflow's params (`generator_optimizer.lr`)."""
        return dict(flatten(self.tree()))

    def digest(self) -> str:
        """16 hex digits that identify this config: equal configs have equal digests.

        Fields of :data:`ADDED` count only where they have another value than those.
        """
        tree = self.tree()
        for path, values in ADDED.items():
            *above, name = path.split(".")
            block = tree[above[0]] if above else tree
            if block[name] in values:
                del block[name]
        text = json.dumps(tree, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def from_params(cls, params: Mapping[str, str], catalogue: TrialCatalogue) -> TrialConfig:
        """Read a config back from :meth:`params` as MLflow stores them, as text.

        Params of other names are ignored. A missing field gets its default.

        Raises:
            ConfigError: the texts are not those of a trial, or this version cannot train it.
        """
        return cls.from_tree(recorded_tree(cls, params, catalogue), catalogue, build=False)

    @classmethod
    def from_tree(
        cls, tree: Mapping[str, Any], catalogue: TrialCatalogue, *, build: bool = True
    ) -> TrialConfig:
        """Resolve and check a tree of plain values.

        A part may be given by its name only. A key of :data:`KEYS_FOR_BOTH` sets a part of both
        networks. The networks are then built once, to check that they fit the data and each
        other. ``build=False`` skips this for trees of a space that was checked before.

        Raises:
            ConfigError: with every fault found, each at its dotted path in ``tree``.
        """
        if not isinstance(tree, Mapping):
            raise ConfigError([Fault("", "a trial must be a mapping", shown(tree))])
        found = cls.draft(tree, catalogue)
        faults = list(found.faults)
        if found.config is not None:
            faults += catalogue.check(found.config, but=found.broken, build=build)
        if faults or found.config is None:
            raise ConfigError(as_written(cls, faults, tree))
        return found.config

    @classmethod
    def draft(cls, tree: Mapping[str, Any], catalogue: PartSource) -> Draft[TrialConfig]:
        """Resolve a tree field by field; a faulty field gets a stand-in."""
        return draft(cls, tree, catalogue, stand_ins={"steps": 1})


ADDED: Mapping[str, tuple[Any, ...]] = {"precision": ("float32",), "collapse.distinct": (0.4, 0.0)}
"""Field, or field of a block, that a trial config has gained since version 0.1.0 → the values with
which its steps are those that earlier versions trained. So their checkpoints can be resumed."""

PART_FIELDS: Mapping[str, str] = part_fields(TrialConfig)
"""Field of a trial config → kind of its part."""

PART_LIST_FIELDS: Mapping[str, str] = part_list_fields(TrialConfig)
"""Field of a trial config → kind of the parts in its list."""

BLOCK_FIELDS: Mapping[str, type[Settings]] = block_fields(TrialConfig)
"""Field of a trial config → its block of settings."""

KEYS_FOR_BOTH: Mapping[str, tuple[str, str]] = words_for_both(TrialConfig)
"""Key that sets a part of both networks (`gradient_clip`) → the two fields that it sets."""
