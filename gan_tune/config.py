"""What one trial is: a frozen, fully checked description of one training run.

A trial config is a tree of plain values. Its *parts* (data, networks, loss, penalties, optimizers,
gradient rules) are named; which names exist and which arguments they take is read off the parts'
own signatures, gathered in a :class:`Catalogue` that the caller hands in. So this module needs no
torch.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gan_tune.errors import ConfigError, Fault

__all__ = [
    "Argument",
    "Catalogue",
    "CollapseRule",
    "DivergenceRule",
    "Incompatibility",
    "Objective",
    "Part",
    "TrialConfig",
    "closest",
    "signature_arguments",
]

PART_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "data": "data",
        "generator": "generator",
        "discriminator": "discriminator",
        "loss": "loss",
        "generator_optimizer": "optimizer",
        "discriminator_optimizer": "optimizer",
        "generator_gradient_clip": "gradient_clip",
        "discriminator_gradient_clip": "gradient_clip",
    }
)
"""Field of a trial config → kind of part that stands there. `penalties` is a list of parts."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Objective(_Frozen):
    """The metric a search improves, measured on the selection split."""

    metric: str = Field("frechet_distance", description="Name of a metric of the selection split.")
    mode: Literal["min", "max"] = Field("min", description="Whether less or more is better.")

    def better(self, value: float, than: float) -> bool:
        """Whether ``value`` is strictly better than ``than``."""
        return value < than if self.mode == "min" else value > than

    @property
    def worst(self) -> float:
        """The value every finite one beats: +inf or -inf."""
        return float("inf") if self.mode == "min" else float("-inf")


class CollapseRule(_Frozen):
    """When a generator counts as collapsed: its variety stays under a share of the data's.

    Variety is the root of the samples' total variance over that of the data, in the space of the
    metric's features (pictures) or of the points themselves; 1 is as varied as the data.
    """

    variety: float = Field(0.1, ge=0, lt=1, description="Least share of the data's variety; 0: off")
    after: float = Field(
        0.3, ge=0, le=1, description="Share of the training before which nothing counts"
    )
    reports: int = Field(2, ge=1, description="So many reports in a row must fall under the share")


class DivergenceRule(_Frozen):
    """When training counts as diverged: a non-finite value, or one beyond these limits."""

    max_logit: float = Field(1e5, gt=0, description="Largest |logit| of the discriminator")
    max_gradient_norm: float = Field(1e8, gt=0, description="Largest gradient norm before clipping")


class Part(BaseModel):
    """A named building block with all its arguments resolved, defaults included."""

    model_config = ConfigDict(frozen=True)

    name: str
    args: Mapping[str, Any] = Field(default_factory=dict)

    def tree(self) -> dict[str, Any]:
        """The part as it stands in a space file: its name beside its arguments."""
        return {"name": self.name, **self.args}


class TrialConfig(_Frozen):
    """Everything that decides one training run. Equal configs train bit-identically."""

    data: Part
    generator: Part
    discriminator: Part
    loss: Part
    penalties: tuple[Part, ...] = ()
    generator_optimizer: Part
    discriminator_optimizer: Part
    generator_gradient_clip: Part = Part(name="none")
    discriminator_gradient_clip: Part = Part(name="none")
    ema: float = Field(0.0, ge=0, lt=1, description="Decay per step of the averaged generator; 0: off")
    d_steps: int = Field(1, ge=1, le=100, description="Discriminator steps per generator step")
    patience: int = Field(
        0, ge=0, description="Reports without a better objective after which the trial ends; 0: off"
    )
    collapse: CollapseRule = CollapseRule()
    divergence: DivergenceRule = DivergenceRule()
    deterministic: bool = Field(
        False, description="Deterministic GPU kernels: slower there; a CPU always is"
    )
    objective: Objective = Objective()
    steps: int = Field(ge=1, description="Generator steps in all")
    evaluations: int = Field(10, ge=1, description="Reports, evenly spread over the steps")
    seed: int = Field(0, ge=0, description="Seed of everything random in the trial")

    @property
    def report_steps(self) -> tuple[int, ...]:
        """The steps at which a report is due, the last of them ``steps``."""
        count = min(self.evaluations, self.steps)
        return tuple(self.steps * (i + 1) // count for i in range(count))

    def tree(self) -> dict[str, Any]:
        """The config as a tree of plain values, which :meth:`from_tree` reads back."""
        tree: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Part):
                tree[name] = value.tree()
            elif name == "penalties":
                tree[name] = [part.tree() for part in value]
            elif isinstance(value, BaseModel):
                tree[name] = value.model_dump()
            else:
                tree[name] = value
        return tree

    def params(self) -> dict[str, Any]:
        """Dotted path → value, as MLflow's params show a trial (`generator_optimizer.lr`)."""
        return dict(_flatten(self.tree(), ""))

    def digest(self) -> str:
        """16 hex digits that name this config: equal configs have equal digests."""
        text = json.dumps(self.tree(), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any], catalogue: Catalogue) -> TrialConfig:
        """Resolve and check a tree of plain values.

        A part may be given by its name alone, and `gradient_clip` stands for both networks'.
        The parts are then built once (on no real memory) to see that they fit each other.

        Raises:
            ConfigError: with every fault found, each at its dotted path in ``tree``.
        """
        faults: list[Fault] = []
        fields = _spread_gradient_clip(tree, faults)
        for key in fields:
            if key not in cls.model_fields:
                faults.append(_unknown_key(key, [*cls.model_fields, "gradient_clip"], fields[key]))
        known = {key: value for key, value in fields.items() if key in cls.model_fields}
        for name, kind in PART_FIELDS.items():
            if name in known:
                known[name] = catalogue.resolve(kind, known[name], name, faults)
        known["penalties"] = _resolve_penalties(known.get("penalties"), catalogue, faults)
        broken = {fault.path.split(".")[0] for fault in faults}
        try:
            config = cls.model_validate(known)
        except ValidationError as error:
            faults += [f for f in _faults_of(error) if f.path.split(".")[0] not in broken]
            raise ConfigError(faults) from None
        if not faults:
            faults += catalogue.clashes(config)
        if not faults:
            faults += catalogue.build(config)
        if faults:
            raise ConfigError(faults)
        return config


@dataclass(frozen=True)
class Argument:
    """One argument of a part: what it accepts, and its default (`required` where it has none)."""

    name: str
    annotation: Any
    required: bool
    default: Any = None

    def check(self, value: Any) -> Any:
        """The value in the argument's own type.

        Raises:
            pydantic.ValidationError: the value does not fit the annotation.
        """
        return _adapter(self.annotation).validate_python(value)

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the argument's values."""
        return {**_adapter(self.annotation).json_schema()}


@dataclass(frozen=True)
class Incompatibility:
    """Two parts (or settings of them) that make no sound trial together, and why."""

    fields: tuple[str, str]
    reason: str
    clash: Callable[[TrialConfig], bool]


@dataclass(frozen=True)
class Catalogue:
    """All parts by kind and name, with the rules that span several of them.

    ``load`` imports a user's own part (`package.module:Name`); ``build`` constructs a config's
    networks without memory and returns what does not fit.
    """

    parts: Mapping[str, Mapping[str, Mapping[str, Argument]]]
    incompatibilities: Sequence[Incompatibility] = ()
    load: Callable[[str, str], Mapping[str, Argument]] | None = None
    build: Callable[[TrialConfig], Sequence[Fault]] = field(default=lambda config: ())

    def arguments(self, kind: str, name: str) -> Mapping[str, Argument]:
        """Arguments of a part.

        Raises:
            KeyError: no part of that name; the message is the rule that was broken.
        """
        if name in self.parts[kind]:
            return self.parts[kind][name]
        if ":" in name and self.load is not None:
            return self.load(kind, name)
        raise KeyError(_must_be_one_of(f"{kind.replace('_', ' ')} name", name, self.parts[kind]))

    def resolve(self, kind: str, given: Any, path: str, faults: list[Fault]) -> Any:
        """A :class:`Part` with every argument checked and defaults filled in.

        Faults are appended to ``faults``; then what comes back is of no further use.
        """
        if given is None and "none" in self.parts[kind]:
            given = "none"
        if isinstance(given, str):
            given = {"name": given}
        if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
            faults.append(Fault(path, "must be a name, or a mapping with a name", repr(given)))
            return None
        name = given["name"]
        try:
            arguments = self.arguments(kind, name)
        except KeyError as error:
            faults.append(Fault(f"{path}.name", str(error.args[0]), repr(name)))
            return None
        resolved: dict[str, Any] = {}
        for key, value in given.items():
            if key == "name":
                continue
            if key not in arguments:
                faults.append(_unknown_key(key, arguments, value, path, owner=name))
                continue
            try:
                resolved[key] = arguments[key].check(value)
            except ValidationError as error:
                faults.extend(_faults_of(error, f"{path}.{key}", value))
        for argument in arguments.values():
            if argument.name in given:
                continue
            if argument.required:
                faults.append(Fault(f"{path}.{argument.name}", f"is required by {name}"))
            else:
                resolved[argument.name] = argument.default
        ordered = {key: resolved[key] for key in arguments if key in resolved}
        return Part(name=name, args=ordered)

    def clashes(self, config: TrialConfig) -> list[Fault]:
        """The declared incompatibilities that a config runs into."""
        return [
            Fault(rule.fields[0], f"does not go with {rule.fields[1]}: {rule.reason}")
            for rule in self.incompatibilities
            if rule.clash(config)
        ]


def signature_arguments(part: Callable[..., Any], *, skip: int = 0) -> dict[str, Argument]:
    """A part's arguments, read off its signature: the keyword-only ones of our own parts.

    ``skip`` > 0 is for a user's part: all parameters but the first ``skip`` count. Annotations may
    carry bounds (`Annotated[float, Gt(0)]`), which are then enforced. A missing one accepts anything.
    """
    target = part.__init__ if inspect.isclass(part) else part
    hints = get_type_hints(target, include_extras=True)
    parameters = list(inspect.signature(part).parameters.values())
    if skip:
        chosen = [p for p in parameters[skip:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    else:
        chosen = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    return {
        p.name: Argument(
            name=p.name,
            annotation=hints.get(p.name, Any),
            required=p.default is p.empty,
            default=None if p.default is p.empty else p.default,
        )
        for p in chosen
    }


def closest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name nearest to a misspelt one, if any is near."""
    matches = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return matches[0] if matches else None


def _must_be_one_of(what: str, name: str, valid: Iterable[str]) -> str:
    valid = list(valid)
    near = closest(name, valid)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"{what} must be one of {', '.join(valid)}{hint}"


def _unknown_key(
    key: Any, valid: Iterable[str], value: Any, path: str = "", owner: str = "a trial"
) -> Fault:
    valid = list(valid)
    near = closest(str(key), valid)
    hint = f"; did you mean {near!r}?" if near else f", which takes {', '.join(valid) or 'nothing'}"
    return Fault(f"{path}.{key}" if path else str(key), f"no such key in {owner}{hint}", repr(value))


def _spread_gradient_clip(tree: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    fields = dict(tree)
    if "gradient_clip" in fields:
        both = fields.pop("gradient_clip")
        for name in ("generator_gradient_clip", "discriminator_gradient_clip"):
            if name in fields:
                faults.append(Fault(name, "must not stand beside gradient_clip", repr(fields[name])))
            fields[name] = both
    return fields


def _resolve_penalties(given: Any, catalogue: Catalogue, faults: list[Fault]) -> Any:
    if given is None:
        return ()
    if not isinstance(given, (list, tuple)):
        faults.append(Fault("penalties", "must be a list", repr(given)))
        return ()
    parts = [
        catalogue.resolve("penalty", entry, f"penalties.{i}", faults) for i, entry in enumerate(given)
    ]
    return tuple(part for part in parts if part is not None and part.name != "none")


def _faults_of(error: ValidationError, path: str = "", given: Any = None) -> list[Fault]:
    faults = []
    for entry in error.errors():
        place = ".".join([path, *map(str, entry["loc"])]).strip(".")
        rule = entry["msg"][:1].lower() + entry["msg"][1:]
        if entry["type"] == "missing":
            faults.append(Fault(place, "is required"))
        elif entry["type"] == "extra_forbidden":
            faults.append(Fault(place, "no such key", repr(entry["input"])))
        else:
            faults.append(Fault(place, rule.replace("input should", "must"), repr(entry["input"])))
    return faults


def _flatten(value: Any, path: str) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)) and any(isinstance(v, (Mapping, list)) for v in value):
        for i, inner in enumerate(value):
            yield from _flatten(inner, f"{path}.{i}")
    else:
        # A plain list (layer widths) reads best as one value.
        yield path, value


_ADAPTERS: dict[int, tuple[Any, TypeAdapter[Any]]] = {}


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    # Keyed by identity (an annotation need not be hashable); the entry keeps the annotation alive.
    entry = _ADAPTERS.get(id(annotation))
    if entry is None:
        strict = Annotated[annotation, Field(strict=False)] if annotation is not Any else Any
        entry = (annotation, TypeAdapter(strict, config=None))
        _ADAPTERS[id(annotation)] = entry
    return entry[1]
