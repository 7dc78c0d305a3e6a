"""A setting apart from the space and the data where it was tried: dotted path → plain value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gan_tune.config import TrialConfig, flatten
from gan_tune.space import SearchSpace
from gan_tune.space.fitting import NOT_LEARNT
from gan_tune.space.nodes import Branch, Chooser, Leaf, Node

__all__ = ["FAMILIES", "Setting", "family_of", "family_of_space", "setting_of", "tree_of"]

Setting = Mapping[str, Any]

MACHINE = ("precision", "matmul_precision")
"""Fields that a machine decides."""

DATA_KEPT = "data.batch_size"

FAMILIES = ("points", "mlp", "convolutional")
"""Points and tables; multi-layer perceptrons for pictures; all other networks for pictures."""


def setting_of(config: TrialConfig) -> dict[str, Any]:
    """What a trial's config says of how it learns; of its data only the batch size.

    Lengths, seeds, metrics and the place of the data are left out.
    """
    tree = {
        key: value
        for key, value in config.tree().items()
        if key not in NOT_LEARNT and key not in MACHINE and key != "data"
    }
    leaves = dict(flatten(tree))
    leaves[DATA_KEPT] = config.data.args.get("batch_size")
    return {path: list(v) if isinstance(v, tuple) else v for path, v in leaves.items()}


def tree_of(setting: Setting) -> dict[str, Any]:
    """The tree of which a setting has the leaves."""
    tree: dict[str, Any] = {}
    for path, value in setting.items():
        *above, last = path.split(".")
        here = tree
        for step in above:
            here = here.setdefault(step, {})
        here[last] = value
    return {key: _with_lists(value) for key, value in tree.items()}


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _with_lists(below) for key, below in value.items()}
    if inner and all(key.isdigit() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


# ---------------------------------------------------------------- families


def family_of(kind: str, generators: Iterator[str] | list[str], gradients: list[str]) -> str:
    """The family of networks for a kind of data (`points` or `pictures`).

    Args:
        kind: of the data.
        generators: names of the generators that may be taken.
        gradients: names of how gradients are found, `backprop` or an estimator.
    """
    family = FAMILIES[0]
    if kind == "pictures":
        family = FAMILIES[1] if set(generators) == {"mlp"} else FAMILIES[2]
    estimated = "backprop" not in gradients
    return f"{family} without backpropagation" if estimated else family


def family_of_space(space: SearchSpace, kind: str) -> str:
    """The family of the networks that a space searches, for a kind of data."""
    generators = list(_names(space.trial, ("generator",)))
    gradients = list(_names(space.trial, ("gradient", "generator_gradient")))
    return family_of(kind, generators, gradients or ["backprop"])


def _names(root: Branch, fields: tuple[str, ...]) -> Iterator[str]:
    """The names of all parts that a space allows in a field."""
    for field in fields:
        if field in root.items:
            yield from _part_names(root.items[field])
    for option in root.spread.options if root.spread else ():
        assert isinstance(option.node, Branch)
        yield from _names(option.node, fields)


def _part_names(node: Node) -> Iterator[str]:
    match node:
        case Leaf():
            yield str(node.value)
        case Branch():
            yield from _part_names(node.items["name"]) if "name" in node.items else ()
        case Chooser():
            for option in node.options:
                yield from _part_names(option.node)
