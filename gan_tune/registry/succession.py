"""Moves the alias `champion` to a better version, although others may do the same right now.

MLflow's registry has no "set if it still is so". Two searches that end together would both find the
same champion, both beat it, and the one that sets the alias last would keep it. So whoever beats a
champion first notes that on its own version (*claims* to succeed it), then sets the alias, and then
looks for others who do the same: among all of them the same rule decides, in the order of their
versions, and each comes to the same answer. When it is clear, the claim is *settled*: who begins to
compare after that sees its effect in the alias.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from gan_tune.config import Objective
from gan_tune.record.tags import Tag
from gan_tune.registry.promotion import ALIAS, Measured, Promotion, decide_promotion
from gan_tune.registry.versions import all_versions, version_at

__all__ = ["succeed"]

CLAIMED, SETTLED = "claimed", "settled"
"""What a version's tag says of its registration; without the tag it has not compared yet."""


def succeed(client: MlflowClient, version: ModelVersion, objective: Objective) -> Promotion:
    """Make a registered version the champion of its model if it beats the present one.

    That is decided once for each version: a champion that somebody has moved since then stays where
    it is.

    Raises:
        MlflowException, OSError: as MLflow does; it can be called again then.
    """
    name, number = version.name, int(version.version)
    notes = {_number(other): _note_of(other) for other in all_versions(client, name)}
    present = version_at(client, name, ALIAS)
    if notes.get(number) == SETTLED:
        return _as_it_stands(present, version, objective)
    decision = _decide(present, version, objective)
    if decision.promoted and (present is None or _number(present) != number):
        _note(client, version, CLAIMED)
        client.set_registered_model_alias(name, ALIAS, version.version)
        settled = {other for other, note in notes.items() if note == SETTLED}
        decision = _look_again(client, version, present, settled, objective) or decision
    _note(client, version, SETTLED)
    return decision


def _look_again(
    client: MlflowClient,
    version: ModelVersion,
    predecessor: ModelVersion | None,
    settled: set[int],
    objective: Objective,
) -> Promotion | None:
    """The decision, now that others can be seen who did the same meanwhile; None: there are none.

    ``settled`` are the versions of those who had ended before this one began to compare.
    """
    everyone = sorted(all_versions(client, version.name), key=_number)
    rivals = [
        other
        for other in everyone
        if _number(other) != _number(version) and _note_of(other) and _number(other) not in settled
    ]
    best = _best(predecessor, sorted([*rivals, version], key=_number), objective)
    assert best is not None, "this version is among them, and beats its predecessor"
    holder = version_at(client, version.name, ALIAS)
    losers = {_number(other) for other in (*rivals, version, predecessor) if other is not None}
    if holder is not None and _number(holder) in losers - {_number(best)}:
        client.set_registered_model_alias(version.name, ALIAS, best.version)
        holder = best
    if holder is not None and _number(holder) != _number(version):
        return _decide(holder, version, objective)
    if not rivals:
        return None
    return _decide(_best(predecessor, rivals, objective), version, objective)


def _best(
    champion: ModelVersion | None, candidates: Sequence[ModelVersion], objective: Objective
) -> ModelVersion | None:
    """Who leads after each candidate in turn was compared with the leader."""
    for candidate in candidates:
        if _decide(champion, candidate, objective).promoted:
            champion = candidate
    return champion


def _as_it_stands(
    present: ModelVersion | None, version: ModelVersion, objective: Objective
) -> Promotion:
    """Who leads now; the rule may say why, unless a person has decided otherwise."""
    decision = _decide(present, version, objective)
    if present is not None and (_number(present) == _number(version) or not decision.promoted):
        return decision
    holder = "none" if present is None else f"version {present.version}"
    return Promotion(False, f"the {ALIAS} is {holder} now; this version was compared before")


def _decide(
    champion: ModelVersion | None, candidate: ModelVersion, objective: Objective
) -> Promotion:
    present = _measured(champion) if champion else None
    measured = _measured(candidate)
    return decide_promotion(present, measured, model=candidate.name, objective=objective)


def _number(version: ModelVersion) -> int:
    return int(version.version)


def _note_of(version: ModelVersion) -> str:
    """What a version's registration has noted; empty: it has not compared yet."""
    return str(version.tags.get(Tag.SUCCESSION, ""))


def _note(client: MlflowClient, version: ModelVersion, text: str) -> None:
    client.set_model_version_tag(version.name, version.version, Tag.SUCCESSION, text)


def _measured(version: ModelVersion) -> Measured:
    return Measured.from_tags(version.name, int(version.version), version.tags)
