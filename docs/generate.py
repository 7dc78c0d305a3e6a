"""Write the tables of the reference that the code knows.

    python docs/generate.py            # rewrite the pages: after a part or a rule has changed
    python docs/generate.py --check    # exit with 1 if a page is stale, and name it

A table stands between `<!-- generated: NAME -->` and `<!-- end -->`; :data:`TABLES` says what
writes it. What a part is comes from its docstring, up to the first section. Its arguments come from
its signature, and what they mean from the docstring's section `Args:`. A section `Note:` is for
readers of the code alone.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gan_tune.cli import ExitCode, app
from gan_tune.cli.documents import DOCUMENTS, EVENTS
from gan_tune.config import KEYS_FOR_BOTH, PART_FIELDS, Argument, Part, TrialConfig
from gan_tune.data.by_name import DATASETS
from gan_tune.gan.augment import AUGMENTS
from gan_tune.gan.estimators import ESTIMATORS
from gan_tune.gan.gradients import GRADIENT_CLIPS
from gan_tune.gan.losses import LOSSES
from gan_tune.gan.networks import NETWORKS
from gan_tune.gan.optimizers import OPTIMIZERS
from gan_tune.gan.penalties import PENALTIES
from gan_tune.gan.schedules import SCHEDULES
from gan_tune.gan.sparsity import SPARSITIES
from gan_tune.gan.updates import UPDATES
from gan_tune.metrics import METRICS, Metric
from gan_tune.parts.advice import ADVICE
from gan_tune.parts.all_parts import catalogue
from gan_tune.parts.incompatibilities import INCOMPATIBILITIES
from gan_tune.parts.search_rules import SEARCH_ADVICE, SEARCH_REFUSALS
from gan_tune.parts.trial_data import TRAINING_ARGUMENTS
from gan_tune.searching.populations.population import POPULATIONS
from gan_tune.searching.rules.stopping import SCHEDULERS
from gan_tune.searching.study.samplers import SAMPLERS
from gan_tune.space.space_file import ExperienceUse, SpaceFile

DOCS = Path(__file__).parent

PARTS: Mapping[str, Mapping[str, Any]] = {
    "data": DATASETS,
    **NETWORKS,
    "loss": LOSSES,
    "penalty": PENALTIES,
    "sparsity": SPARSITIES,
    "augment": AUGMENTS,
    "gradient": ESTIMATORS,
    "gradient_clip": GRADIENT_CLIPS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "update": UPDATES,
    "sampler": SAMPLERS,
    "scheduler": {**SCHEDULERS, **POPULATIONS},
}
"""Kind → name → the part: a function, a class, or a record that holds one."""

NOTHING = {"encoder": "No autoencoder.", "penalty": "Nothing: an option of `choice`."}
"""Kind → what its `none` is, where no function stands for it."""

SECTIONS = {
    "data": "data.md",
    "generator": "networks.md",
    "discriminator": "networks.md",
    "encoder": "networks.md",
    "loss": "training.md#losses",
    "penalty": "training.md#penalties",
    "optimizer": "training.md#optimizers-and-schedules",
    "schedule": "training.md#optimizers-and-schedules",
    "gradient": "training.md#gradients",
    "gradient_clip": "training.md#gradients",
    "update": "training.md#how-the-players-move",
    "augment": "training.md#what-the-discriminator-sees",
    "sparsity": "../how-to/sparse-autoencoders.md",
    "sampler": "search.md#samplers",
    "scheduler": "search.md#schedulers",
}
"""Kind → where its parts are told, seen from the folder `reference`."""

ENDLESS = 1e30
"""A bound as far away as this only says that a number is finite."""


# ---------------------------------------------------------------- Markdown


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown; a bar in a cell is escaped."""
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(
        "|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in lines
    )


def prose(text: str) -> str:
    """Text of a docstring as one paragraph of Markdown that may stand in a cell."""
    text = re.sub(r":\w+:`~?\.*(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    pieces = re.split(r"(``?[^`]+``?)", " ".join(text.split()))
    for i, piece in enumerate(pieces):
        if i % 2:
            pieces[i] = f"`{piece.strip('`')}`"
        else:
            pieces[i] = piece.replace("*", r"\*").replace("<", "&lt;")
    return "".join(pieces).replace("|", r"\|")


def flow(value: Any) -> str:
    """A value as it stands in a space file, in one line."""
    if isinstance(value, Part):
        value = value.name
    elif isinstance(value, ExperienceUse):
        value = value.first  # as it is usually written
    elif isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, tuple):
        value = [one.model_dump() if isinstance(one, BaseModel) else one for one in value]
    text = yaml.safe_dump(value, default_flow_style=True, width=1_000, sort_keys=False)
    return text.removesuffix("...\n").strip()


# ---------------------------------------------------------------- arguments


def number(value: float) -> str:
    """A bound, whole where it is whole."""
    return str(int(value)) if value == int(value) else f"{value:g}"


def accepted(schema: Mapping[str, Any]) -> str:
    """What values a JSON Schema takes, in a few words; empty where its type says it all."""
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option.get("type") != "null"]
        return ", ".join(filter(None, map(accepted, options)))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        count = f"{least} to {most} of" if least else f"at most {most}, each" if most else "each"
        inner = accepted(schema.get("items", {}))
        return f"{count} {inner}" if inner else ""
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum", ENDLESS))
    bounded = low is not None and high < ENDLESS
    if bounded and "minimum" in schema and "maximum" in schema:
        return f"{number(low)} to {number(high)}"
    signs = []
    if low is not None:
        signs.append(f"{'≥' if 'minimum' in schema else '>'} {number(low)}")
    if high < ENDLESS:
        signs.append(f"{'≤' if 'maximum' in schema else '<'} {number(high)}")
    return ", ".join(signs)


def argument_text(argument: Argument) -> str:
    """An argument with its default, where it has one, and the values it takes."""
    default = "" if argument.required else f": {flow(argument.default)}"
    values = accepted(argument.json_schema())
    return f"`{argument.name}{default}`" + (f" ({values})" if values else "")


# ---------------------------------------------------------------- docstrings


def function_of(part: Any) -> Callable[..., Any]:
    """The function or class behind an entry of a dict of parts."""
    for attribute in ("function", "build"):
        part = getattr(part, attribute, part)
    return part  # type: ignore[no-any-return]


def summary(docstring: str) -> str:
    """The paragraphs of a docstring before its first section."""
    return re.split(r"^[A-Z]\w+:$", docstring, maxsplit=1, flags=re.MULTILINE)[0]


def argument_meanings(docstring: str, names: Iterable[str]) -> list[str]:
    """The entries of the section `Args:` that concern these arguments, each `names: meaning`."""
    found = re.search(r"^Args:\n((?:    .*\n?|\n)+)", docstring, re.MULTILINE)
    entries = re.split(r"^ {4}(?=\S)", found[1], flags=re.MULTILINE)[1:] if found else []
    own, meanings = set(names), []
    for entry in entries:
        keys, _, meaning = entry.partition(":")
        told = [key for key in keys.split(", ") if key in own]
        if told:
            codes = ", ".join(f"`{key}`" for key in told)
            meanings.append(f"{codes}: {prose(meaning).rstrip('.')}.")
    return meanings


def meaning(part: Any, names: Iterable[str]) -> str:
    """What a part is, by its docstring, and what its arguments are."""
    docstring = inspect.getdoc(function_of(part)) or ""
    return "<br>".join([prose(summary(docstring)), *argument_meanings(docstring, names)])


# ---------------------------------------------------------------- tables


def parts_table(kind: str) -> str:
    """All parts of a kind with their arguments."""
    shared = TRAINING_ARGUMENTS if kind == "data" else {}
    rows = []
    for name, arguments in catalogue().parts[kind].items():
        own = [argument for key, argument in arguments.items() if key not in shared]
        part = PARTS[kind].get(name)
        text = NOTHING[kind] if part is None else meaning(part, arguments)
        rows.append([f"`{name}`", "<br>".join(map(argument_text, own)), text])
    return table([kind, "arguments", "what it is"], rows)


def rules_table(head: str, rules: Iterable[Any]) -> str:
    """Rules in the words of their messages."""
    rows = [[*(f"`{field}`" for field in rule.fields), rule.reason] for rule in rules]
    return table([head, "with", "why"], rows)


def applies_to(metric: Metric) -> str:
    """The data that a metric is of."""
    if metric.needs_columns:
        data = "tables"
    elif metric.needs_mixture:
        data = "mixtures"
    elif metric.needs_labels:
        data = "labelled"
    else:
        data = "all" if len(metric.kinds) > 1 else next(iter(metric.kinds))
    return f"{data}, with an encoder" if metric.model in ("encode", "reconstruct") else data


def metrics_table() -> str:
    """All metrics."""
    rows = [
        [
            f"`{name}`",
            metric.mode,
            applies_to(metric),
            prose(metric.meaning),
            "when asked for" if metric.costly else "always",
        ]
        for name, metric in METRICS.items()
    ]
    return table(["metric", "better", "for", "what it says", "recorded"], rows)


def default_text(field: FieldInfo) -> str:
    """A field's default as code."""
    return "required" if field.is_required() else f"`{flow(field.default)}`"


def field_meaning(name: str, field: FieldInfo) -> str:
    """What a field of a trial is: its description, its parts, or the keys of its block."""
    kind = "penalty" if name == "penalties" else PART_FIELDS.get(name)
    if kind is not None:
        names = ", ".join(f"`{part}`" for part in catalogue().parts[kind])
        own = ", or your own" if kind == "data" or kind in NETWORKS else ""
        told = f"[{kind.replace('_', ' ')}]({SECTIONS[kind]}): {names}{own}"
        return f"a list of parts; {told}" if name == "penalties" else told
    inner = field.annotation
    if inspect.isclass(inner) and issubclass(inner, BaseModel):
        keys = [f"`{key}`: {described(value)}" for key, value in inner.model_fields.items()]
        return "<br>".join([prose(summary(inspect.getdoc(inner) or "")), *keys])
    return described(field)


def described(field: FieldInfo) -> str:
    """A field's description with its bounds."""
    argument = Argument("", _annotated(field), False)
    values = accepted(argument.json_schema())
    return prose(field.description or "") + (f" ({values})" if values else "")


def _annotated(field: FieldInfo) -> Any:
    annotation: Any = field.annotation
    for constraint in field.metadata:
        annotation = Annotated[annotation, constraint]
    return annotation


def fields_table() -> str:
    """All fields of a trial, words for both networks before the fields they stand for."""
    both = {fields[0]: word for word, fields in KEYS_FOR_BOTH.items()}
    rows = []
    for name, field in TrialConfig.model_fields.items():
        if name in both:
            word = both[name]
            text = f"for both networks: {field_meaning(name, field)}"
            rows.append([f"`{word}`", default_text(field), text])
        second = any(name in fields for fields in KEYS_FOR_BOTH.values())
        text = (
            f"the same for the {name.split('_')[0]} alone" if second else field_meaning(name, field)
        )
        rows.append([f"`{name}`", default_text(field), text])
    return table(["field", "default", "what it is"], rows)


def blocks_table() -> str:
    """All keys of a space file."""
    rows = []
    for name, field in SpaceFile.model_fields.items():
        inner = field.annotation
        if inspect.isclass(inner) and issubclass(inner, BaseModel):
            for key, value in inner.model_fields.items():
                text = described_key(key, value)
                rows.append([f"`{name}.{key}`", default_text(value), text])
        else:
            rows.append([f"`{name}`", default_text(field), prose(field.description or "")])
    return table(["key", "default", "what it is"], rows)


def described_key(key: str, field: FieldInfo) -> str:
    """A key of a block beside the trial: its description, and the parts that may stand there."""
    if key not in ("sampler", "scheduler"):
        return described(field)
    names = ", ".join(f"`{part}`" for part in catalogue().parts[key])
    return f"{field.description}: [{key}]({SECTIONS[key]}), {names}"


# ---------------------------------------------------------------- commands


def commands_text() -> str:
    """Each command as its own help has it."""
    commands: Mapping[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return "\n\n".join(command_text(name, command) for name, command in commands.items())


def command_text(name: str, command: Any) -> str:
    """A command of Typer's: how it is called, what it does, an example, its options."""
    arguments = [p.metavar for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    told, _, example = command.help.partition("\b\nExample:\n")
    blocks = [f"### {name}", f"`{' '.join(['gan-tune', name, *arguments])}`", told.strip()]
    blocks += [f"```bash\n{inspect.cleandoc(example)}\n```"] if example else []
    rows = [[option_names(option), option_meaning(option)] for option in options]
    blocks += [table(["option", "what it does"], rows)] if rows else []
    return "\n\n".join(blocks)


def option_names(option: Any) -> str:
    """An option as it is typed."""
    value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    names = [*option.opts, *option.secondary_opts]
    return ", ".join(f"`{each}{value}`" for each in names)


def option_meaning(option: Any) -> str:
    """An option's help with its default."""
    if option.secondary_opts:
        default = (option.opts if option.default else option.secondary_opts)[0]
    elif option.is_flag or option.default is None or option.required:
        return prose(option.help)
    else:
        default = option.default
    return prose(f"{option.help} Default: ``{default}``.")


# ---------------------------------------------------------------- for programs


def exit_codes_table() -> str:
    """All exit codes."""
    return table(["exit code", "when"], [[f"`{code.value}`", code.meaning] for code in ExitCode])


def documents_text() -> str:
    """What `--json` of each command prints."""
    blocks = []
    for command, shape in DOCUMENTS.items():
        blocks += [f"### gan-tune {command} --json", *shape_blocks(shape)]
    return "\n\n".join(blocks)


def events_text() -> str:
    """What `search --json` prints, event by event."""
    blocks = []
    for shape in EVENTS:
        blocks += [f"### {shape.model_fields['event'].default}", *shape_blocks(shape)]
    return "\n\n".join(blocks)


def shape_blocks(shape: type[BaseModel]) -> list[str]:
    """An object's meaning and its keys, with those of the objects in it."""
    schema = shape.model_json_schema()
    blocks = [prose(inspect.getdoc(shape) or ""), keys_table(schema)]
    for name, inner in schema.get("$defs", {}).items():
        blocks += [f"{name}: {prose(inner['description'])}", keys_table(inner)]
    return blocks


def keys_table(schema: Mapping[str, Any]) -> str:
    """The keys of an object."""
    rows = [
        [f"`{key}`", json_type(value), prose(value.get("description", ""))]
        for key, value in schema["properties"].items()
    ]
    return table(["key", "type", "what it is"], rows)


def json_type(schema: Mapping[str, Any]) -> str:
    """The type of a value, in a few words."""
    if "anyOf" in schema:
        return " or ".join(map(json_type, schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {json_type(schema['items'])}"
    inner = schema.get("additionalProperties")
    if isinstance(inner, Mapping):
        return f"object of {json_type(inner)}"
    return str(schema.get("type", "any"))


# ---------------------------------------------------------------- pages

TABLES: Mapping[str, Callable[[], str]] = {
    **{kind: partial(parts_table, kind) for kind in PARTS},
    "refused": partial(rules_table, "refused", (*INCOMPATIBILITIES, *SEARCH_REFUSALS)),
    "advised": partial(rules_table, "advised against", (*ADVICE, *SEARCH_ADVICE)),
    "metrics": metrics_table,
    "fields": fields_table,
    "blocks": blocks_table,
    "commands": commands_text,
    "exit_codes": exit_codes_table,
    "documents": documents_text,
    "events": events_text,
}
"""Name of a table → what writes it."""

MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(page: str) -> str:
    """A page with all its tables written anew."""
    return MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", page)


def stale_pages(*, rewrite: bool) -> list[Path]:
    """The pages whose tables are not those of the code; with ``rewrite`` they are mended."""
    stale = []
    for path in sorted(DOCS.rglob("*.md")):
        page = path.read_text()
        if written(page) != page:
            stale.append(path)
            if rewrite:
                path.write_text(written(page))
    return stale


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Write the tables of the reference.")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a page is stale")
    check = parser.parse_args().check
    stale = stale_pages(rewrite=not check)
    for path in stale:
        print(f"{'stale' if check else 'rewritten'}: docs/{path.relative_to(DOCS)}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
