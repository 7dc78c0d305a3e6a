"""The precision of a search: `auto` is resolved once, by the first command, and kept.

The first command assumes what its own machine has, until it knows where the trials run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from gan_tune.config import KEYS_FOR_BOTH
from gan_tune.service.running.context import SearchContext
from gan_tune.space import SearchSpace
from gan_tune.space.texts import texts_in
from gan_tune.storage.places import PRECISION_NOTE
from gan_tune.storage.stored import read_stored

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage

GRADIENTS = frozenset({"gradient", *KEYS_FOR_BOTH["gradient"]})


@dataclass(frozen=True)
class PrecisionNote:
    """The precision of a search: the content of `precision.json`."""

    precision: Literal["float32", "bfloat16"]


def in_own_precision(space: SearchSpace, home: Storage) -> SearchSpace:
    """The space with the search's precision in place of `auto`.

    A search that has begun keeps its precision. A new one gets what this machine would choose, and
    float32 for points and where a setting may estimate gradients; see :func:`settle_precision`.

    Raises:
        StorageError: what the search keeps is damaged.
    """
    if space.precision != "auto":
        return space
    kept = read_stored(home, PRECISION_NOTE, PrecisionNote)
    return space.in_precision(kept.precision if kept else _chosen(space))


def settle_precision(context: SearchContext) -> tuple[Collection[str], bool]:
    """Decide the search's precision, now that it is known where its trials run, and keep it.

    Ray is joined, and the trials' share of a GPU is settled. `auto` is bfloat16 if most nodes have
    it in hardware. Nodes without it are then left out, unless every node would emulate it.

    Returns:
        The ids of the nodes that get no trials, and whether a worker may emulate bfloat16.

    Raises:
        ClusterError: a node does not answer.
    """
    from gan_tune.cluster.hardware import at_once, nodes_by
    from gan_tune.cluster.ray_internals import started_here

    resources = context.space.resources
    on_gpu = resources.gpus > 0
    is_open = is_auto(context) and _may_round(context.space)
    lacking: Mapping[str, str] = {}
    having: Mapping[str, str] = {}
    if is_open or context.space.precision == "bfloat16":
        if started_here():
            found = {"": "this machine"}
            lacking, having = ({}, found) if _has_bfloat16(on_gpu) else (found, {})
        else:
            lacking, having = nodes_by(partial(_has_bfloat16, on_gpu), resources)
    if is_open and (lacking or having):
        chosen = "bfloat16" if len(having) >= len(lacking) else "float32"
        context.space = context.space.in_precision(chosen)
    precision, note = context.space.precision, context.watcher.note
    context.home.write_json(PRECISION_NOTE, {"precision": precision})
    if precision != "bfloat16" or not (lacking or having):
        return (), True
    if not having:
        note(at_once(_emulation, on_gpu, resources=resources, count=1)[0])
        return (), True
    if lacking:
        addresses = ", ".join(sorted(lacking.values()))
        note(f"precision: left out, as without bfloat16: {addresses}")
    return lacking, False


def is_auto(context: SearchContext) -> bool:
    """Whether the file leaves the precision open, and no command has decided it yet."""
    asked = context.space.tree["trial"].get("precision")
    return asked == "auto" and context.home.read_json(PRECISION_NOTE) is None


def _has_bfloat16(on_gpu: bool) -> bool:
    """On a node: whether the device of its trials has bfloat16 in hardware."""
    from gan_tune.gan.device import has_bfloat16, trial_device

    return has_bfloat16(trial_device(gpu=on_gpu))


def _emulation(on_gpu: bool) -> str:
    """On a node without bfloat16: what emulating it costs there."""
    from gan_tune.gan.device import trial_device
    from gan_tune.gan.precision import emulation

    return emulation(trial_device(gpu=on_gpu)) or ""


def _chosen(space: SearchSpace) -> str:
    asked = space.resources.gpu
    has = _has_bfloat16(asked == "auto" or bool(asked))
    return "bfloat16" if has and _may_round(space) else "float32"


def _may_round(space: SearchSpace) -> bool:
    """Whether `auto` is bfloat16 for the space on hardware that has it."""
    from gan_tune.parts.all_parts import dataset_of
    from gan_tune.service.optuna_stand_ins import LowEnds

    if _may_estimate(space.tree["trial"]):
        return False
    return dataset_of(space.sample(LowEnds(), seed=0).data).kind != "points"


def _may_estimate(trial: Any) -> bool:
    """Whether a setting of a trial's tree may estimate a gradient from values."""
    from gan_tune.gan.estimators import ESTIMATORS

    estimators = ESTIMATORS.keys() - {"backprop"}
    return any(text in estimators for part in _gradients(trial) for text in texts_in(part))


def _gradients(tree: Any) -> Iterator[Any]:
    """All that a tree has for the players' gradients, also in options."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from [value] if key in GRADIENTS else _gradients(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _gradients(value)
