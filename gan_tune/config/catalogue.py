"""All parts by kind and name, passed by a caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from gan_tune.config.arguments import Argument, is_json
from gan_tune.config.draft import field_of
from gan_tune.config.objective import Objective
from gan_tune.config.parts import Part
from gan_tune.config.rules import Incompatibility, SearchRule
from gan_tune.config.trial import TrialConfig
from gan_tune.errors import Fault
from gan_tune.words.wording import argument_faults, in_one_line, must_be_one_of, shown, unknown_key

__all__ = ["Catalogue"]


@dataclass(frozen=True)
class Catalogue:
    """All parts by kind and name, with the rules about several parts.

    - A trial that breaks one of the ``incompatibilities`` is refused. One that breaks a rule of
      ``advice`` is allowed with a warning.
    - ``search_refusals`` and ``search_advice`` are the same for the rest of a space file: the
      sampler, the stopping rule, the objectives, the budget.
    - ``populations`` are the schedulers that propose settings themselves. They need no sampler.
    - ``load(kind, name)`` imports a user's own part (`package.module:Name`), or raises KeyError
      with the broken rule.
    - ``build(config)`` constructs a config's networks without memory and returns the faults, each
      at its dotted path in the config.
    - ``check_objective(objective, data)`` returns the rule that an objective breaks on that data
      (`must be one of ...`), or None.
    - ``check_data(data)`` checks that the data exist and are readable, and returns the fault at
      its dotted path (`data.root`), or None.
    """

    parts: Mapping[str, Mapping[str, Mapping[str, Argument]]]
    incompatibilities: Sequence[Incompatibility] = ()
    advice: Sequence[Incompatibility] = ()
    search_refusals: Sequence[SearchRule] = ()
    search_advice: Sequence[SearchRule] = ()
    populations: frozenset[str] = frozenset()
    load: Callable[[str, str], Mapping[str, Argument]] | None = None
    build: Callable[[TrialConfig], Sequence[Fault]] = field(default=lambda config: ())
    check_objective: Callable[[Objective, Part], str | None] = field(
        default=lambda objective, data: None
    )
    check_data: Callable[[Part], Fault | None] = field(default=lambda data: None)

    def arguments(self, kind: str, name: str) -> Mapping[str, Argument]:
        """Arguments of a part.

        Raises:
            KeyError: no part has that name; the message is the broken rule.
        """
        if name in self.parts[kind]:
            return self.parts[kind][name]
        if ":" in name and self.load is not None:
            return self.load(kind, name)
        raise KeyError(must_be_one_of(f"{kind.replace('_', ' ')} name", name, self.parts[kind]))

    def resolve(self, kind: str, given: Any, path: str, faults: list[Fault]) -> Any:
        """A :class:`Part` with every argument checked and defaults filled in.

        All of its arguments are JSON values, since trials are recorded. A default that is not JSON
        (a class, a function) is left out; the part's signature supplies it.

        Faults are appended to ``faults``. If there are any, the result must not be used.
        """
        if given is None and "none" in self.parts[kind]:
            given = "none"
        if isinstance(given, str):
            given = {"name": given}
        if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
            faults.append(Fault(path, "must be a name, or a mapping with a name", shown(given)))
            return None
        name = given["name"]
        try:
            arguments = self.arguments(kind, name)
        except KeyError as error:
            faults.append(Fault(f"{path}.name", str(error.args[0]), shown(name)))
            return None
        resolved: dict[str, Any] = {}
        for key, value in given.items():
            if key == "name":
                continue
            if key not in arguments:
                faults.append(unknown_key(key, arguments, value, path, owner=name))
            else:
                resolved[key] = _checked(arguments[key], value, f"{path}.{key}", faults)
        for argument in arguments.values():
            if argument.name in given:
                continue
            if argument.required:
                faults.append(Fault(f"{path}.{argument.name}", f"{name} needs {argument.name}"))
            elif is_json(argument.default):  # others are no settings: the part itself has them
                resolved[argument.name] = argument.default
        ordered = {key: resolved[key] for key in arguments if key in resolved}
        return Part(name=name, args=ordered)

    def stand_in(self, kind: str) -> Part | None:
        """A valid part of a kind, used in place of a faulty one; None if there is none."""
        for name, arguments in self.parts[kind].items():
            args = {a.name: a.example() if a.required else a.default for a in arguments.values()}
            if not any(args[a.name] is None for a in arguments.values() if a.required):
                return Part(name=name, args=args)
        return None

    def broken_rules(
        self, config: TrialConfig, *, but: frozenset[str] = frozenset()
    ) -> list[Incompatibility]:
        """The incompatibilities that a config breaks; the fields ``but`` are not checked."""
        return [
            rule
            for rule in self.incompatibilities
            if rule.touches.isdisjoint(but) and rule.clash(config)
        ]

    def check(
        self, config: TrialConfig, *, but: frozenset[str] = frozenset(), build: bool = True
    ) -> list[Fault]:
        """The faults of a config whose single fields are valid.

        The fields ``but`` hold stand-ins and are not checked. Incompatible parts are not built.
        """
        broken = self.broken_rules(config, but=but)
        faults = [rule.fault(config) for rule in broken]
        doubtful = but.union(*(rule.touches for rule in broken))
        if build and doubtful.isdisjoint(("data", "generator", "discriminator")):
            faults += [fault for fault in self.build(config) if field_of(fault) not in but]
        return faults


def _checked(argument: Argument, value: Any, place: str, faults: list[Fault]) -> Any:
    """The value, converted to the argument's type; it must be JSON."""
    try:
        checked = argument.check(value)
    except ValidationError as error:
        faults.extend(argument_faults(error, place, value))
        return None
    except Exception as error:  # the annotation is a user's
        rule = f"cannot be checked by its annotation ({in_one_line(error)})"
        faults.append(Fault(place, rule, shown(value)))
        return None
    if not is_json(checked):
        rule = f"must stay JSON, but its annotation makes a {type(checked).__name__} of it"
        faults.append(Fault(place, rule, shown(value)))
    return checked
