"""What a search looks like while it runs, on a terminal and elsewhere."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from gan_tune import service
from gan_tune.cli.printing.tables import leaderboard_table
from gan_tune.cli.printing.verdict import verdict, what_mattered
from gan_tune.searching.jobs import Job, Setting
from gan_tune.searching.rules.confirmation import Confirmation
from gan_tune.searching.study.leaderboard_row import Row
from gan_tune.service import ChampionFigures
from gan_tune.storage.patience import Patience
from gan_tune.storage.trial_name import Kind
from gan_tune.storage.trial_records import Ending, Result
from gan_tune.watching import search_watcher
from gan_tune.watching.live_view import LiveView
from gan_tune.watching.plain_lines import PlainLines
from gan_tune.words.outcomes import Outcome
from gan_tune.words.readable import clock, counted, number, short_form

ESCAPE = "\x1b"
CHANGES = {
    "loss": "hinge",
    "generator_optimizer": "adam",
    "generator_optimizer.adam.lr": 0.0002,
    "generator_optimizer.adam.beta1": 0.5,
    "gradient_clip": "none",
    "ema": 0.99,
}
BUDGET = ["budget.trials=8", "budget.steps=2000", "budget.minutes=4", "confirm.seeds=2"]


class FakeStudy:
    """Settings 0 and 1 are done, 2 has diverged, 3 runs."""

    def __init__(self) -> None:
        self.readings = 0
        self.last: Outcome | None = None

    def settings(self) -> list[Setting]:
        self.readings += 1
        return [
            Setting(0, "completed", 40.0, 1000),
            Setting(1, "pruned", 30.5, 300),
            Setting(2, "diverged", 1.0, 100),
            Setting(3, self.last, 20.25, 500),
        ]

    def assignment(self, setting: int) -> dict[str, Any]:
        return CHANGES


class FakeConductor:
    """As much of a conductor as a watcher sees."""

    def __init__(self) -> None:
        self.space = service.load_space("digits", BUDGET)
        self.study = FakeStudy()
        self.storage = SimpleNamespace(
            uri="file:///runs/night", patience=Patience(0, "the storage")
        )
        self.confirmation = Confirmation(seeds=2, mode="min")
        self.stop_requested, self.slots = False, 2
        self.seconds_used, self.seconds_left = 75.0, 165.0

    @property
    def config(self) -> Any:
        return service.first_setting(self.space)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def conductor() -> FakeConductor:
    return FakeConductor()


@pytest.fixture
def now() -> Clock:
    return Clock()


def job(conductor: FakeConductor, setting: int, replicate: int = 0) -> Job:
    name = f"{setting:04}" + (f"-confirm-{replicate}" if replicate else "")
    kind: Kind = "confirmation" if replicate else "search"
    return Job(name, setting, replicate, conductor.config, kind=kind)


def result(step: int, value: float) -> Result:
    return Result(step, {}, value, value, None, 0)


def terminal(width: int) -> Console:
    return Console(
        file=io.StringIO(), width=width, height=40, force_terminal=True, markup=False, emoji=False
    )


def shown(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def picture(view: LiveView, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(view.render())
    return shown(console).splitlines()


# ---------------------------------------------------------------- figures


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00:00"), (3725.9, "1:02:05"), (-3, "0:00:00"), (360000, "100:00:00")],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (12.3456, "12.35"), (0.00012345, "0.0001234"), (3e9, "3e+09")]
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


def test_counts_are_in_one_order_and_without_zeros() -> None:
    assert counted({"running": 2, "failed": 0, "completed": 1}) == "completed 1, running 2"
    assert counted({}) == "none yet"


def test_a_setting_in_short_form() -> None:
    assert short_form(CHANGES) == "loss=hinge G=adam(lr=0.0002 beta1=0.5) ema=0.99"


def test_short_form_of_lists_and_user_labels() -> None:
    decided = {
        "generator.hidden": "#1",
        "generator.hidden.#1.0": 64,
        "penalties.0": "r1",
        "penalties.0.r1.weight": 2.0,
        "discriminator_gradient_clip": "norm",
        "patience": 0,
    }
    assert short_form(decided) == "G.hidden=#1(0=64) penalty=r1(weight=2) D_clip=norm patience=0"


# ---------------------------------------------------------------- the live view


@pytest.mark.parametrize("width", [80, 100])
def test_the_view_fits_its_width_and_tells_all(
    conductor: FakeConductor, now: Clock, width: int
) -> None:
    with LiveView(terminal(width), now=now) as view:
        conductor.slots = 1
        view.begin(conductor, 1, 3)  # type: ignore[arg-type]
        view.trial_started(job(conductor, 3), resumed=True)
        view.trial_started(job(conductor, 4), resumed=False)
        view.trial_reported(job(conductor, 3), result(500, 20.25), None)
        lines = picture(view, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert lines[0].startswith("night  frechet_distance (min) on digits, 2,000 steps a trial, 1 at")
    assert "0:01:15 elapsed, 0:02:45 left" in text
    assert "gan-tune ui" in text
    assert "3/8" in text
    assert "completed 1, pruned 1, diverged 1, running 1, waiting 1" in text
    running = next(line for line in lines if "500/2,000" in line)
    assert running.split()[:4] == ["0003", "500/2,000", "20.25", "20.25"]
    best = [line.split()[0] for line in lines if " loss=hinge" in line][1:]
    assert best == ["0003", "0001", "0000"]  # what diverged is not among them
    assert "ending" not in text


def test_confirmation_has_a_bar_of_its_own(conductor: FakeConductor, now: Clock) -> None:
    with LiveView(terminal(100), now=now) as view:
        view.begin(conductor, 2, 0)  # type: ignore[arg-type]
        conductor.confirmation.consider([0])
        conductor.confirmation.record(0, 1, 41.0)
        now.seconds += 2
        lines = picture(view, 100)
    assert any(line.startswith("confirmation") and line.endswith("1/2") for line in lines)
    assert any("40" in line and "41" in line for line in lines)


def test_a_search_that_is_asked_to_end_says_so_at_once(
    conductor: FakeConductor, now: Clock
) -> None:
    console = terminal(100)
    with LiveView(console, now=now) as view:
        view.begin(conductor, 2, 0)  # type: ignore[arg-type]
        view.trial_started(job(conductor, 3), resumed=False)
        conductor.stop_requested = True
        view.tick()
        assert "ending: waiting for 1 trial (Ctrl-C again to leave at once)" in shown(console)
        assert picture(view, 100)[-1].startswith("ending")  # ^C appears below, not in the tables
        view.end()


def test_the_study_is_read_once_a_second_and_the_view_drawn_four_times(
    conductor: FakeConductor, now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    render = LiveView.render
    monkeypatch.setattr(LiveView, "render", lambda view: drawn.append(1) or render(view))
    with LiveView(terminal(100), now=now) as view:
        view.begin(conductor, 2, 0)  # type: ignore[arg-type]
        view.trial_started(job(conductor, 3), resumed=False)
        for _ in range(1000):  # ten seconds
            now.seconds += 0.01
            view.tick()
    assert conductor.study.readings <= 11
    assert len(drawn) <= 41


def test_the_cursor_stays_since_a_second_interrupt_cannot_bring_it_back(
    conductor: FakeConductor,
) -> None:
    console = terminal(100)
    with LiveView(console) as view:
        view.begin(conductor, 2, 0)  # type: ignore[arg-type]
        assert shown(console).rfind("?25h") > shown(console).rfind("?25l")


def test_the_terminal_is_left_in_order_after_an_error(conductor: FakeConductor) -> None:
    console = terminal(100)

    def broken() -> None:
        with LiveView(console) as view:
            view.stage("starting Ray")
            view.begin(conductor, 2, 0)  # type: ignore[arg-type]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    console.print("after")
    assert shown(console).endswith("after\n")
    assert shown(console).rfind("?25h") > shown(console).rfind("?25l")


# ---------------------------------------------------------------- plain lines


def plain_lines(conductor: FakeConductor) -> list[str]:
    stream = io.StringIO()
    with PlainLines(stream) as log:
        log.stage("starting Ray")
        log.begin(conductor, 2, 0)  # type: ignore[arg-type]
        first, second = job(conductor, 3), job(conductor, 0, replicate=1)
        log.trial_started(first, resumed=False)
        log.trial_reported(first, result(1000, 19.5), None)
        log.tick()
        conductor.study.last = "completed"
        log.trial_ended(first, Ending("completed", 19.5, 1000))
        log.trial_started(second, resumed=False)
        log.trial_ended(second, Ending("failed", None, 0, "ValueError: no"))
        conductor.stop_requested = True
        log.tick()
        log.tick()
        log.end()
    assert ESCAPE not in stream.getvalue()
    return stream.getvalue().splitlines()


def test_plain_lines(conductor: FakeConductor) -> None:
    assert plain_lines(conductor) == [
        "starting Ray",
        "0:01:15 search night begins: 8 settings of 2,000 steps in 4 min, 2 at a time",
        "0:01:15 trial 0003 completed at step 1,000: frechet_distance 19.5 (best 19.5) [4/8]",
        "0:01:15 confirmation begins: the best settings with fresh seeds",
        "0:01:15 trial 0000-confirm-1 failed at step 0: ValueError: no",
        "0:01:15 ending: waiting for 0 trials (Ctrl-C again to leave at once)",
    ]


def test_a_note_stays_where_a_stage_goes(now: Clock) -> None:
    text = f"warm start: 31 trials of [digits], {'a-long-name, ' * 9}: 24 used"
    stream, console = io.StringIO(), terminal(60)
    with PlainLines(stream) as log, LiveView(console, now=now) as view:
        for watcher in (log, view):
            watcher.stage("loading")
            watcher.note(text)
    assert stream.getvalue().splitlines() == ["loading", text]
    assert isinstance(console.file, io.StringIO)
    assert f"{text}\n" in console.file.getvalue()


def test_plain_lines_where_output_is_no_terminal() -> None:
    # Even where colours are forced on a pipe.
    assert isinstance(search_watcher(Console(force_terminal=True)), PlainLines)


# ---------------------------------------------------------------- the end


def row(setting: int, **changes: Any) -> Row:
    plain = {
        "setting": setting,
        "outcome": "completed",
        "value": 20.0,
        "mean": None,
        "spread": None,
        "seeds": 0,
        "steps": 1000,
        "changes": CHANGES,
    }
    return Row.from_json(plain | changes)


def test_the_leaderboard_shows_the_ten_best() -> None:
    rows = [row(7, mean=10.0, spread=1.25, seeds=3), row(0, outcome=None), *[row(1)] * 20]
    console = Console(file=io.StringIO(), width=80)
    console.print(leaderboard_table(rows, "frechet_distance"))
    text = shown(console)
    assert "10 ± 1.25 (3)" in text
    assert "interrupted" in text
    assert text.count("loss=hinge") == 10
    assert max(map(len, text.splitlines())) <= 80


def champion(setting: int) -> ChampionFigures:
    return ChampionFigures(f"{setting:04}", setting, 10.0, None, 1, True, {})


def found(**changes: Any) -> service.SearchResult:
    fields: dict[str, Any] = {
        "name": "digits",
        "finished": True,
        "metric": "fd",
        "mode": "min",
        "most_trials": 3,
        "minutes": None,
        "outcomes": {"completed": 2},
        "rows": [],
        "champion": champion(2),
        "first_mean": 40.0,
        "test": {"test.fd": 11.0, "test.mean.fd": 10.0, "test.first.fd": 40.0, "test.floor.fd": 2},
        "model": "digits",
        "model_version": 2,
        "promoted": False,
        "model_note": "version 1 stays champion",
        "grid": "/runs/champion.png",
        "tracking_uri": "sqlite:////mlflow.db",
        "experiment": "digits",
        "run_id": None,
        "seconds": 12.0,
        "space_digest": "0",
    }
    return service.SearchResult(**fields | changes)


def test_the_verdict_tells_the_gain_with_both_figures() -> None:
    assert list(verdict(found())) == [
        "test split: fd 10; the first setting has 40 (ratio 0.25, less is better)",
        "for comparison, real samples against real samples: 2",
        "samples: /runs/champion.png",
        "registered: digits/2, not the champion (version 1 stays champion)",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"champion": None}, "no champion: no trial completed with a finite value"),
        ({"champion": champion(0)}, "the first setting is the champion: the search found"),
        ({"test": {"test.fd": 11.0}}, "test split: fd 11"),
    ],
)
def test_the_verdict_without_a_gain(changes: dict[str, Any], line: str) -> None:
    assert next(iter(verdict(found(**changes)))).startswith(line)


def test_an_interrupted_search_has_no_verdict() -> None:
    assert list(verdict(found(finished=False, champion=None))) == []


def test_what_mattered_are_the_first_three() -> None:
    shares = {"generator_optimizer.adam.lr": 0.5, "loss": 0.375, "ema": 0.09, "idle": 0.035}
    told = {"step": 1400, "settings": 23, "left_out": 1, "shares": shares}
    assert list(what_mattered(told)) == [
        "what mattered (PED-ANOVA: share in reaching the best quarter; 23 settings at step 1,400):",
        "   50%  generator_optimizer.adam.lr",
        "   38%  loss",
        "    9%  ema",
    ]


@pytest.mark.parametrize("told", [{}, {"step": 400, "settings": 12, "left_out": 0, "shares": {}}])
def test_nothing_is_said_of_what_mattered_with_too_few_settings(told: dict[str, Any]) -> None:
    assert list(what_mattered(told)) == []
