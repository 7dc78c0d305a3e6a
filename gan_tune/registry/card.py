"""The model card of a registered version: its description in MLflow, in Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from gan_tune.record.descriptions import in_table
from gan_tune.record.pages import model_file, run_page
from gan_tune.record.tags import Tag
from gan_tune.registry.candidate import CardDetails
from gan_tune.registry.promotion import Measured
from gan_tune.storage.places import REGISTRATION
from gan_tune.words.readable import number, plural

__all__ = ["CURVE_PICTURE", "Origin", "figures_of", "model_card", "value_name"]

Origin = tuple[str, str]
"""The experiment and the run from which a version comes."""

PICTURE = "extra_files/champion.png"
CURVE_PICTURE = "curve.png"
"""A model's file with the curves of its seeds."""

LONGEST = 5000
"""Characters; more than these MLflow's tables do not take, of which SQLite's alone are lenient."""
ALL_OF_IT = f"`{REGISTRATION}` in the search's folder has all of it."


def model_card(
    name: str,
    version: int,
    tags: Mapping[str, str],
    details: CardDetails,
    *,
    origin: Origin | None = None,
) -> str:
    """What a version was trained on and how, how good it is, its limits, and how to use it.

    A card of more than :data:`LONGEST` characters is cut: its tables to their first rows, and what
    is too long all the same at its end.

    Args:
        name: of the model.
        version: its number.
        tags: of the version.
        details: what it tells beside them.
        origin: of the version.
    """
    measured = Measured.from_tags(name, version, tags)
    card, rows = "", max(len(details.settings), len(details.by_seed))
    for most in range(rows, -1, -1):
        parts = [
            *_head(name, version, tags, details, origin),
            *_data(details),
            *_settings(details, most),
            *_figures(measured, tags, details),
            *_seeds(name, version, tags, details, most),
            *_limits(measured, tags, details),
            *_usage(name, version),
        ]
        card = "\n\n".join(parts) + "\n"
        if len(card) <= LONGEST:
            return card
    end = f"\n\n… {ALL_OF_IT}\n"
    return card[: LONGEST - len(end)].rpartition("\n\n")[0] + end


def figures_of(tags: Mapping[str, str]) -> dict[str, float]:
    """The figures in a version's tags, by name: of the test split, and of the examination.

    A tag that is no number is left out.
    """
    found = {}
    for key, text in sorted(tags.items()):
        figure = key.removeprefix(Tag.PREFIX)
        if key.startswith(Tag.PREFIX) and figure.startswith(("test.", "champion.")):
            with suppress(ValueError):  # others may write to the record
                found[figure] = float(text)
    return found


def value_name(measured: Measured, tags: Mapping[str, str]) -> str:
    """What a version's value is: `recall (max), selection split, mean of 3 fresh seeds`."""
    seeds = measured.confirmed_seeds
    how = f"mean of {plural(seeds, 'fresh seed')}" if seeds else "not confirmed"
    metric, mode = tags.get(Tag.OBJECTIVE, "objective"), tags.get(Tag.MODE, "-")
    return f"{metric} ({mode}), selection split, {how}"


def _head(
    name: str,
    version: int,
    tags: Mapping[str, str],
    details: CardDetails,
    origin: Origin | None,
) -> Iterator[str]:
    yield f"A generator of {tags.get(Tag.KIND_OF_DATA, 'samples')}, found by gan-tune."
    if origin is not None and Tag.SEARCH in tags:
        yield (
            f"[The trial's run: settings, curves, pictures]({run_page(*origin)}) · search "
            f"`{tags[Tag.SEARCH]}`, trial `{tags.get(Tag.TRIAL, '-')}`"
        )
    if details.has_picture:
        yield f"![Samples]({model_file(name, version, PICTURE)})"


def _data(details: CardDetails) -> Iterator[str]:
    data = details.data
    if data is not None:
        sizes = ", ".join(f"{split} {count:,}" for split, count in data.splits.items())
        yield "### Data"
        yield f"`{data.name}` ({sizes}). Digest `{data.digest}`."


def _settings(details: CardDetails, most: int) -> Iterator[str]:
    if details.settings:
        yield "### What the search decided"
        rows = [(f"`{key}`", f"`{_text(value)}`") for key, value in details.settings.items()]
        yield from _first(most, rows, ("setting", "value"))


def _figures(measured: Measured, tags: Mapping[str, str], details: CardDetails) -> Iterator[str]:
    floors, figures, rows = details.floors, figures_of(tags), []
    if measured.value is not None:
        spread, value = details.spread, number(measured.value)
        value += f" ± {number(spread)}" if spread is not None else ""
        floor = floors.get(tags.get(Tag.OBJECTIVE, ""))
        rows.append((value_name(measured, tags), value, _floor(floor)))
    for figure, found in figures.items():
        rows.append((figure, number(found), _floor(_test_floor(figures, figure))))
    if rows:
        yield "### Figures"
        yield in_table(rows, ("figure", "value", "real against real"))


def _seeds(
    name: str, version: int, tags: Mapping[str, str], details: CardDetails, most: int
) -> Iterator[str]:
    """What each seed came to, and how. Absent from requests of older versions."""
    if details.by_seed:
        own = tags.get(Tag.TRIAL)
        yield "### Each seed"
        rows = [
            (
                f"`{one.trial}`{' (this one)' if one.trial == own else ''}",
                one.seed,
                f"{one.steps:,}",
                number(one.value),
            )
            for one in details.by_seed
        ]
        best = f"best {tags.get(Tag.OBJECTIVE, 'value')}, selection split"
        yield from _first(most, rows, ("trial", "seed", "steps", best))
    if details.has_curve:
        yield f"![Values by step]({model_file(name, version, f'extra_files/{CURVE_PICTURE}')})"


def _first(most: int, rows: Sequence[Sequence[object]], header: Sequence[str]) -> Iterator[str]:
    """The first rows as a table, and how many are left out."""
    if most:
        yield in_table(rows[:most], header)
    if len(rows) > most:
        yield f"{plural(len(rows) - most, 'row')} left out here: {ALL_OF_IT}"


def _test_floor(figures: Mapping[str, float], figure: str) -> float | None:
    """The same figure of real data, if it is one of the test split and that is known."""
    found = re.fullmatch(r"test\.(?:mean\.|first\.|beside_first\.)?(.+)", figure)
    return figures.get(f"test.floor.{found[1]}") if found else None


def _floor(found: float | None) -> str:
    return "" if found is None else number(found)


def _limits(measured: Measured, tags: Mapping[str, str], details: CardDetails) -> Iterator[str]:
    yield "### Limits"
    lines = [
        "It draws what its training data are like, and nothing else; what is rare there may be "
        "missing.",
        "The figures hold for these data, this split and this version of the metric. They are "
        f"comparable only with those of `{tags.get(Tag.COMPARABLE, 'the same measure')}`.",
        *details.faults,
    ]
    if measured.value is not None and not measured.confirmed_seeds:
        lines.append("Its value is of one training run, which chose it: expect a worse one.")
    yield "\n".join(f"- {line}" for line in lines)


def _usage(name: str, version: int) -> Iterator[str]:
    yield "### Use it"
    yield f"```bash\ngan-tune generate {name}/{version} -n 64 --seed 0 --out samples.png\n```"
    yield (
        "```python\nfrom gan_tune import load_generator\n\n"
        f'generator = load_generator("{name}/{version}")\n'
        "samples = generator.sample(64, seed=0)\n```"
    )
    yield (
        f"```bash\ngan-tune serve {name}/{version}\n"
        'curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\\n'
        '  -d \'{"n": 16, "format": "png"}\' http://127.0.0.1:8000/v1/samples -o samples.png\n```'
    )


def _text(value: object) -> str:
    if isinstance(value, float):
        return number(value)
    return value if isinstance(value, str) else json.dumps(value, default=str)
