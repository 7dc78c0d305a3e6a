"""The precision of a search: `auto` is resolved once, by the first command, and kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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

    A search that has begun keeps its precision. A new one gets bfloat16 if the machine that starts
    it has it in hardware (for trials on GPUs, a GPU of this machine), and float32 for points and
    where a setting may estimate gradients.

    Raises:
        StorageError: what the search keeps is damaged.
    """
    if space.precision != "auto":
        return space
    kept = read_stored(home, PRECISION_NOTE, PrecisionNote)
    return space.in_precision(kept.precision if kept else _chosen(space))


def note_precision(context: SearchContext) -> None:
    """Keep the search's precision in its folder, and say where bfloat16 is emulated."""
    precision = context.space.precision
    context.home.write_json(PRECISION_NOTE, {"precision": precision})
    if precision == "bfloat16":
        from gan_tune.gan.precision import emulation

        warning = emulation(_device(context.space))
        if warning is not None:
            context.watcher.note(warning)


def _chosen(space: SearchSpace) -> str:
    from gan_tune.gan.device import has_bfloat16
    from gan_tune.parts.all_parts import dataset_of
    from gan_tune.service.optuna_stand_ins import LowEnds

    if not has_bfloat16(_device(space)) or _may_estimate(space.tree["trial"]):
        return "float32"
    data = dataset_of(space.sample(LowEnds(), seed=0).data)
    return "float32" if data.kind == "points" else "bfloat16"


def _device(space: SearchSpace) -> str:
    """The kind of device of trials; for `gpu: auto`, which is resolved later, this machine's."""
    from gan_tune.gan.device import trial_device

    asked = space.resources.gpu
    return trial_device(gpu=True) if asked == "auto" else "cuda" if asked else "cpu"


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
