"""A space file as text, commented for someone who will edit it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gan_tune.space.yaml_text import write_line

__all__ = ["COMMENTS", "space_text"]

WIDTH = 100

COMMENTS: Mapping[str, str] = {
    "name": "of the search, of its experiment in MLflow and of the registered model",
    "objective": "what the search improves; docs/reference/metrics.md has the others",
    "budget": (
        "steps: length of a full trial, though most settings stop early; minutes: time for the "
        "whole search, of which `confirm` takes its share; trials: N ends it after N settings"
    ),
    "search": "tpe proposes settings from the values so far, asha stops hopeless trials",
    "confirm": "how many of the best settings are trained again, with how many fresh seeds",
    "resources": "of one trial; gpu: a fraction lets several share one, auto takes what fits",
    "trial": "one GAN; a value may become a choice or a range, and the other way round",
    "trial.data": "what is trained on; batch_size and scale are how",
    "trial.generator": "from noise of `latent` numbers to samples",
    "trial.discriminator": "tells real samples from generated ones",
    "trial.loss": "docs/reference/training.md lists losses, penalties, optimizers and the rest",
    "trial.augment": "both players' samples are changed at random, so that few data last longer",
    "trial.penalties": "on the discriminator's slope at real samples; against oscillation",
    "trial.generator_optimizer": "log_uniform: [low, high] draws evenly in orders of magnitude",
    "trial.generator_schedule": "of the learning rate: cosine falls to zero at the last step",
    "trial.ema": "decay per step of the averaged generator, which is the one that is judged",
    "trial.instance_noise": "fades while training goes on: first the whole is learnt, then detail",
    "start_from": "tried first, in this order: what has trained well on other data of this kind",
}
"""Place in a space file → what its comment says."""


def space_text(tree: Mapping[str, Any], introduction: Sequence[str]) -> str:
    """The text of a space file.

    Args:
        tree: the file as plain values.
        introduction: paragraphs for the head of the file.

    Returns:
        YAML that reads back as ``tree``: one setting a line where there is room.
    """
    head = [line for paragraph in introduction for line in _comment(paragraph, "")]
    return "\n".join([*head, *_entries(tree, "", "")]) + "\n"


def _entries(tree: Mapping[str, Any], place: str, indent: str) -> Iterator[str]:
    for key, value in tree.items():
        here = f"{place}.{key}" if place else str(key)
        if here in COMMENTS:
            if not indent:
                yield ""
            yield from _comment(COMMENTS[here], indent)
        yield from _entry(f"{key}:", value, here, indent)


def _entry(start: str, value: Any, place: str, indent: str) -> Iterator[str]:
    """A key or hyphen with its value: in one line, or with what is below it on lines of its own."""
    line = f"{indent}{start} {write_line(value)}"
    below = isinstance(value, (Mapping, list)) and bool(value)
    if not below or (len(line) <= WIDTH and place not in ("trial", "start_from")):
        yield line
        return
    yield f"{indent}{start}"
    if isinstance(value, Mapping):
        yield from _entries(value, place, f"{indent}  ")
        return
    for item in value:
        yield from _item(item, f"{place}.-", f"{indent}  ")


def _item(item: Any, place: str, indent: str) -> Iterator[str]:
    line = f"{indent}- {write_line(item)}"
    if not isinstance(item, Mapping) or len(line) <= WIDTH:
        yield line
        return
    first, *rest = _entries(item, place, f"{indent}  ")
    yield f"{indent}- {first.strip()}"
    yield from rest


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, WIDTH - len(indent) - 2):
        yield f"{indent}# {line}"
