"""From a search-space file to plain values: finding it, reading its YAML, applying `--set`."""

from __future__ import annotations

import math
import numbers
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gan_tune.errors import Fault, SpaceError
from gan_tune.words.wording import did_you_mean, shown

__all__ = ["Override", "SpaceText", "apply_overrides", "read_space", "shipped_spaces"]

MOST_VALUES = 100_000
DEEPEST = 50


@dataclass(frozen=True)
class SpaceText:
    """A search space as it was given: plain values, the text they came from, and its name."""

    tree: dict[str, Any]
    text: str
    source: str


def shipped_spaces() -> dict[str, Path]:
    """Name → file of the search spaces that come with gan-tune."""
    package = Path(__file__).parents[1]
    inside_wheel = package / "search_spaces"
    folder = inside_wheel if inside_wheel.is_dir() else package.parent / "search_spaces"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_space(source: str | Path | Mapping[str, Any]) -> SpaceText:
    """Read a space from a file, a shipped space's bare name, or a mapping.

    Raises:
        SpaceError: the file is missing, unreadable or no YAML mapping.
    """
    if isinstance(source, Mapping):
        tree = _mapping_of(source, "")
        return SpaceText(tree, yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), "")
    path = _locate(source)
    text = _text_of(path, str(source))
    try:
        loaded = _parse(text)
    except _YamlFaultsError as error:
        raise SpaceError(error.faults, str(source)) from None
    if loaded is None:
        raise SpaceError([Fault("", "the file is empty; a search space is a mapping")], str(source))
    return SpaceText(_mapping_of(loaded, str(source)), text, str(source))


# ---- finding and reading -----------------------------------------------------------------------


def _locate(source: str | Path) -> Path:
    name = str(source)
    if isinstance(source, Path) or _is_file_name(name):
        return Path(source)
    shipped = shipped_spaces()
    if name in shipped:
        return shipped[name]
    known = ", ".join(shipped) or "none"
    hint = did_you_mean(name, shipped) or ";"
    rule = f"no such search space{hint} shipped are {known}; a file of your own ends in .yaml"
    raise SpaceError([Fault("", rule)], name)


def _is_file_name(name: str) -> bool:
    separators = [separator for separator in (os.sep, os.altsep, "/") if separator]
    return name.endswith((".yaml", ".yml")) or any(separator in name for separator in separators)


def _text_of(path: Path, source: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        rule = "is not UTF-8 text"
    except FileNotFoundError:
        rule = "no such file"
    except IsADirectoryError:
        rule = "is a folder, not a file"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        rule = f"cannot be read: {reason}"
    raise SpaceError([Fault("", rule)], source)


def _mapping_of(loaded: Any, source: str) -> dict[str, Any]:
    if not isinstance(loaded, Mapping):
        fault = Fault("", "a search space must be a mapping", shown(loaded))
        raise SpaceError([fault], source)
    copier = _PlainCopy()
    tree: dict[str, Any] = copier.copy(loaded, "", 0)
    if copier.faults:
        raise SpaceError(copier.faults, source)
    return tree


@dataclass
class _PlainCopy:
    """Copies a tree, and notes whatever in it is no plain value."""

    faults: list[Fault] = field(default_factory=list)
    values: int = 0

    def copy(self, value: Any, path: str, depth: int) -> Any:
        self.values += 1
        if self.values > MOST_VALUES or depth > DEEPEST:
            # Reported once: aliases may repeat a tree endlessly.
            big = "must not hold so many values" if depth <= DEEPEST else "is nested too deeply"
            if not any(fault.rule == big for fault in self.faults):
                self.faults.append(Fault(path, big))
            return None
        if isinstance(value, Mapping):
            return self._mapping(value, path, depth)
        if isinstance(value, (list, tuple)):
            below = f"{path}." if path else ""
            return [self.copy(inner, f"{below}{i}", depth + 1) for i, inner in enumerate(value)]
        return self._scalar(value, path)

    def _mapping(self, value: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
        copied = {}
        for key, inner in value.items():
            if not isinstance(key, str):
                self.faults.append(Fault(path, "keys must be text", shown(key)))
                continue
            copied[key] = self.copy(inner, f"{path}.{key}" if path else key, depth + 1)
        return copied

    def _scalar(self, value: Any, path: str) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (str, Path)):
            return str(value)
        if isinstance(value, numbers.Integral):
            return int(value)
        if isinstance(value, numbers.Real):
            if not math.isfinite(value):
                self.faults.append(Fault(path, "must be a finite number", shown(value)))
            return float(value)
        rule = "must be text, a number, true, false, null, a list or a mapping"
        self.faults.append(Fault(path, rule, shown(value)))
        return None


# ---- YAML --------------------------------------------------------------------------------------


class _YamlFaultsError(Exception):
    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(str(faults))
        self.faults = tuple(faults)


class _Loader(yaml.SafeLoader):
    """YAML's plain values, with numbers as people write them (`1e-4`) and no double keys."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.doubled: list[Fault] = []

    def flatten_mapping(self, node: Any) -> None:
        # Keys merged in by `<<` may be overridden: what was written itself is looked at first.
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                self.doubled.append(
                    Fault(_place(key.start_mark), "the key is written twice", repr(key.value))
                )
            seen.add(str(key.value))
        super().flatten_mapping(node)


def _number_resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """PyYAML's resolvers without dates, octal and base 60, and with `1e-4` as a number."""
    left_out = {"tag:yaml.org,2002:" + kind for kind in ("float", "int", "timestamp")}
    inherited = yaml.SafeLoader.yaml_implicit_resolvers
    resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag not in left_out]
        for first, rules in inherited.items()
    }
    whole = re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+)$")
    real = re.compile(
        r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?"
        r"|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
    )
    for first in "-+0123456789.":
        resolvers.setdefault(first, [])
        resolvers[first].append(("tag:yaml.org,2002:int", whole))
        resolvers[first].append(("tag:yaml.org,2002:float", real))
    return resolvers


_Loader.yaml_implicit_resolvers = _number_resolvers()


def _parse(text: str) -> Any:
    """The values of one YAML document.

    Raises:
        _YamlFaultsError: with the line and column of a syntax error, or of each double key.
    """
    try:
        loader = _Loader(text)
        value = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join((error.problem or error.context or "").split())
        fault = Fault(_place(mark) if mark else "", f"not valid YAML: {problem}")
        raise _YamlFaultsError([fault]) from None
    except (yaml.YAMLError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise _YamlFaultsError([Fault("", f"not valid YAML: {problem}")]) from None
    except RecursionError:
        raise _YamlFaultsError([Fault("", "is nested too deeply")]) from None
    if loader.doubled:
        raise _YamlFaultsError(loader.doubled)
    return value


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


# ---- overrides ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Override:
    """One `--set`: its path as given, and where that lies in a trial (None: not in `trial`).

    ``place`` has no steps for choices: `trial.loss.choice.0` lies at `loss`.
    """

    path: str
    place: tuple[str, ...] | None


BLOCKS = ("objective", "budget", "search", "confirm", "resources")
"""Blocks a file may leave out; setting something inside one makes it."""
RULE_BLOCKS = ("collapse", "divergence")
"""The same below `trial`."""


def apply_overrides(
    tree: dict[str, Any], overrides: Sequence[str]
) -> tuple[dict[str, Any], list[Override], list[Fault]]:
    """A copy of a space with each `PATH=VALUE` put in, what was overridden, and what is wrong."""
    result: dict[str, Any] = _PlainCopy().copy(tree, "", 0)
    done: list[Override] = []
    faults: list[Fault] = []
    for text in overrides:
        try:
            path, value = _split(text)
            done.append(Override(path, _put(result, path, value)))
        except _OverrideError as error:
            faults.append(Fault(f"--set {text}", str(error)))
    return result, done, faults


class _OverrideError(Exception):
    """What is wrong with one `--set`."""


def _split(text: str) -> tuple[str, Any]:
    path, equals, written = text.partition("=")
    if not equals or not path.strip():
        raise _OverrideError("must be PATH=VALUE, such as trial.data.batch_size=64")
    try:
        value = _parse(written)
    except _YamlFaultsError as error:
        raise _OverrideError(error.faults[0].rule) from None
    copier = _PlainCopy()
    value = copier.copy(value, "", 0)
    if copier.faults:
        raise _OverrideError(copier.faults[0].rule)
    return path.strip(), value


def _put(tree: dict[str, Any], path: str, value: Any) -> tuple[str, ...] | None:
    """Set a value in place; returns where in a trial it lies."""
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
    return tuple(place[1:]) if place[0] == "trial" else None


def _option_called(here: Any, name: str) -> int | None:
    """The number of the option of that name, where ``here`` is a choice."""
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
        if not step.isdigit() or int(step) >= len(here):
            raise _OverrideError(f"{above} is a list of {len(here)}, numbered from 0")
        return int(step)
    if not isinstance(here, dict):
        raise _OverrideError(f"{above} is a plain value, with nothing below it")
    if step in here:
        return step
    makeable = {"": BLOCKS, "trial": RULE_BLOCKS}.get(above, ())
    if step in makeable or (last and ("choice" not in here or above == "trial")):
        return step
    known = f"; there are {', '.join(here) or 'none'}"
    hint = did_you_mean(step, [*here, *makeable]) or known
    raise _OverrideError(f"the space has no {whole}{hint}")


def _below(here: Any, key: str | int, *, has_parts: bool) -> Any:
    inner = here.setdefault(key, {}) if isinstance(here, dict) else here[key]
    if has_parts and isinstance(inner, str):
        inner = here[key] = {"name": inner}  # a part given by its name alone
    return inner
