"""What one trial is: a frozen, fully checked description of one training run.

A trial config is a tree of plain values. Its *parts* (data, networks, loss, penalties, optimizers,
gradient rules) are named; which names exist and which arguments they take is read off the parts'
own signatures, gathered in a :class:`Catalogue` that the caller hands in. So this module needs no
torch.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Any, Literal, Protocol, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)
from pydantic.types import Strict

from gan_tune.errors import ConfigError, Fault
from gan_tune.words.wording import (
    argument_faults,
    faults_of,
    in_one_line,
    must_be_one_of,
    shown,
    unknown_key,
)

__all__ = [
    "Argument",
    "Catalogue",
    "CollapseRule",
    "DivergenceRule",
    "Draft",
    "Flag",
    "Incompatibility",
    "Number",
    "Objective",
    "Part",
    "Ranged",
    "SearchPlan",
    "SearchRule",
    "TrialConfig",
    "Whole",
    "flatten",
    "place_and_word",
    "signature_arguments",
]

Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
"""Plain values as they are meant: text is no number, and `true` is not 1."""

BOTH: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        name: (f"generator_{name}", f"discriminator_{name}")
        for name in ("gradient", "gradient_clip", "schedule")
    }
)
"""Word for both networks → the two fields that it stands for."""

PART_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "data": "data",
        "generator": "generator",
        "discriminator": "discriminator",
        "loss": "loss",
        "generator_optimizer": "optimizer",
        "discriminator_optimizer": "optimizer",
        "generator_gradient": "gradient",
        "discriminator_gradient": "gradient",
        "generator_gradient_clip": "gradient_clip",
        "discriminator_gradient_clip": "gradient_clip",
        "generator_schedule": "schedule",
        "discriminator_schedule": "schedule",
        "augment": "augment",
        "encoder": "encoder",
        "sparsity": "sparsity",
        "update": "update",
    }
)
"""Field of a trial config → kind of part that stands there. `penalties` is a list of parts."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Objective(_Frozen):
    """The metric a search improves, measured on the selection split."""

    metric: str = Field("frechet_distance", description="Name of a metric of the selection split.")
    mode: Literal["min", "max"] = Field("min", description="Whether less or more is better.")

    def cost(self, value: float) -> float:
        """The value as a cost, of which less is always better; :meth:`value` turns it back."""
        return value if self.mode == "min" else -value

    def value(self, cost: float) -> float:
        """The value that has this cost."""
        return self.cost(cost)

    def better(self, value: float, than: float) -> bool:
        """Whether ``value`` is strictly better than ``than``."""
        return self.cost(value) < self.cost(than)

    @property
    def worst(self) -> float:
        """The value every finite one beats: +inf or -inf."""
        return self.value(math.inf)


class CollapseRule(_Frozen):
    """When a generator counts as collapsed: its variety stays under a share of the data's.

    Variety is the root of the samples' total variance over that of the data, in the space of the
    metric's features (pictures) or of the points themselves; 1 is as varied as the data.
    """

    variety: Number = Field(
        0.1, ge=0, lt=1, description="Least share of the data's variety; 0: off"
    )
    after: Number = Field(
        0.3, ge=0, le=1, description="Share of the training before which nothing counts"
    )
    reports: Whole = Field(
        2, ge=1, description="So many reports in a row must fall under the share"
    )


class DivergenceRule(_Frozen):
    """When training counts as diverged: a non-finite value, or one beyond these limits."""

    max_logit: Number = Field(1e5, gt=0, description="Largest |logit| of the discriminator")
    max_gradient_norm: Number = Field(
        1e8, gt=0, description="Largest gradient norm before clipping"
    )


class Block(_Frozen):
    """A block schedule: so many steps of both players, then so many of the generator alone."""

    both: Whole = Field(1, ge=1, description="Generator steps with discriminator steps before each")
    generator: Whole = Field(0, ge=0, description="Generator steps that follow on their own")


class InstanceNoise(_Frozen):
    """Normal noise on all that the discriminator sees (Sønderby et al. 2017), which fades."""

    std: Number = Field(0.0, ge=0, description="Deviation at the start, in scaled units; 0: off")
    until: Number = Field(1.0, gt=0, le=1, description="Share of the training where it is gone")
    fade: Literal["linear", "geometric"] = Field(
        "linear", description="In a line to 0, or by the same factor each step to 3 %, then none"
    )


class Lookahead(_Frozen):
    """Both players' weights are pulled back to slow averages (Chavdarova et al. 2021)."""

    every: Whole = Field(0, ge=0, description="Generator steps between two pulls; 0: off")
    alpha: Number = Field(0.5, gt=0, le=1, description="Share of the way that the averages follow")


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
    generator_gradient: Part = Part(name="backprop")
    discriminator_gradient: Part = Part(name="backprop")
    generator_gradient_clip: Part = Part(name="none")
    discriminator_gradient_clip: Part = Part(name="none")
    generator_schedule: Part = Part(name="constant", args={"warm_up": 0})
    discriminator_schedule: Part = Part(name="constant", args={"warm_up": 0})
    update: Part = Part(name="alternating")
    block: Block = Block()
    lookahead: Lookahead = Lookahead()
    weight_clip: Number = Field(
        0.0,
        ge=0,
        le=1e30,
        description="Largest |weight| of the discriminator after each step; 0: no limit",
    )
    augment: Part = Part(name="none")
    instance_noise: InstanceNoise = InstanceNoise()
    encoder: Part = Part(name="none")
    reconstruction_weight: Number = Field(
        1.0, ge=0, description="Weight of the reconstruction error, where there is an encoder"
    )
    sparsity: Part = Part(name="none")
    ema: Number = Field(
        0.0, ge=0, lt=1, description="Decay per step of the averaged generator; 0: off"
    )
    ema_reach: Number = Field(
        0.1,
        gt=0,
        le=1,
        description="The average reaches back over at most this share of the steps so far",
    )
    d_steps: Whole = Field(1, ge=1, le=100, description="Discriminator steps per generator step")
    patience: Whole = Field(
        0, ge=0, description="Reports without a better objective after which the trial ends; 0: off"
    )
    collapse: CollapseRule = CollapseRule()
    divergence: DivergenceRule = DivergenceRule()
    deterministic: Flag = Field(
        False, description="Deterministic GPU kernels: slower there; a CPU always is"
    )
    matmul_precision: Literal["highest", "high", "medium"] = Field(
        "highest",
        description="Of float32 matrix products in training; lower is faster where the device has "
        "such units: high is TF32 on a GPU, medium also bfloat16 on a CPU",
    )
    objective: Objective = Objective()
    measure: tuple[str, ...] = Field(
        (), description="Costly metrics to record beside the objective"
    )
    steps: Whole = Field(ge=1, description="Generator steps in all")
    evaluations: Whole = Field(10, ge=1, description="Reports, evenly spread over the steps")
    seed: Whole = Field(0, ge=0, description="Seed of everything random in the trial")

    @property
    def wanted_metrics(self) -> tuple[str, ...]:
        """The metrics to compute though they be costly: the objective's, and those to `measure`."""
        return (self.objective.metric, *self.measure)

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
        return dict(flatten(self.tree()))

    def digest(self) -> str:
        """16 hex digits that name this config: equal configs have equal digests."""
        text = json.dumps(self.tree(), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def from_params(cls, params: Mapping[str, str], catalogue: Catalogue) -> TrialConfig:
        """:meth:`params` read back from the texts that MLflow keeps of them.

        What else is among them (the choosers) is passed over; what they lack has its default.

        Raises:
            ConfigError: they are no trial's, or one's that this version cannot train.
        """
        tree: dict[str, Any] = {}
        for name, model in cls.model_fields.items():
            if name in PART_FIELDS:
                if f"{name}.name" in params:
                    tree[name] = _recorded_part(params, name, PART_FIELDS[name], catalogue)
            elif inspect.isclass(model.annotation) and issubclass(model.annotation, BaseModel):
                tree[name] = _recorded_keys(params, name, model.annotation.model_fields)
            elif name in params:
                tree[name] = _recorded(params, name)
        places = itertools.takewhile(
            lambda place: f"{place}.name" in params, map("penalties.{}".format, itertools.count())
        )
        tree["penalties"] = [_recorded_part(params, at, "penalty", catalogue) for at in places]
        return cls.from_tree(tree, catalogue, build=False)

    @classmethod
    def from_tree(
        cls, tree: Mapping[str, Any], catalogue: Catalogue, *, build: bool = True
    ) -> TrialConfig:
        """Resolve and check a tree of plain values.

        A part may be given by its name alone, and a word of :data:`BOTH` for both networks.
        The parts are then built once (on no real memory) to see that they fit each other;
        ``build=False`` leaves that out, for trees of a space that was checked.

        Raises:
            ConfigError: with every fault found, each at its dotted path in ``tree``.
        """
        if not isinstance(tree, Mapping):
            raise ConfigError([Fault("", "a trial must be a mapping", shown(tree))])
        draft = cls.draft(tree, catalogue)
        faults = list(draft.faults)
        if draft.config is not None:
            doubtful = set(draft.broken)
            for rule in catalogue.broken_rules(draft.config, but=draft.broken):
                faults.append(rule.fault(draft.config))
                doubtful.update(rule.touches)
            if build and doubtful.isdisjoint(("data", "generator", "discriminator")):
                found = catalogue.build(draft.config)
                faults += [fault for fault in found if _field(fault) not in draft.broken]
        if faults or draft.config is None:
            raise ConfigError(_as_written(faults, tree))
        return draft.config

    @classmethod
    def draft(cls, tree: Mapping[str, Any], catalogue: Catalogue) -> Draft:
        """Resolve a tree field by field, with stand-ins where a field is faulty.

        So one faulty field does not hide what is wrong with the others.
        """
        faults: list[Fault] = []
        fields = _spread(tree, faults)
        names = [*cls.model_fields, *BOTH]
        faults += [unknown_key(key, names, fields[key]) for key in fields if key not in names]
        known = {key: value for key, value in fields.items() if key in cls.model_fields}
        for name, kind in PART_FIELDS.items():
            if name in known:
                known[name] = catalogue.resolve(kind, known[name], name, faults)
        known["penalties"] = _resolve_penalties(known.get("penalties"), catalogue, faults)
        broken = {_field(fault) for fault in faults}
        try:
            config: TrialConfig | None = cls.model_validate(
                _with_stand_ins(known, broken, catalogue)
            )
        except ValidationError as error:
            late = faults_of(error, model=cls)
            faults += [fault for fault in late if _field(fault) not in broken]
            broken = {_field(fault) for fault in faults}
            config = cls._mended(_with_stand_ins(known, broken, catalogue))
        return Draft(config, tuple(_as_written(faults, tree)), frozenset(broken))

    @classmethod
    def _mended(cls, fields: Mapping[str, Any]) -> TrialConfig | None:
        try:
            return cls.model_validate(fields)
        except ValidationError:
            return None  # a kind of part without any that could stand in


@dataclass(frozen=True)
class Draft:
    """A trial config under check: ``broken`` fields hold stand-ins, the others what was given.

    ``config`` is None where no stand-in is to be had.
    """

    config: TrialConfig | None
    faults: tuple[Fault, ...]
    broken: frozenset[str]


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
        adapter = _adapter(self.annotation)
        if not _is_json(value):
            return adapter.validate_python(value, strict=True)
        # Through JSON, so that strict means: no number out of text, but a tuple out of a list.
        return adapter.validate_json(json.dumps(value), strict=True)

    def example(self) -> Any:
        """Some value that fits, None where none of the simplest does."""
        for value in (0.5, 1, 2, "x", [1], True):
            try:
                return self.check(value)
            except ValidationError:
                continue
        return None

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the argument's values."""
        return {**_adapter(self.annotation).json_schema()}


@dataclass(frozen=True)
class Incompatibility:
    """Two parts (or settings of them) that make no sound trial together, and why.

    ``fields`` are the dotted places in a trial config whose settings ``clash`` looks at.
    """

    fields: tuple[str, str]
    reason: str
    clash: Callable[[TrialConfig], bool]

    @property
    def touches(self) -> frozenset[str]:
        """The fields of a trial config that the rule looks at."""
        heads = {place.split(".")[0] for place in self.fields}
        return frozenset(heads.union(*(BOTH[head] for head in heads if head in BOTH)))

    def fault(self, config: TrialConfig) -> Fault:
        """The rule as a fault of a trial config that breaks it."""
        one, other = self.fields
        text = f"{_word_at(config, one)} does not go with {place_and_word(config, other)}"
        return Fault(one, f"{text.strip()}: {self.reason}")


def place_and_word(config: TrialConfig, place: str) -> str:
    """A dotted place of a config with what stands there, where a word can say it."""
    word = _word_at(config, place)
    return f"{place} = {word}" if word else place


def _word_at(config: TrialConfig, place: str) -> str:
    head, *below = place.split(".")
    value = getattr(config, head, None)
    if below and isinstance(value, Part):
        value = value.args.get(below[0])
    if isinstance(value, Part):
        return value.name
    if isinstance(value, tuple):
        return ", ".join(part.name for part in value if isinstance(part, Part))
    return str(value) if isinstance(value, (str, int, float)) else ""


class Ranged(Protocol):
    """One thing a search decides, as :class:`gan_tune.space.Dimension` describes it."""

    @property
    def kind(self) -> str: ...
    @property
    def field(self) -> str: ...
    @property
    def conditions(self) -> Sequence[Any]: ...


@dataclass(frozen=True)
class SearchPlan:
    """How a space is searched: who proposes and stops, what is decided, by which objectives.

    ``objectives`` are their metrics; ``starts`` is how many settings there are to start from, of
    ``trials`` in all; ``seeds`` are those of each setting; ``sampler_given`` is whether the file
    names one; ``bred`` whether the scheduler is a population.
    """

    sampler: Part
    scheduler: Part
    ranges: Sequence[Ranged]
    objectives: Sequence[str]
    trials: int
    starts: int
    seeds: int
    prune_on: str | None
    sampler_given: bool
    bred: bool


@dataclass(frozen=True)
class SearchRule:
    """What a search cannot do, with what in the space file would need it."""

    fields: tuple[str, str]
    reason: str
    clash: Callable[[SearchPlan], bool]

    def fault(self) -> Fault:
        """The rule as a fault of a space file."""
        return Fault(self.fields[0], f"does not go with {self.fields[1]}: {self.reason}")


@dataclass(frozen=True)
class Catalogue:
    """All parts by kind and name, with the rules that span several of them.

    - What breaks one of the ``incompatibilities`` is refused; what goes against the ``advice`` is
      allowed with a warning.
    - ``search_refusals`` and ``search_advice`` are the same for what stands beside the trial: the
      sampler, the stopping rule, the objectives, the budget.
    - ``populations`` are the schedulers that propose settings themselves, beside which no sampler
      stands.
    - ``load(kind, name)`` imports a user's own part (`package.module:Name`), or raises KeyError
      with the rule that was broken.
    - ``build(config)`` constructs a config's networks without memory and returns what does not
      fit, each at its dotted path in the config.
    - ``check_objective(objective, data)`` returns the rule that an objective breaks on that data
      (`must be one of ...`), or None.
    - ``check_data(data)`` looks whether the data are there and readable, and returns what is
      wrong at its dotted path (`data.root`), or None.
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
            KeyError: no part of that name; the message is the rule that was broken.
        """
        if name in self.parts[kind]:
            return self.parts[kind][name]
        if ":" in name and self.load is not None:
            return self.load(kind, name)
        raise KeyError(must_be_one_of(f"{kind.replace('_', ' ')} name", name, self.parts[kind]))

    def resolve(self, kind: str, given: Any, path: str, faults: list[Fault]) -> Any:
        """A :class:`Part` with every argument checked and defaults filled in.

        All of its arguments are JSON, since trials are recorded: a default that is not (a class, a
        function) is left out, and the part's own signature supplies it.

        Faults are appended to ``faults``; then what comes back is of no further use.
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
                continue
            try:
                resolved[key] = arguments[key].check(value)
            except ValidationError as error:
                faults.extend(argument_faults(error, f"{path}.{key}", value))
            except Exception as error:  # the annotation is a user's
                rule = f"cannot be checked by its annotation ({in_one_line(error)})"
                faults.append(Fault(f"{path}.{key}", rule, shown(value)))
            else:
                if not _is_json(resolved[key]):
                    made = type(resolved[key]).__name__
                    rule = f"must stay JSON, but its annotation makes a {made} of it"
                    faults.append(Fault(f"{path}.{key}", rule, shown(value)))
        for argument in arguments.values():
            if argument.name in given:
                continue
            if argument.required:
                faults.append(Fault(f"{path}.{argument.name}", f"{name} needs {argument.name}"))
            elif _is_json(argument.default):  # others are no setting: the part itself knows them
                resolved[argument.name] = argument.default
        ordered = {key: resolved[key] for key in arguments if key in resolved}
        return Part(name=name, args=ordered)

    def stand_in(self, kind: str) -> Part | None:
        """A sound part of a kind, to stand where a faulty one was given."""
        for name, arguments in self.parts[kind].items():
            args = {a.name: a.example() if a.required else a.default for a in arguments.values()}
            if not any(args[a.name] is None for a in arguments.values() if a.required):
                return Part(name=name, args=args)
        return None

    def broken_rules(
        self, config: TrialConfig, *, but: frozenset[str] = frozenset()
    ) -> list[Incompatibility]:
        """The declared incompatibilities that a config runs into, not looking at fields ``but``."""
        return [
            rule
            for rule in self.incompatibilities
            if rule.touches.isdisjoint(but) and rule.clash(config)
        ]


def signature_arguments(
    part: Callable[..., Any], *, skip: int | None = None
) -> dict[str, Argument]:
    """A part's arguments, read off its signature: the keyword-only ones of our own parts.

    A given ``skip`` is for a user's part: all parameters but the first ``skip`` count. Annotations
    may carry bounds (`Annotated[float, Gt(0)]`), which are then enforced. Without one, anything
    goes.
    """
    target = part.__init__ if inspect.isclass(part) else part
    try:
        hints = get_type_hints(target, include_extras=True)
    except Exception:  # text that is evaluated: of types there for a type checker only, or no type
        hints = {}
    parameters = list(inspect.signature(part).parameters.values())
    if skip is not None:
        chosen = [
            p for p in parameters[skip:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
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


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _field(fault: Fault) -> str:
    return fault.path.split(".")[0]


def _as_written(faults: Iterable[Fault], tree: Mapping[str, Any]) -> list[Fault]:
    # What a word for both was spread to is reported once, where it was written.
    word_of = {
        name: word
        for word, names in BOTH.items()
        if word in tree
        for name in names
        if name not in tree
    }
    written = []
    for fault in faults:
        head, *rest = fault.path.split(".")
        written.append(replace(fault, path=".".join([word_of.get(head, head), *rest])))
    return list(dict.fromkeys(written))


def _with_stand_ins(
    fields: Mapping[str, Any], broken: Iterable[str], catalogue: Catalogue
) -> dict[str, Any]:
    """The sound fields, and stand-ins for the broken ones that a config cannot do without."""
    broken = set(broken)
    sound = {key: value for key, value in fields.items() if key not in broken}
    for name, kind in PART_FIELDS.items():
        if name in broken and TrialConfig.model_fields[name].is_required():
            part = catalogue.stand_in(kind)
            sound |= {name: part} if part else {}
    return {"steps": 1, **sound} if "steps" in broken else sound


def _spread(tree: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """The tree with each word for both networks written out for each."""
    fields = dict(tree)
    for word, names in BOTH.items():
        if word not in fields:
            continue
        both = fields.pop(word)
        for name in names:
            if name in fields:
                faults.append(Fault(name, f"must not stand beside {word}", shown(fields[name])))
            else:
                fields[name] = both
    return fields


def _resolve_penalties(given: Any, catalogue: Catalogue, faults: list[Fault]) -> Any:
    if given is None:
        return ()
    if not isinstance(given, (list, tuple)):
        faults.append(Fault("penalties", "must be a list", shown(given)))
        return ()
    parts = [
        catalogue.resolve("penalty", entry, f"penalties.{i}", faults)
        for i, entry in enumerate(given)
    ]
    return tuple(part for part in parts if part is not None and part.name != "none")


def flatten(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of a tree of plain values with their dotted paths; a plain list is one leaf."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flatten(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)) and any(isinstance(v, (Mapping, list)) for v in value):
        for i, inner in enumerate(value):
            yield from flatten(inner, f"{path}.{i}")
    else:
        # A plain list (layer widths) reads best as one value.
        yield path, value


def _recorded_part(
    params: Mapping[str, str], place: str, kind: str, catalogue: Catalogue
) -> dict[str, Any]:
    name = params[f"{place}.name"]
    try:
        arguments = catalogue.arguments(kind, name)
    except KeyError as error:
        raise ConfigError([Fault(f"{place}.name", str(error.args[0]), shown(name))]) from None
    return {"name": name, **_recorded_keys(params, place, arguments)}


def _recorded_keys(params: Mapping[str, str], place: str, keys: Iterable[str]) -> dict[str, Any]:
    """The keys of a mapping of which something is recorded, with their values."""
    paths = {key: f"{place}.{key}" for key in keys}
    return {
        key: _recorded(params, path)
        for key, path in paths.items()
        if path in params or any(name.startswith(f"{path}.") for name in params)
    }


def _recorded(params: Mapping[str, str], path: str) -> Any:
    """The value that :func:`flatten` left at a path, or in leaves below it."""
    if path in params:
        try:
            return json.loads(params[path])
        except ValueError:
            return params[path]  # a string is recorded as it is
    steps = {name[len(path) + 1 :].split(".")[0] for name in params if name.startswith(f"{path}.")}
    below = {step: _recorded(params, f"{path}.{step}") for step in steps}
    if all(step.isdigit() for step in steps):
        return [below[step] for step in sorted(below, key=int)]
    return below


_ADAPTERS: dict[int, tuple[Any, TypeAdapter[Any]]] = {}


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    # Keyed by identity (an annotation need not be hashable); the entry keeps the annotation alive.
    entry = _ADAPTERS.get(id(annotation))
    if entry is None:
        entry = (annotation, _new_adapter(annotation))
        _ADAPTERS[id(annotation)] = entry
    return entry[1]


def _new_adapter(annotation: Any) -> TypeAdapter[Any]:
    plain = ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True)
    try:
        return TypeAdapter(annotation, config=plain)
    except PydanticUserError:
        return TypeAdapter(annotation)  # a model or dataclass brings its own config
    except PydanticSchemaGenerationError:
        return TypeAdapter(Any)
