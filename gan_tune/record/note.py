"""The description of a run, replaced only as long as nobody has edited it in MLflow's pages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from gan_tune.record.mlflow_internals import NOTE
from gan_tune.record.tags import Tag

__all__ = ["NOTE_TAGS", "is_own", "note_tags"]

NOTE_TAGS = (NOTE, Tag.DESCRIBED)

LONGEST = 7900
"""Characters; MLflow takes 8,000 of a tag."""


def note_tags(known: Mapping[str, str], text: str) -> dict[str, str]:
    """The tags that give a run this description; none if it has one that somebody has edited."""
    if not text or not is_own(known):
        return {}
    text = text if len(text) <= LONGEST else text[:LONGEST].rpartition("\n")[0] + "\n\n…"
    return {NOTE: text, Tag.DESCRIBED: _digest(text)}


def is_own(known: Mapping[str, str]) -> bool:
    """Whether a run with these tags has no description, or one that was written here."""
    return NOTE not in known or known.get(Tag.DESCRIBED) == _digest(known[NOTE])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
