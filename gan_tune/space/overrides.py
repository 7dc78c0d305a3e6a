"""The overrides of `--set`: values put into a space before it is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gan_tune.config import BLOCK_FIELDS, block_fields
from gan_tune.errors import Fault
from gan_tune.space.grammar import ELSEWHERE
from gan_tune.space.plain_copy import PlainCopy
from gan_tune.space.space_file import SpaceFile
from gan_tune.space.yaml_text import YamlFaultsError, parse
from gan_tune.words.wording import did_you_mean

__all__ = ["Overridden", "Override", "apply_overrides"]


@dataclass(frozen=True)
class Override:
    """One `--set`: its path as given, and its place in a trial (None: not in `trial`).

    ``place`` has no steps for choices: `trial.loss.choice.0` lies at `loss`.
    """

    path: str
    place: tuple[str, ...] | None


class Overridden(NamedTuple):
    """A copy of a space's tree with the overrides put in, and what is wrong with the others."""

    tree: dict[str, Any]
    overrides: list[Override]
    faults: list[Fault]


OPTIONAL_BLOCKS: Mapping[str, tuple[str, ...]] = {
    "": tuple(block_fields(SpaceFile)),
    "trial": tuple(name for name in BLOCK_FIELDS if name not in ELSEWHERE),
}
"""Place in a file → the optional blocks there; setting a value in one creates the block."""


def apply_overrides(tree: dict[str, Any], overrides: Sequence[str]) -> Overridden:
    """Put each `PATH=VALUE` into a copy of a space's tree."""
    result: dict[str, Any] = PlainCopy().copy(tree)
    done: list[Override] = []
    faults: list[Fault] = []
    for text in overrides:
        try:
            path, value = _split(text)
            done.append(Override(path, _put(result, path, value)))
        except _OverrideError as error:
            faults.append(Fault(f"--set {text}", str(error)))
    return Overridden(result, done, faults)


class _OverrideError(Exception):
    """A fault of one `--set`."""


def _split(text: str) -> tuple[str, Any]:
    path, equals, written = text.partition("=")
    if not equals or not all(step.strip() for step in path.split(".")):
        raise _OverrideError("must be PATH=VALUE, such as trial.data.batch_size=64")
    try:
        value = parse(written)
    except YamlFaultsError as error:
        fault = error.faults[0]
        given = f": {fault.given}" if fault.given else ""
        raise _OverrideError(f"{fault.rule}{given}") from None
    copier = PlainCopy()
    value = copier.copy(value)
    if copier.faults:
        raise _OverrideError(copier.faults[0].rule)
    return path.strip(), value


def _put(tree: dict[str, Any], path: str, value: Any) -> tuple[str, ...] | None:
    """Set a value in place; returns its place in a trial."""
    steps = path.split(".")
    here: Any = tree
    place: list[str] = []
    among_options = False
    for i, step in enumerate(steps):
        last = i == len(steps) - 1
        option = None if among_options else _option_called(here, step)
        if option is not None:
            here, step, among_options = here["choice"], str(option), True
        key = _key(here, step, ".".join(steps[:i]), last)
        if not among_options and key != "choice":
            place.append(str(key))
        if last:
            here[key] = value
        else:
            among_options = key == "choice"
            here = _below(here, key, has_parts=steps[0] in ("trial", "search"))
    return tuple(place[1:]) if place[:1] == ["trial"] else None


def _option_called(here: Any, name: str) -> int | None:
    """The number of the option of that name, if ``here`` is a choice."""
    options = here.get("choice") if isinstance(here, dict) and name not in here else None
    for i, option in enumerate(options if isinstance(options, list) else ()):
        if isinstance(option, dict) and name in (option.get("label"), option.get("name")):
            return i
    return None


def _key(here: Any, step: str, above: str, last: bool) -> str | int:
    """The step as a key of ``here``.

    Raises:
        _OverrideError: there is no such place.
    """
    whole = f"{above}.{step}" if above else step
    if isinstance(here, list):
        if not (step.isascii() and step.isdigit()) or int(step) >= len(here):
            raise _OverrideError(f"{above} is a list of {len(here)}, numbered from 0")
        return int(step)
    if not isinstance(here, dict):
        raise _OverrideError(f"{above} is a plain value, with nothing below it")
    if step in here:
        return step
    optional = OPTIONAL_BLOCKS.get(above, ())
    if step in optional or (last and ("choice" not in here or above == "trial")):
        return step
    known = list(dict.fromkeys([*here, *optional]))
    hint = did_you_mean(step, known) or f"; there are {', '.join(known) or 'none'}"
    raise _OverrideError(f"the space has no {whole}{hint}")


def _below(here: Any, key: str | int, *, has_parts: bool) -> Any:
    inner = here.setdefault(key, {}) if isinstance(here, dict) else here[key]
    if has_parts and isinstance(inner, str):
        inner = here[key] = {"name": inner}  # a part given by its name only
    return inner
