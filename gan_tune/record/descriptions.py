"""The descriptions of runs in MLflow, in Markdown; its pages show them first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gan_tune.record.pages import charts_page, file_of, run_page, table_page
from gan_tune.record.spool import SearchEnding, SearchEntry
from gan_tune.record.trial_state import TrialState
from gan_tune.storage.places import CHAMPION_PICTURE, REPORT
from gan_tune.words.outcomes import OUTCOMES
from gan_tune.words.readable import counted, number, plural, short_form
from gan_tune.words.wording import first_line

__all__ = ["in_table", "search_description", "trial_description"]

SHOWN_ROWS = 10
"""Lines of the leaderboard in the description; the table of trials has them all."""


def search_description(
    entry: SearchEntry,
    ending: SearchEnding | None,
    *,
    experiment_id: str,
    run_id: str,
    aside: Iterable[object] = (),
) -> str:
    """Goal, champion, leaderboard and what to do with them; while it runs, the goal alone.

    ``aside`` are the nodes that were put aside, as text.
    """
    links = [
        f"[All trials]({table_page(experiment_id, run_id)})",
        f"[Charts]({charts_page(experiment_id, run_id)})",
    ]
    if ending is not None and REPORT in ending.files:
        page = run_page(experiment_id, run_id, f"artifacts/{REPORT}")
        links.append(f"[Report]({page})")
    parts = [_goal(entry, ending), " · ".join(links)]
    parts += [f"Node put aside: {_code(node)}" for node in aside]
    if ending is not None:
        parts += _champion(entry, ending, run_id)
        parts += _leaderboard(entry, ending.leaderboard)
        parts += _usage(entry, ending)
    return "\n\n".join(parts) + "\n"


def trial_description(state: TrialState, *, metric: str, searched: Mapping[str, str]) -> str:
    """A trial in one line: its settings, its outcome, and why it ended; empty while it runs."""
    ending = state.ending
    if ending is None:
        return ""
    steps = f"{plural(ending.step, 'step')}"
    parts = [f"**{ending.outcome}** after {steps} ({OUTCOMES[ending.outcome].reason})"]
    if ending.value is not None:
        parts.append(f"best {metric} {number(ending.value)}")
    if ending.symptoms:
        parts.append(f"symptoms: {', '.join(ending.symptoms)}")
    if ending.error and (error := first_line(ending.error)):
        parts.append(_code(error))
    params = state.described.params
    decided = {name: params[key] for name, key in searched.items() if key in params}
    if settings := short_form(_taken(decided)):
        parts.append(_code(settings))
    return " · ".join(parts)


def in_table(rows: Iterable[Sequence[object]], header: Sequence[str]) -> str:
    """Rows as a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _goal(entry: SearchEntry, ending: SearchEnding | None) -> str:
    aim = "lowest" if entry.mode == "min" else "highest"
    data = ""
    if entry.dataset is not None:
        sizes = [f"{split} {entry.dataset.profile[split]:,}" for split in _splits(entry)]
        data = f" on **{entry.dataset.name}**" + (f" ({', '.join(sizes)})" if sizes else "")
    goal = f"Search for the {aim} `{entry.metric}`{data}."
    if ending is None or not ending.leaderboard:
        return goal
    outcomes = Counter(str(row.get("outcome") or "interrupted") for row in ending.leaderboard)
    state = "" if ending.outcome == "completed" else f" It is {ending.outcome}."
    return f"{goal} {plural(len(ending.leaderboard), 'setting')}: {counted(outcomes)}.{state}"


def _splits(entry: SearchEntry) -> Iterator[str]:
    profile = entry.dataset.profile if entry.dataset else {}
    return (s for s in ("train", "selection", "test") if isinstance(profile.get(s), int))


def _champion(entry: SearchEntry, ending: SearchEnding, run_id: str) -> Iterator[str]:
    champion = ending.champion
    if champion.trial is None:
        return
    mean = _mean(champion.mean, champion.spread, champion.seeds)
    yield f"### Best trial: `{champion.trial}`, {entry.metric} {mean}"
    if CHAMPION_PICTURE in ending.files:
        yield f"![Samples of the best trial]({file_of(run_id, CHAMPION_PICTURE)})"
    rows = (row for row in ending.leaderboard if row.get("setting") == champion.setting)
    if decided := _decided(entry, next(rows, {})):
        yield in_table(
            ((_code(name), _code(_value(value))) for name, value in decided.items()),
            ("setting", "value"),
        )


def _mean(mean: float | None, spread: float | None, seeds: int | None) -> str:
    """`3.21 ± 0.12 (3 fresh seeds)`."""
    if mean is None:
        return "-"
    deviation = f" ± {number(spread)}" if spread is not None else ""
    return f"{number(mean)}{deviation}" + (f" ({plural(seeds, 'fresh seed')})" if seeds else "")


def _leaderboard(entry: SearchEntry, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    confirmed = any(row.get("mean") is not None for row in rows)
    header = ["", "setting", "outcome", f"best {entry.metric}"]
    header += ["fresh seeds"] if confirmed else []
    lines = []
    for place, row in enumerate(rows[:SHOWN_ROWS], 1):
        outcome = row.get("outcome") or "interrupted"
        line = [place, row.get("setting", "-"), outcome, number(row.get("value"))]
        line += [_mean(row.get("mean"), row.get("spread"), row.get("seeds"))] if confirmed else []
        lines.append([*line, _code(short_form(_decided(entry, row)))])
    yield "### Leaderboard"
    yield in_table(lines, [*header, "settings"])


def _usage(entry: SearchEntry, ending: SearchEnding) -> Iterator[str]:
    model = ending.champion.model
    if not model:
        return
    yield "### Use it"
    yield (
        "```bash\n"
        f"gan-tune generate {model} -n 64 --out samples.png\n"
        f"gan-tune serve {model}\n"
        f"gan-tune report {entry.search}\n"
        "```"
    )


def _decided(entry: SearchEntry, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row of the leaderboard decided, by dimension."""
    return {name: row[name] for name in entry.searched if row.get(name) is not None}


def _taken(decided: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is below an option that a trial did not take: its param has another's value."""
    taken: dict[str, Any] = {}
    for name, value in decided.items():
        above = [other for other in decided if name.startswith(f"{other}.")]
        if all(name.startswith(f"{other}.{decided[other]}.") for other in above):
            taken[name] = value
    return taken


def _value(value: object) -> str:
    if isinstance(value, float):
        return number(value)
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _code(text: object) -> str:
    """As code, so that no character of it is Markdown."""
    return f"`{str(text).replace('`', chr(39))}`" if str(text) else ""


def _cell(cell: object) -> str:
    return str(cell).replace("|", "\\|").replace("\n", " ")
