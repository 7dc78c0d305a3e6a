"""Which versions of a model have been its champion, in order: a tag of the model, `1 3 4`."""

from __future__ import annotations

from mlflow import MlflowClient

from gan_tune.record.tags import Tag

__all__ = ["earlier_champions", "note_champion"]

KEPT = 100
"""So many champions are remembered."""
LONG = 10
"""So many digits no version has: Python reads no number of thousands of them."""


def earlier_champions(client: MlflowClient, name: str, present: int) -> list[int]:
    """The champions before the present one, the oldest first.

    Whoever moves the alias by hand in MLflow's pages leaves no trace in the tag, so the present one
    need not be the last there.
    """
    known = _noted(client, name)
    while known and known[-1] == present:
        known.pop()
    return known


def note_champion(
    client: MlflowClient, name: str, number: int, *, before: int | None, back: bool = False
) -> None:
    """Note that a version is the champion now.

    Args:
        client: of MLflow.
        name: of the model.
        number: of the version.
        before: the champion before; None: there was none.
        back: whether it takes its place again, so that those after it are forgotten.
    """
    known = _noted(client, name)
    if back and number in known:
        known = known[: len(known) - known[::-1].index(number)]
    else:
        known += [before] if before is not None and known[-1:] != [before] else []
        known += [number] if known[-1:] != [number] else []
    text = " ".join(map(str, known[-KEPT:]))
    client.set_registered_model_tag(name, Tag.CHAMPIONS, text)


def _noted(client: MlflowClient, name: str) -> list[int]:
    tags = client.get_registered_model(name).tags
    words = tags.get(Tag.CHAMPIONS, "").split()
    return [int(word) for word in words if word.isdecimal() and len(word) < LONG]  # others write it
