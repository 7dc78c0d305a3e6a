"""The command line as a user meets it: what it prints, writes, refuses, and how it exits."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import torch
import typer
import yaml
from cpu_time import cpu_seconds
from mlflow import MlflowClient
from PIL import Image
from written_search import WrittenSearch

from gan_tune import __version__, cli, service
from gan_tune.cli.documents import DOCUMENTS
from gan_tune.errors import StudyError
from gan_tune.registry.publish import register_champion
from gan_tune.storage.holder import this_process
from gan_tune.storage.lease import hold
from gan_tune.storage.places import look_in
from gan_tune.storage.trial_folder import CHECKPOINT as WEIGHTS

ROOT = Path(__file__).parents[1]
COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
HEAVY = ("torch", "ray", "mlflow", "optuna", "rich", "numpy", "pydantic", "gan_tune.service.search")
SMALL = ["trials=3", "steps=60", "evaluations=3", "minutes=30"]  # as long as it takes
SEARCH = ["search", "digits", *[w for s in SMALL for w in ("--set", f"budget.{s}")]]
SEARCH += ["--set", "confirm.seeds=1", "--set", "confirm.top=1"]


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["gan-tune", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Ran(ended.value.code or 0, captured.out, captured.err)  # type: ignore[arg-type]

    return call


def process(*words: str, folder: Path, **changes: str) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    outer = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS")}
    return subprocess.Popen(
        [sys.executable, "-m", "gan_tune.cli", *words],
        cwd=folder,
        env=outer | {"PYTHONPATH": str(ROOT)} | changes,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass(frozen=True)
class Searched:
    """A finished search: its folder, what it printed, and the options that find it."""

    folder: Path
    out: str
    err: str

    @property
    def storage(self) -> list[str]:
        return ["--storage", str(self.folder / "gan_tune_runs")]

    @property
    def record(self) -> list[str]:
        return ["--tracking-uri", f"sqlite:///{self.folder}/mlflow.db"]

    @property
    def both(self) -> list[str]:
        return [*self.storage, *self.record]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """A tiny real search, run by the command line."""
    folder = tmp_path_factory.mktemp("searched")
    command = process(*SEARCH, folder=folder)
    out, err = command.communicate(timeout=240)
    assert command.returncode == 0, out + err
    return Searched(folder, out, err)


@pytest.fixture(scope="module")
def dots(searched: Searched) -> str:
    """A registered generator of points."""
    record = searched.record[1]
    module = torch.nn.Linear(2, 2)
    register_champion(
        module,
        latent=2,
        model="dots",
        run_id=None,
        value=1.0,
        mode="min",
        comparable="",
        uri=record,
    )
    return "dots"


@pytest.fixture
def space_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes the shipped digits space with other values."""

    def write(name: str = "mine.yaml", **changes: Any) -> Path:
        tree = yaml.safe_load((ROOT / "search_spaces" / "digits.yaml").read_text())
        path = tmp_path / name
        path.write_text(yaml.safe_dump(tree | changes))
        return path

    return write


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


def nothing_in(folder: Path) -> bool:
    return not list(folder.iterdir())


# ---------------------------------------------------------------- help


def test_help_is_quick_and_loads_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; sys.argv = ['gan-tune', '--help']\n"
        "from gan_tune.cli import main\n"
        "try: main()\n"
        f"finally: print('loaded', [n for n in {HEAVY!r} if n in sys.modules])"
    )
    printed = tmp_path / "printed"
    with printed.open("w") as file:
        seconds = cpu_seconds(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=file,
        )
    assert printed.read_text().endswith("loaded []\n")
    assert seconds < 0.5


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches(name: str, run: Run) -> None:
    ran = run(name, "--help")
    assert ran.code == 0
    assert f"  gan-tune {name}" in ran.out.partition("Example:")[2]
    assert all(parameter.help for parameter in COMMANDS[name].params if parameter.name != "help")


def test_the_list_of_commands_is_whole(run: Run) -> None:
    out = run("--help").out
    assert all(f"\n  {name} " in out for name in COMMANDS)
    assert "..." not in out.partition("Commands:")[2]


def test_version(run: Run) -> None:
    assert run("--version") == Ran(0, f"gan-tune {__version__}\n", "")


def test_no_command_shows_the_help(run: Run) -> None:
    ran = run()
    assert (ran.code, ran.err) == (0, "")
    assert "Commands:" in ran.out


# ---------------------------------------------------------------- bad input


BAD = {
    "no such command": (["serch"], "No such command 'serch'"),
    "no such option": (["search", "digits", "--trails", "3"], "--trails"),
    "missing argument": (["search"], "SPACE"),
    "missing option": (["generate", "digits"], "--out"),
    "a word for a number": (["search", "digits", "--trials", "many"], "--trials"),
    "no concurrency": (["search", "digits", "--max-concurrent", "0"], "--max-concurrent"),
    "unknown space": (["search", "digit"], "did you mean 'digits'?"),
    "no such file": (["search", "nowhere.yaml"], "nowhere.yaml: no such file"),
    "no trials": (["search", "digits", "--trials", "0"], "budget.trials: must be at least 1: 0"),
    "no time": (["search", "digits", "--minutes", "0"], "budget.minutes: must be above 0"),
    "time that is none": (["search", "digits", "--minutes", "nan"], "budget.minutes"),
    "bad seed": (["search", "digits", "--seed", "-1"], "search.seed: must be at least 0: -1"),
    "a name that leads away": (["search", "digits", "--name", "../x"], "name: must be letters"),
    "a model's name": (["search", "digits", "--model", "a/b"], "model: must be letters"),
    "no tracking store": (["search", "digits", "--tracking-uri", "runs"], "no tracking URI"),
    "no record to start from": (
        ["search", "digits", "--warm-start", "digits"],
        "mlflow.db: no such file; check --tracking-uri",
    ),
    "bad set": (["show", "digits", "--set", "trial.los=hinge"], "did you mean 'loss'?"),
    "set without value": (["train", "digits", "--set", "budget.steps"], "must be PATH=VALUE"),
    "unknown setting": (["train", "digits", "--setting", "los=hinge"], "did you mean 'loss'?"),
    "no such device": (["train", "digits", "--device", "foo"], "--device foo: "),
    "no such device for auto": (
        ["train", "digits", "--device", "foo", "--set", "trial.precision=auto"],
        "--device foo: ",
    ),
    "a device that hands nothing back": (
        ["train", "digits", "--device", "meta", "--set", "trial.precision=auto"],
        "--device meta: ",
    ),
    "setting without value": (["train", "digits", "--setting", "loss"], "must be NAME=VALUE"),
    "setting off the range": (["train", "digits", "--setting", "ema=0.5"], "must be one of 0.0"),
    "setting in vain": (
        ["train", "digits", "--setting", "generator_optimizer.rmsprop.lr=1e-3"],
        "is there only where generator_optimizer = rmsprop",
    ),
    "nothing to train": (["train"], "give a SPACE"),
    "two things to train": (["train", "digits", "--resume", "x"], "--resume reads its folder"),
    "nothing to resume": (["train", "--resume", "nowhere"], "nowhere: must be the --out folder"),
    "no search": (["status", "nope"], "no search named 'nope'"),
    "nothing to explain": (["report", "nope"], "no search named 'nope'"),
    "a report of another kind": (["report", "nope", "--out", "x.pdf"], "x.pdf: must end in .html"),
    "no champion": (["best", "nope"], "no search or model named 'nope'"),
    "no record": (["ui"], "no record"),
    "no model": (["generate", "nope", "--out", "x.png"], "no record"),
    "no samples": (["generate", "nope", "-n", "0", "--out", "x.png"], "-n"),
    "a comparison of another kind": (
        ["compare", "nope/1", "nope/2", "--out", "x.jpg"],
        "x.jpg: must end in .png",
    ),
    "a version to roll back": (["rollback", "nope/2"], "rollback: must get the name of a model"),
    "unknown kind of file": (["generate", "nope", "--out", "x.jpg"], "x.jpg: must end in .png"),
    "no such folder": (["generate", "nope", "--out", "no/x.png"], "its folder no must exist"),
    "schema into no folder": (["schema", "--out", "no/x.json"], "its folder no must exist"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(case: str, run: Run, tmp_path: Path) -> None:
    words, expected = BAD[case]
    ran = run(*words)
    assert ran.code == 2
    assert len(lines(ran.err)) == 1, ran.err
    assert ran.err.startswith("error: ")
    assert expected in ran.err
    assert "Traceback" not in ran.err
    assert nothing_in(tmp_path)


BAD_DATA: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing readable": (lambda at: (at / "a.txt").write_text("a"), "must hold pictures"),
    "too few": (
        lambda at: [Image.new("RGB", (9, 9), (i, 0, 0)).save(at / f"{i}.png") for i in range(19)],
        "at least 20 samples to be split: 19 (figures mean something from about 1,000 on)",
    ),
    "no size that fits": (
        lambda at: [Image.new("L", (7, 9), i).save(at / f"{i}.png") for i in range(20)],
        "must hold pictures of at least 8 pixels a side",
    ),
    "one picture": (
        lambda at: [Image.new("L", (8, 8), 9).save(at / f"{i}.png") for i in range(2_000)],
        "train must hold samples that differ: all 1600 are equal",
    ),
    "no pictures": (
        lambda at: [(at / f"{i}.png").write_text("none") for i in range(20)],
        "must hold pictures that Pillow can open",
    ),
}
BAD_FILES: dict[str, tuple[np.ndarray, str]] = {
    "constants": (np.ones((2_000, 3)), "train must hold samples that differ"),
    "10,000 columns": (np.eye(30, 10_000), "must have at most 1,000 columns"),
    "too few rows": (np.eye(5), "must hold at least 20 samples"),
}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["generate", "x", "-n", 0], ["--count", "1", "'0'"]),
        (["generate", "x", "-n", "many"], ["--count", "integer", "'many'"]),
        (["serve", "x", "--port", 99999], ["--port", "65535", "'99999'"]),
    ],
)
def test_a_refused_option_names_rule_and_value(
    words: list[str | int], names: list[str], run: Run
) -> None:
    ran = run(*words)
    (line,) = lines(ran.err)
    assert ran.code == 2
    assert [name for name in names if name not in line] == []


@pytest.mark.parametrize("case", [*BAD_DATA, *BAD_FILES])
@pytest.mark.parametrize("command", ["search", "init"])
def test_data_that_nothing_fits_are_refused_in_one_line(
    command: str, case: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data"
    data.mkdir()
    if case in BAD_FILES:
        array, expected = BAD_FILES[case]
        np.save(data / "table.npy", array)
        given = "data/table.npy"
    else:
        make, expected = BAD_DATA[case]
        make(data)
        given = "./data"
    ran = run(command, given)
    assert ran.code == 2
    assert len(lines(ran.err)) == 1, ran.err
    assert expected in ran.err
    assert {path.name for path in tmp_path.iterdir()} <= {"data", "cache"}


def test_init_writes_a_commented_space_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path / "cache"))
    points = np.random.RandomState(0).standard_normal((100, 2))
    np.save("points.npy", points)
    ran = run("init", "points.npy", "-o", "own.yaml", "--minutes", "2", "--gpu", "0")
    assert (ran.code, ran.err) == (0, "")
    assert "points.npy: 100 points of 2 columns, no labels" in " ".join(lines(ran.out))
    assert "own.yaml: written; gan-tune search own.yaml begins" in ran.out
    assert "\n# what the search improves" in Path("own.yaml").read_text()
    assert run("validate", "own.yaml").out == "own.yaml: ok\n"
    refused = run("init", "points.npy", "-o", "own.yaml")
    assert (refused.code, lines(refused.err)) == (
        2,
        ["error: own.yaml: exists already; --force replaces it"],
    )
    assert run("init", "points.npy", "-o", "own.yaml", "--force").code == 0


@pytest.mark.ci
def test_a_dry_run_of_data_proposes_and_starts_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path / "cache"))
    np.save("points.npy", np.random.RandomState(0).standard_normal((100, 2)))
    ran = run("search", "./points.npy", "--dry-run", "--minutes", "1", "--trials", "3")
    assert ran.code == 0, ran.err
    assert "100 points of 2 columns" in ran.out
    assert "points: 3 trials of" in ran.out
    assert "nothing was started" in ran.out
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["points.npy"]


@pytest.mark.ci
def test_a_folder_is_searched_and_the_same_command_shows_its_result(tmp_path: Path) -> None:
    """A real search of two trials; then the same data again, and data that changed."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(200):
        tone = np.linspace(0, i, 16 * 16 * 3).reshape(16, 16, 3)
        Image.fromarray(tone.astype(np.uint8)).save(folder / f"{i}.png")
    words = ["search", "./photos", "--minutes", "1", "--trials", "2", "--set", "budget.steps=40"]
    words += ["--set", "confirm.seeds=1", "--set", "trial.generator.width=8", "--register-anyway"]

    def call(*more: str) -> tuple[int, str, str]:
        command = process(*words, *more, folder=tmp_path, GAN_TUNE_CACHE=str(tmp_path / "cache"))
        out, err = command.communicate(timeout=240)
        return command.returncode, out, err

    code, out, err = call()
    assert code == 0, out + err
    home = tmp_path / "gan_tune_runs" / "photos"
    assert "photos: 200 grey pictures of 16x16" in out.replace("\n", " ")
    assert (home / "champion.png").is_file()
    space = yaml.safe_load((home / "space.yaml").read_text())
    assert (space["name"], space["trial"]["data"]["channels"]) == ("photos", 1)
    code, out, err = call()
    assert code == 0, out + err
    assert "search photos has already finished" in out
    Image.new("RGB", (16, 16), "red").save(folder / "another.png")
    code, out, err = call()
    assert code == 2
    assert len(lines(err)) == 1, err
    assert "has changed since the search photos began; use --fresh" in err


def test_all_settings_that_are_wrong_are_told(run: Run) -> None:
    ran = run("train", "digits", "--setting", "los=hinge", "--setting", "ema=0.5")
    assert (ran.code, len(lines(ran.err))) == (2, 2)


def test_a_port_that_is_taken(run: Run, searched: Searched) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = run("ui", "--port", port, *searched.record)
    assert ran.code == 2
    assert lines(ran.err) == [
        f"error: --port {port}: cannot listen on 127.0.0.1:{port} (Address already in use); "
        "give another --port"
    ]


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "no-such-host.invalid", "é" * 80])
@pytest.mark.parametrize("command", [["ui"], ["serve", "digits"]])
def test_a_host_that_is_another_machine(
    run: Run, searched: Searched, command: list[str], host: str
) -> None:
    ran = run(*command, "--host", host, "--port", 0, *searched.record)
    assert ran.code == 2
    assert lines(ran.err) == [f"error: --host: must be an address of this machine, but got {host}"]


def test_what_may_succeed_later_has_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def locked(*words: object, **options: object) -> None:
        raise StudyError("search.study: is locked")

    monkeypatch.setattr(service, "search", locked)
    ran = run("search", "digits")
    assert (ran.code, lines(ran.err)) == (1, ["error: search.study: is locked"])


def test_an_unexpected_error_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*words: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(service, "load_space", broken)
    monkeypatch.setattr(sys, "argv", ["gan-tune", "show", "digits"])
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main()


# ---------------------------------------------------------------- spaces


def test_validate_tells_every_fault_of_every_file(
    run: Run, space_file: Callable[..., Path]
) -> None:
    good, bad = space_file(), space_file("bad.yaml", budget={"steps": 0, "trials": 0}, nam="x")
    ran = run("validate", "digits", bad, good, "nowhere.yaml")
    assert ran.code == 2
    assert lines(ran.out) == ["digits: ok", f"{good}: ok"]
    found = lines(ran.err)
    assert [line.split(": ")[1] for line in found] == [str(bad)] * 3 + ["nowhere.yaml"]
    assert all(line.startswith("error: ") for line in found)


def test_show(run: Run) -> None:
    ran = run("show", "digits", "--set", "budget.trials=7")
    assert (ran.code, ran.err) == (0, "")
    name = "generator_optimizer.adam.lr"
    line = next(line for line in lines(ran.out) if line.startswith(name))
    assert re.split(r"  +", line.strip()) == [
        name,
        "log_uniform 0.0001 to 0.01",
        "generator_optimizer = adam",
    ]
    assert "budget: 7 trials of " in ran.out
    assert "objective: frechet_distance (min)" in ran.out


def test_what_a_set_takes_from_start_from_is_told(run: Run) -> None:
    ran = run("show", "digits", "--set", "trial.loss=hinge")
    assert ran.code == 0
    assert lines(ran.err) == [
        "warning: digits: start_from.0.loss: left out, since --set trial.loss decides it"
    ]


def test_schema(run: Run, tmp_path: Path) -> None:
    printed = json.loads(run("schema").out)
    assert printed["title"] == "gan-tune search space"
    assert run("schema", "--out", "s.json").out == "s.json\n"
    assert json.loads((tmp_path / "s.json").read_text()) == printed
    again = run("schema", "--out", "s.json")
    assert (again.code, again.err) == (2, "error: s.json: exists already; --force replaces it\n")
    assert run("schema", "--out", "s.json", "--force").code == 0


# ---------------------------------------------------------------- one trial


STEPS = ["--steps", "30", "--set", "budget.evaluations=3", "--set", "trial.collapse.variety=0"]


def test_train_keeps_its_trial_and_goes_on_with_it(run: Run, tmp_path: Path) -> None:
    ran = run("train", "digits", *STEPS, "--setting", "loss=hinge", "--out", "first")
    assert (ran.code, ran.err) == (0, "")
    assert [line.split(":")[0] for line in lines(ran.out)] == [
        "step 10/30", "step 20/30", "step 30/30", "kept in first",
    ]  # fmt: skip
    folder = tmp_path / "first"
    assert sorted(path.name for path in (folder / "grids").iterdir()) == [
        "10.png", "20.png", "30.png",
    ]  # fmt: skip
    report = json.loads((folder / "reports" / "30.json").read_text())
    assert (report["step"], report["outcome"]) == (30, "completed")
    assert json.loads((folder / "trial.json").read_text())["config"]["loss"] == {"name": "hinge"}
    assert "already run to its end" in run("train", "--resume", "first").out
    again = run("train", "digits", *STEPS, "--out", "first")
    assert again.code == 2
    assert again.err.startswith("error: first: must be a new or empty folder")


def test_train_resumed_equals_one_that_ran_through(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("train", "digits", *STEPS, "--seed", 3)
    keep = service.keep_report

    def interrupted(report: Any, folder: Path) -> None:
        keep(report, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(service, "keep_report", interrupted)
    ran = run("train", "digits", *STEPS, "--seed", 3, "--out", "first")
    assert ran.code == cli.ExitCode.INTERRUPTED
    assert lines(ran.out)[-1] == "to continue: gan-tune train --resume first"
    monkeypatch.setattr(service, "keep_report", keep)
    resumed = run("train", "--resume", "first")
    assert lines(resumed.out)[:-1] == lines(whole.out)[1:]


def test_train_says_that_networks_do_not_fit_and_keeps_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = "trial.generator={name: mlp, latent: 4, hidden: [4096], output: sigmoid}"
    monkeypatch.setattr("gan_tune.gan.building.free_memory", lambda device: 2**20)
    ran = run("train", "digits", *STEPS, "--set", wide, "--out", "first")
    assert ran.err.startswith("error: needs more memory than there is: its networks have ")
    assert ran.err.endswith(" of weights and gradients, but 0.000977 GiB are free\n")
    assert ran.code == 2
    assert nothing_in(tmp_path)


def test_train_says_that_it_ran_out_of_memory(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried\nand more")

    monkeypatch.setattr("gan_tune.gan.game.Game.train_step", refused)
    ran = run("train", "digits", *STEPS)
    said = "needs more memory than there is: DefaultCPUAllocator: can't allocate memory: you tried"
    assert (ran.code, ran.err) == (2, f"error: {said}\n")


def test_train_writes_nothing_unasked(run: Run, tmp_path: Path) -> None:
    assert run("train", "points", *STEPS).code == 0
    assert nothing_in(tmp_path)


def test_open_ranges_take_low_ends_or_are_drawn() -> None:
    space = service.load_space("digits")
    bare = replace(space, starts=())
    low = service.first_setting(bare)
    assert (low.generator_optimizer.args["lr"], low.loss.name) == (1e-4, "non_saturating")
    drawn = [service.first_setting(bare, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert 1e-5 <= drawn[2].generator_optimizer.args["lr"] <= 1e-2
    first = service.first_setting(space, ["generator_optimizer.adam.lr=1e-3"])
    assert first.generator_optimizer.args["lr"] == 1e-3
    assert first.discriminator_optimizer.args["beta1"] == 0.9


# ---------------------------------------------------------------- search


def test_a_search_tells_its_story_in_plain_lines(searched: Searched) -> None:
    assert "\x1b" not in searched.out
    assert searched.err == ""
    told = [line for line in lines(searched.out) if re.match(r"0:\d\d:\d\d trial 000\d ", line)]
    assert len(told) == 3
    for expected in (
        "search digits begins: 3 settings of 60 steps",
        "search digits finished after 0:0",
        "confirmed mean ± spread (seeds)",
        "test split: frechet_distance",
        "registered: digits/1, now the champion",
        "  gan-tune generate digits -n 64 --out samples.png",
        "  gan-tune report digits",
        "  gan-tune ui",
    ):
        assert expected in searched.out
    grid = re.search(r"^samples: (.+)$", searched.out, re.MULTILINE)
    assert grid is not None
    assert Image.open(grid[1]).format == "PNG"


def test_a_finished_search_shows_its_result(run: Run, searched: Searched) -> None:
    ran = run(*SEARCH, *searched.both)
    assert (ran.code, ran.err) == (0, "")
    assert "search digits has already finished after" in ran.out
    assert "registered: digits/1" in ran.out
    assert f"--tracking-uri {searched.record[1]}" in lines(ran.out)[-1]


def test_what_mattered_is_told_before_what_is_next(
    run: Run, searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = service.load_result("digits", searched.storage[1])
    told = {"step": 20, "settings": 24, "left_out": 0, "shares": {"loss": 0.75, "ema": 0.25}}
    taught = replace(result, mattered=told)
    monkeypatch.setattr(service, "search", lambda *words, **options: taught)
    assert "what mattered" not in searched.out  # with three settings nothing can be said
    ending = run("search", "digits").out.partition("what mattered (")[2]
    assert "24 settings at step 20" in lines(ending)[0]
    assert lines(ending)[1:5] == ["   75%  loss", "   25%  ema", "", "next:"]


def test_an_interrupted_search_says_how_to_go_on(
    run: Run, searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = service.load_result("digits", searched.storage[1])
    halted = replace(result, finished=False, champion=None, name="digits-2")
    monkeypatch.setattr(service, "search", lambda *words, **options: halted)
    ran = run("search", "digits", "--fresh", "--trials", "3")
    assert (ran.code, ran.err) == (cli.ExitCode.INTERRUPTED, "")
    assert lines(ran.out)[-1] == "to continue: gan-tune search digits --trials 3 --name digits-2"


@pytest.mark.parametrize(
    ("words", "named", "says"),
    [
        ((), None, ""),
        ((), "digits", ""),
        (("--fresh",), None, " --fresh"),
        (("--fresh",), "digits-2", " --name digits-2"),
        (("--name", "foo", "--fresh", "--trials", 3), "foo-2", " --trials 3 --name foo-2"),
        (("--fresh", "--name=foo"), "foo", " --name foo"),
        (("--storage", "s3://ME:PW@b/runs"), "digits", " --storage 's3://ME:***@b/runs'"),
    ],
)
def test_an_interrupt_before_the_first_trial(
    words: tuple[object, ...],
    named: str | None,
    says: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also before ``--fresh`` has come as far as to choose a name."""

    def interrupted(*words: object, watcher: Any, **options: object) -> None:
        if named is not None:
            watcher.named(named)
        raise KeyboardInterrupt

    monkeypatch.setattr(service, "search", interrupted)
    ran = run("search", "digits", *words)
    assert ran.code == cli.ExitCode.INTERRUPTED
    assert ran.out == f"to continue: gan-tune search digits{says}\n"


def test_a_search_tells_its_name_before_ray_starts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*words: object, **options: object) -> None:
        raise KeyboardInterrupt

    from gan_tune.service.running.command import SearchCommand

    monkeypatch.setattr(SearchCommand, "run", interrupted)
    (tmp_path / "gan_tune_runs" / "digits").mkdir(parents=True)
    ran = run("search", "digits", "--fresh")
    assert lines(ran.out)[-1] == "to continue: gan-tune search digits --name digits-2"


def test_passwords_stay_out_of_what_is_printed(
    run: Run, searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = service.load_result("digits", searched.storage[1])
    monkeypatch.setattr(service, "search", lambda *words, **options: result)
    places = ["--storage", "s3://ME:PW@bucket/runs", "--tracking-uri", "postgresql://me:PW@db/x"]
    ran = run("search", "digits", *places)
    assert "PW" not in ran.out + ran.err
    assert "--tracking-uri 'postgresql://me:***@db/x'" in ran.out
    assert "--storage 's3://ME:***@bucket/runs'" in ran.out


def test_options_are_short_for_overrides(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def watched(space: Any, **options: Any) -> None:
        seen.update(options, space=space)
        raise KeyboardInterrupt

    monkeypatch.setattr(service, "search", watched)
    short = ["--trials", 5, "--minutes", 1.5, "--seed", 9, "--max-concurrent", 2]
    run("search", "digits", *short, "--warm-start", "one", "--warm-start", "two")
    assert seen["space"].budget.trials == 5
    assert seen["space"].budget.minutes == 1.5
    assert seen["space"].search.seed == 9
    assert seen["max_concurrent"] == 2
    assert seen["warm_start"] == ["one", "two"]


@pytest.mark.ci
def test_a_dry_run_measures_and_starts_nothing(run: Run, tmp_path: Path) -> None:
    ran = run(*SEARCH, "--dry-run", "--max-concurrent", 1)
    assert (ran.code, ran.err) == (0, "")
    assert lines(ran.out)[0] == (
        "digits: 3 trials of 60 steps with 3 evaluations, then at most 2 to confirm"
    )
    assert re.search(r"\); evaluation takes \d+% of it$", lines(ran.out)[1])
    memory = re.fullmatch(r"its peak memory: (\S+) GiB with all libraries", lines(ran.out)[2])
    assert memory is not None
    assert 0.2 < float(memory[1]) < 3
    assert "with 1 at a time (assumed: this machine" in ran.out
    assert lines(ran.out)[-1] == "nothing was started"
    assert nothing_in(tmp_path)


def test_an_estimate_multiplies_what_it_measured() -> None:
    measured = service.Estimate(5, 100, 4, 3, 2, 0.01, 0.5, 2**30)
    assert measured.trial_seconds == pytest.approx(3.0)
    assert measured.seconds == pytest.approx((3 + 2) * 3.0)
    assert measured.evaluation_share == pytest.approx(2 / 3)


@pytest.mark.slow
def test_a_search_is_interrupted_and_goes_on(tmp_path: Path) -> None:
    words = [*SEARCH, "--set", "budget.steps=4000", "--name", "night"]
    command = process(*words, folder=tmp_path)
    assert command.stdout is not None
    told = iter(command.stdout.readline, "")
    assert any(" begins: " in line for line in told)
    # From here on it is interruptible; and trials run once the first of them has reported.
    trials = tmp_path / "gan_tune_runs" / "night" / "trials"
    deadline = time.monotonic() + 120
    while not list(trials.glob("*/reports/*.json")):
        assert command.poll() is None
        assert time.monotonic() < deadline, "no report within two minutes"
        time.sleep(0.05)
    command.send_signal(signal.SIGINT)
    rest = command.communicate(timeout=60)[0]
    assert command.returncode == cli.ExitCode.INTERRUPTED
    assert "ending: waiting for" in rest
    assert lines(rest)[-1].startswith("to continue: gan-tune search digits")
    assert "night: interrupted" in process("status", "night", folder=tmp_path).communicate()[0]
    command = process(*words, folder=tmp_path)
    out, err = command.communicate(timeout=300)
    assert command.returncode == 0, out + err
    assert "search night goes on after" in out


# ---------------------------------------------------------------- looking on


@pytest.fixture
def copied(searched: Searched, tmp_path: Path) -> Iterator[Path]:
    """The search's folder as one that has no result yet, in a storage of its own."""
    folder = tmp_path / "storage" / "digits"
    shutil.copytree(searched.folder / "gan_tune_runs" / "digits", folder)
    (folder / "result.json").unlink()
    (folder / "trials" / "0000" / "outcome.json").unlink()
    yield folder
    shutil.rmtree(folder.parent)


def test_status_of_a_finished_search(run: Run, searched: Searched, tmp_path: Path) -> None:
    ran = run("status", "digits", *searched.storage)
    assert (ran.code, ran.err) == (0, "")
    assert lines(ran.out)[0].startswith("search digits: finished, 0:0")
    assert lines(ran.out)[1].startswith("settings: 3 of 3 (")
    assert re.search(r"^best frechet_distance: [\d.]+ \(min\)$", ran.out, re.MULTILINE)
    assert nothing_in(tmp_path)


def test_status_while_another_process_works_on_it(run: Run, copied: Path) -> None:
    before = sorted(path for path in copied.rglob("*") if path.parent.name != "lease")
    with hold(look_in(copied).patient(0), "digits"):
        ran = run("status", "digits", "--storage", copied.parent)
    assert lines(ran.out)[0].startswith(f"search digits: running (process {os.getpid()} on ")
    # What has a worker is not known: the note is of the command that ended.
    assert "running 1" in lines(ran.out)[1]
    assert sorted(path for path in copied.rglob("*") if path.parent.name != "lease") == before


@pytest.mark.parametrize("steps", ["60", "", [1], {}, -5, True, 1e999])
def test_status_leaves_out_a_trial_whose_length_is_damaged(
    steps: object, run: Run, copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = copied / "trials" / "0001" / "trial.json"
    stored = json.loads(place.read_text())
    stored["config"]["steps"] = steps
    place.write_text(json.dumps(stored))
    ran = run("status", "digits", "--storage", copied.parent)
    assert ran.code == 0
    assert "config.steps must be a whole number above 0: " in caplog.text
    assert "0000" in ran.out
    assert " 0001 " not in ran.out


def test_status_after_its_process_has_died(run: Run, copied: Path) -> None:
    # Another one has got its number.
    died = replace(this_process(), begun=1e9, after_boot=-1e9)
    (copied / "lease" / "000009.json").write_text(json.dumps(asdict(died)))
    ran = run("status", "digits", "--storage", copied.parent)
    assert lines(ran.out)[0].startswith("search digits: interrupted, 0:0")
    assert "interrupted 1" in lines(ran.out)[1]


def test_status_from_mlflow_where_the_folder_is_elsewhere(run: Run, searched: Searched) -> None:
    ran = run("status", "digits", *searched.record)
    assert lines(ran.out)[0].startswith("search digits: finished")
    assert lines(ran.out)[-1] == "from: MLflow experiment digits"


def test_the_report_is_the_page_that_the_search_has_left(
    run: Run, searched: Searched, tmp_path: Path
) -> None:
    ran = run("report", "digits", *searched.storage)
    assert ran == Ran(0, "digits_report.html\n", "")
    page = (tmp_path / "digits_report.html").read_text()
    left = (searched.folder / "gan_tune_runs" / "digits" / "report.html").read_text()
    # The search leaves it before it registers its champion.
    registered = re.compile(r"\s*<div><small>registered</small>.*?</div>", re.DOTALL)
    assert len(registered.findall(page)) == 1
    place = os.path.relpath(searched.folder / "gan_tune_runs" / "digits", tmp_path)
    assert page.count(f'"link":"{place}/trials/') == 1
    seen_from_there = registered.sub("", page).replace(f'"link":"{place}/', '"link":"')
    assert seen_from_there == left
    again = run("report", "digits", *searched.storage)
    assert again.code == 2
    assert again.err == "error: digits_report.html: exists already; --force replaces it\n"
    assert run("report", "digits", *searched.storage, "--force").code == 0
    astray = run("report", "digits", *searched.storage, "--out", "no/x.html")
    assert (astray.code, astray.err) == (2, "error: no/x.html: its folder no must exist\n")


def test_a_report_is_opened_when_asked_for(
    run: Run, searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(typer, "launch", opened.append)
    run("report", "digits", *searched.storage)
    assert opened == []
    run("report", "digits", *searched.storage, "--force", "--open")
    assert opened == ["digits_report.html"]


def test_a_report_while_another_process_works_on_it(run: Run, copied: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.is_file()}
    with hold(look_in(copied).patient(0), "digits"):
        ran = run("report", "digits", "--storage", copied.parent)
    assert (ran.code, ran.err) == (0, "")
    page = (tmp_path / "digits_report.html").read_text()
    assert re.search(r'class="lead">running for 0:0', page)
    assert re.search(r"leads so far", page)
    before = {path: at for path, at in before.items() if path.parent.name != "lease"}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert run("report", "digits", "--storage", copied.parent, "--force").code == 0
    assert 'class="lead">interrupted after 0:0' in (tmp_path / "digits_report.html").read_text()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["status", "digit"], "no search named 'digit'"),
        (["best", "digit"], "no search or model named 'digit'"),
    ],
)
def test_unknown_searches_are_answered_with_those_there_are(
    words: list[str], named: str, run: Run, searched: Searched, dots: str
) -> None:
    ran = run(*words, *searched.both)
    assert ran.code == 2
    assert named in ran.err
    assert ran.err.partition("there are: ")[2].startswith("digits")


def test_a_warm_start_from_nothing_is_answered_with_the_nearest(
    run: Run, searched: Searched, tmp_path: Path
) -> None:
    ran = run("search", "digits", "--warm-start", "digit", *searched.record)
    assert ran.code == 2
    assert len(lines(ran.err)) == 1
    assert "no search named 'digit' in " in ran.err
    assert ran.err.endswith("; there are: digits\n")
    assert nothing_in(tmp_path)


def test_ls(run: Run, searched: Searched, dots: str) -> None:
    ran = run("ls", *searched.both)
    assert (ran.code, ran.err) == (0, "")
    spaces, searches, models = (
        ran.out.split("\n \n") if "\n \n" in ran.out else ran.out.split("\n\n")
    )
    assert re.search(r"^points +ring +energy_distance", spaces, re.MULTILINE)
    assert re.search(r"^digits +finished +[\d.]+ +frechet_distance", searches, re.MULTILINE)
    assert re.search(r"^digits +version 1 +[\d.]+ +frechet_distance +digits", models, re.MULTILINE)
    assert re.search(r"^dots +version 1", models, re.MULTILINE)


def test_ls_where_there_is_nothing_yet(run: Run, tmp_path: Path) -> None:
    ran = run("ls")
    assert (ran.code, ran.err) == (0, "")
    assert "searches: none yet" in ran.out
    assert "models: none yet" in ran.out
    assert nothing_in(tmp_path)


def test_a_record_that_was_asked_for_and_is_silent_is_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    ran = run("ls")
    assert ran.code == 1
    assert len(lines(ran.err)) == 1
    assert "http://127.0.0.1:1 does not answer" in ran.err


def test_best_of_a_search(run: Run, searched: Searched) -> None:
    ran = run("best", "digits", *searched.both)
    assert (ran.code, ran.err) == (0, "")
    assert lines(ran.out)[0] == "model digits/1, the champion"
    assert "generator_optimizer" in ran.out
    assert "mean of 1 fresh seed\n" in ran.out


def test_best_as_json_is_nothing_but_json(run: Run, searched: Searched) -> None:
    found = json.loads(run("best", "digits", "--json", *searched.both).out)
    stored = service.load_result("digits", searched.storage[1])
    assert stored.champion is not None
    assert found["value"] == stored.champion.mean
    assert found["config"] == stored.champion.config
    assert found["test"] == stored.test
    assert (found["model"], found["version"]) == ("digits", 1)


@pytest.mark.parametrize("command", ["status", "ls", "best"])
def test_json_of_a_search_is_as_documented(command: str, run: Run, searched: Searched) -> None:
    name = [] if command == "ls" else ["digits"]
    ran = run(command, *name, "--json", *searched.both)
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    shape = DOCUMENTS[command].model_validate(found)
    assert json.loads(shape.model_dump_json()) == found  # no other keys
    if command == "status":
        assert found["state"] == "finished"
        assert sum(found["outcomes"].values()) == 3
        assert found["rows"][0]["value"] == found["best"]
    if command == "ls":
        assert "digits" in found["spaces"]
        assert [entry["name"] for entry in found["searches"]] == ["digits"]


def test_a_finished_search_as_json_is_one_result(run: Run, searched: Searched) -> None:
    ran = run(*SEARCH, "--json", *searched.both)
    assert (ran.code, ran.err) == (0, "")
    *stages, result = map(json.loads, lines(ran.out))
    assert {line["event"] for line in stages} <= {"stage", "note"}
    assert (result["event"], result["finished"], result["model"]) == ("result", True, "digits")
    assert len(result["rows"]) == 3


@pytest.mark.parametrize("model", ["digits/1", "digits@champion"])
def test_best_of_a_model(model: str, run: Run, searched: Searched) -> None:
    found = json.loads(run("best", model, "--json", *searched.record).out)
    stored = service.load_result("digits", searched.storage[1])
    assert stored.champion is not None
    assert (found["model"], found["version"], found["alias_holder"]) == ("digits", 1, True)
    assert found["value"] == pytest.approx(stored.champion.mean)
    assert found["config"]["steps"] == "60"


# ---------------------------------------------------------------- samples


def test_generate_pictures_in_every_form(run: Run, searched: Searched, tmp_path: Path) -> None:
    for out in ("grid.png", "array.npy", "folder", "slash/"):
        ran = run("generate", "digits", "-n", 10, "--seed", 4, "--out", out, *searched.record)
        assert (ran.code, ran.err) == (0, "")
        size, told = lines(ran.out)
        assert size.startswith("writing 10 samples of 1 x 8 x 8 values, ")
        assert told == f"10 samples of digits/1 in {out}"
    array = np.load(tmp_path / "array.npy", allow_pickle=False)
    assert (array.shape, array.dtype) == ((10, 1, 8, 8), np.float32)
    assert array.min() >= 0
    assert array.max() <= 1
    assert Image.open(tmp_path / "grid.png").size == (8 * 66 + 2, 2 * 66 + 2)
    for folder in ("folder", "slash"):
        names = sorted(path.name for path in (tmp_path / folder).iterdir())
        assert names == [f"{i:05}.png" for i in range(10)]
        single = np.asarray(Image.open(tmp_path / folder / "00003.png"))
        np.testing.assert_allclose(single / 255, array[3, 0], atol=0.5 / 255 + 1e-6)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_generate_a_walk_through_the_latents(run: Run, searched: Searched, tmp_path: Path) -> None:
    words = ["-n", 24, "--seed", 4, "--interpolate", 3]
    for out in ("walk.npy", "walk.gif"):
        assert run("generate", "digits", *words, "--out", out, *searched.record).code == 0
    words = ["-n", 3, "--seed", 4, "--out", "stops.npy"]
    assert run("generate", "digits", *words, *searched.record).code == 0
    walk, stops = np.load(tmp_path / "walk.npy"), np.load(tmp_path / "stops.npy")
    np.testing.assert_allclose(walk[::8], stops, atol=1e-5)
    steps = np.abs(walk - np.roll(walk, 1, 0)).mean(axis=(1, 2, 3))
    assert steps.max() < np.abs(stops - np.roll(stops, 1, 0)).mean(axis=(1, 2, 3)).min()
    with Image.open(tmp_path / "walk.gif") as film:
        assert (film.format, getattr(film, "n_frames", 1)) == ("GIF", 24)
    assert run("generate", "digits", "-n", 24, "--gif", "--out", "six", *searched.record).code == 0
    with Image.open(tmp_path / "six.gif") as film:
        assert (film.format, getattr(film, "n_frames", 1)) == ("GIF", 24)
    for wrong in ("six.png", "six/"):
        ran = run("generate", "digits", "--gif", "--out", wrong, *searched.record)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert f"{wrong}: with --gif" in ran.err
    ran = run("generate", "digits", "--interpolate", 1, "--out", "no.gif", *searched.record)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "--interpolate" in ran.err


def test_generate_points_in_every_form(
    run: Run, searched: Searched, dots: str, tmp_path: Path
) -> None:
    for out in ("plot.png", "array.npy", "table.csv"):
        ran = run("generate", dots, "-n", 100, "--out", out, *searched.record)
        assert (ran.code, ran.err) == (0, "")
    array = np.load(tmp_path / "array.npy", allow_pickle=False)
    with (tmp_path / "table.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header == ["x0", "x1"]
    np.testing.assert_array_equal(np.array(rows, dtype=np.float32), array)
    assert Image.open(tmp_path / "plot.png").size == (720, 720)
    ran = run("generate", dots, "--out", "folder", *searched.record)
    told = "error: folder: points are written as .png, .npy, .npz, .csv or .parquet\n"
    assert (ran.code, ran.err) == (2, told)


def test_the_same_seed_gives_the_same_samples(run: Run, searched: Searched, tmp_path: Path) -> None:
    contents = []
    for model, seed in (("digits", 1), ("digits/1", 1), ("digits@champion", 2)):
        assert (
            run(
                "generate", model, "--seed", seed, "--out", "a.npy", "--force", *searched.record
            ).code
            == 0
        )
        contents.append((tmp_path / "a.npy").read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_a_model_card_has_each_seed_and_the_curves(searched: Searched) -> None:
    client = MlflowClient(searched.record[1])
    version = client.get_model_version("digits", "1")
    rows = re.findall(r"\| `(\S+)` \(this one\) \| \d+ \| 60 \| (\S+) \|", version.description)
    ((trial, value),) = rows
    assert trial == version.tags["gan_tune.trial"]
    assert float(value) == pytest.approx(float(version.tags["gan_tune.value"]), rel=1e-3)
    assert "path=extra_files%2Fcurve.png&name=digits&version=1" in version.description
    found = f"{client.get_model_version_download_uri('digits', '1')}/extra_files/curve.png"
    with Image.open(found.removeprefix("file://")) as picture:
        assert picture.format == "PNG"


def test_a_run_and_a_trials_folder_are_drawn_from(
    run: Run, searched: Searched, tmp_path: Path
) -> None:
    stored = service.load_result("digits", searched.storage[1])
    assert stored.champion is not None
    trials = searched.folder / "gan_tune_runs" / "digits" / "trials"
    champion = trials / stored.champion.trial
    client = MlflowClient(searched.record[1])
    run_id = client.get_model_version("digits", "1").run_id
    sources = {
        "model": ["digits", *searched.record],
        "trial": [str(champion)],
        "run": [f"runs:/{run_id}", *searched.record],
    }
    for name, words in sources.items():
        ran = run("generate", *words, "-n", 5, "--out", f"{name}.npy")
        assert (ran.code, ran.err) == (0, "")
        assert f"5 samples of {'digits/1' if name != 'trial' else champion} in" in ran.out
    arrays = [np.load(tmp_path / f"{name}.npy") for name in sources]
    np.testing.assert_array_equal(arrays[0], arrays[1])
    np.testing.assert_array_equal(arrays[0], arrays[2])
    # The run of another trial, which no model was made of.
    (found,) = client.search_experiments(filter_string="name = 'digits'")
    rows = client.search_runs([found.experiment_id])
    others = [r for r in rows if r.data.tags.get("gan_tune.trial") and r.info.run_id != run_id]
    other = next(o for o in others if (trials / o.data.tags["gan_tune.trial"] / WEIGHTS).exists())
    words = [f"runs:/{other.info.run_id}", *searched.both, "-n", 5, "--out", "other.npy"]
    assert run("generate", *words).code == 0
    assert not np.array_equal(np.load(tmp_path / "other.npy"), arrays[0])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("runs:/nope", "no run 'nope' in RECORD"),
        ("./here", "here: must be the folder of a trial or of gan-tune pull"),
        ("./nowhere", "nowhere: must be the folder of a trial or of gan-tune pull"),
        ("here", "no model named 'here'; for the folder write ./here"),
    ],
)
def test_a_source_that_is_none_is_told(
    source: str, expected: str, run: Run, searched: Searched, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    ran = run("generate", source, "--out", "x.npy", *searched.record)
    expected = expected.replace("RECORD", searched.record[1])
    assert (ran.code, ran.err) == (2, f"error: {expected}\n")
    assert not (tmp_path / "x.npy").exists()


def test_a_model_is_pulled_and_drawn_from(run: Run, searched: Searched, tmp_path: Path) -> None:
    ran = run("pull", "digits", "--out", "pulled", *searched.record)
    assert (ran.code, ran.err) == (0, "")
    assert "generator.onnx" in ran.out
    assert "ONNX deviates from torch by at most" in ran.out
    assert "in the search `digits`" in (tmp_path / "pulled" / "README.md").read_text()
    for out, words in (("a.npy", ["./pulled"]), ("b.npy", ["digits", *searched.record])):
        assert run("generate", *words, "-n", 3, "--out", out).code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    ran = run("pull", "digits", "--out", "pulled", *searched.record)
    assert ran.err == "error: pulled: exists already; --force replaces it\n"
    trial = sorted((searched.folder / "gan_tune_runs/digits/trials").glob("*confirm*"))[0]
    for source in ("./pulled", f"{trial}"):
        for device in ("cudda", "meta"):
            ran = run("generate", source, "-n", 3, "--device", device, "--out", "c.npy")
            assert ran.code == 2
            assert ran.err.startswith(f"error: device {device}: ")
            assert ran.err.count("\n") == 1
    for command in ("pull", "generate"):
        for out in (".", "./", ""):
            ran = run(command, "digits", "--out", out, *searched.record)
            assert ran.code == 2
            assert re.fullmatch(r"error: \.: must name a new (file or )?folder\n", ran.err), ran.err
    for stops in (4, 30_000_000):
        words = ["-n", 3, "--interpolate", stops, "--out", "c.npy"]
        told = f"stops (--interpolate) must be from 2 to 10,000, and at most the 3 samples: {stops}"
        assert run("generate", "./pulled", *words).err == f"error: {told}\n"
    assert not (tmp_path / "c.npy").exists()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("digts", "no model named 'digts' in RECORD; there are: digits, dots"),
        ("dot", "no model named 'dot' in RECORD; there are: dots, digits"),
        ("digits/9", "model 'digits' has no version 9; its versions are: 1"),
        ("digits@best", "model 'digits' has no alias 'best'; its versions are: 1"),
    ],
)
def test_unknown_models_are_answered_with_those_there_are(
    model: str, expected: str, run: Run, searched: Searched, dots: str, tmp_path: Path
) -> None:
    ran = run("generate", model, "--out", "x.png", *searched.record)
    expected = expected.replace("RECORD", searched.record[1])
    assert (ran.code, ran.err) == (2, f"error: {expected}\n")
    assert nothing_in(tmp_path)


def test_what_is_there_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("mine")
    ran = run("generate", "any", "--out", "a.png")
    assert (ran.code, ran.err) == (2, "error: a.png: exists already; --force replaces it\n")
    assert (tmp_path / "a.png").read_text() == "mine"


# ---------------------------------------------------------------- MLflow's pages


def test_ui_serves_the_record_until_interrupted(searched: Searched, tmp_path: Path) -> None:
    command = process("ui", "--port", "0", *searched.record, folder=tmp_path)
    try:
        assert command.stdout is not None
        printed = [command.stdout.readline() for _ in range(4)]
        assert [line.split(":")[0] for line in printed[:3]] == [
            "the search",
            "all trials",
            "charts",
        ]
        assert printed[3] == "(Ctrl-C ends it)\n"
        found = re.search(r"(http://127.0.0.1:(\d+)/)\?token=([\w-]+)#(\S+)", printed[0])
        assert found
        address, port, token, page = found[1], int(found[2]), found[3], found[4]
        rule = r"/experiments/\d+/runs/\w{32}/artifacts/report.html\?workflowType=machine_learning"
        assert re.fullmatch(rule, page)
        shown = {"Authorization": f"Bearer {token}"}
        assert "<title>MLflow" in httpx.get(address, headers=shown).text
        assert_guarded(address, shown)
        server = psutil.Process(command.pid)
        assert server.children(recursive=True) == []
        listening = [one for one in server.net_connections() if one.status == "LISTEN"]
        assert [(one.laddr.ip, one.laddr.port) for one in listening] == [("127.0.0.1", port)]
    finally:
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=30)
    assert (command.returncode, out, err) == (0, "", "")
    with socket.create_server(("127.0.0.1", port)):
        pass  # nobody listens any more
    assert nothing_in(tmp_path)


def assert_guarded(address: str, shown: dict[str, str]) -> None:
    """Nothing but 401 without the token, on any path of MLflow's; with it, its answers."""
    search = f"{address}ajax-api/2.0/mlflow/experiments/search"
    found = httpx.post(search, json={"max_results": 5}, headers=shown).json()
    assert found["experiments"]
    for path in ("", "health", "version", "static-files/x.js", "ajax-api/2.0/mlflow/runs/search",
                 "get-artifact?path=champion.png&run_uuid=1", "api/2.0/mlflow/experiments/search",
                 "api/2.0/mlflow-artifacts/artifacts/x", "model-versions/get-artifact?name=x",
                 "graphql", "ajax-api/3.0/mlflow/assistant/config", "healthz"):  # fmt: skip
        for method in ("GET", "POST", "DELETE"):
            answer = httpx.request(method, f"{address}{path}")
            assert answer.status_code == 401, (method, path)
            assert "set-cookie" not in answer.headers
    port = httpx.URL(address).port
    for wrong in ({"Authorization": "Bearer x"}, {"Cookie": f"gan_tune_{port}=x"}):
        assert httpx.get(address, headers=wrong).status_code == 401
    linked = httpx.get(address, params={"token": shown["Authorization"].split()[1]})
    assert linked.status_code == 200
    assert "HttpOnly" in linked.headers["set-cookie"]
    assert httpx.get(address, cookies=dict(linked.cookies)).status_code == 200


def test_ui_refuses_a_search_that_is_not_there(run: Run, searched: Searched) -> None:
    ran = run("ui", "nothing", *searched.record)
    assert (ran.code, len(lines(ran.err))) == (2, 1)
    assert "no search named 'nothing'" in ran.err


def test_ui_leads_to_a_search_that_has_no_report_yet(uri: str, tmp_path: Path) -> None:
    search = WrittenSearch(tmp_path / "runs")
    search.trial("0000")
    assert not search.delivered(uri)
    pages = service.find_record(uri, search.name).pages
    assert list(pages) == ["the search", "all trials", "charts"]
    assert "/runs/" in pages["the search"]


def test_ui_names_the_server_that_keeps_the_record(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = service.Opened("http://me:secret@mlflow:5000", {"charts": "#/experiments/1/runs"})
    monkeypatch.setattr(service, "find_record", lambda uri, name: opened)
    there = "http://me:***@mlflow:5000/#/experiments/1/runs"
    assert run("ui", "digits") == Ran(0, f"charts: {there}\n", "")
