"""The command that measures ratios: what it times, and the page that it writes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import real_fashion_mnist

from benchmarks.__main__ import SECTIONS
from benchmarks.by_hand import space_by_hand
from benchmarks.floors import Bare
from benchmarks.interleaved import Spread, in_turns, ratios
from benchmarks.page import PAGE, blocks, write_block
from benchmarks.table import Asked, table
from gan_tune.config import TrialConfig
from gan_tune.gan.building import build_game
from gan_tune.parts.all_parts import dataset_of

ROOT = Path(__file__).parent.parent


def config_of(name: str, start: int) -> TrialConfig:
    """A setting that a space proposes, without what the floor leaves out."""
    space = space_by_hand(name)
    found = space.config(space.start_assignments()[start], seed=0)
    quiet = found.instance_noise.model_copy(update={"std": 0.0})
    return found.model_copy(update={"instance_noise": quiet, "ema": 0.0})


@pytest.mark.parametrize(("name", "start"), [("digits", 0), ("points", 1), ("zeroth_order", 1)])
def test_the_floor_is_the_arithmetic_of_a_trials_step(name: str, start: int) -> None:
    config = config_of(name, start)
    dataset = dataset_of(config.data)
    game, floor = build_game(config, dataset, torch.device("cpu")), Bare(config, dataset)
    before = [weight.clone() for weight in game.weights()]
    game.train_step()
    floor.step()
    for old, new, bare in zip(before, game.weights(), floor.weights(), strict=True):
        assert not torch.equal(old, new)
        torch.testing.assert_close(bare, new, rtol=0, atol=0)


def test_sides_take_turns_and_the_first_turn_warms_up() -> None:
    order: list[str] = []

    def side(name: str, seconds: list[float]) -> Callable[[], float]:
        def turn() -> float:
            order.append(name)
            return seconds.pop(0)

        return turn

    sides = {"a": side("a", [9.0, 1.0, 2.0]), "b": side("b", [9.0, 2.0, 8.0])}
    taken = in_turns(sides, 2)
    assert "".join(order) == "baabba"
    assert taken == {"a": [1.0, 2.0], "b": [2.0, 8.0]}
    assert ratios(taken["b"], taken["a"]) == Spread(2.5, 3.0, 3.5)
    assert f"{Spread(2.5, 3.0, 3.5):.2f}" == "3.00 (2.50–3.50)"


def test_a_figure_short_of_what_was_asked_is_called_short() -> None:
    assert Asked.at_least(2, 1.99) == ("≥ 2", "short")
    assert Asked.at_most(1.3, 1.3) == ("≤ 1.3", "reached")
    assert table(["a", "b"], [["1", ""]]) == "| a | b |\n| --- | --- |\n| 1 | |"


def test_a_block_of_the_page_is_renewed_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    first, second = (
        "<!-- measured: a -->\nold\n<!-- end -->",
        "<!-- measured: b -->\n<!-- end -->",
    )
    page.write_text(f"one\n{first}\n\n{second}\n")
    write_block(page, "a", "new\\1")
    assert blocks(page.read_text()) == {"a": "new\\1\n", "b": ""}
    assert page.read_text().startswith("one\n<!-- measured: a -->")
    with pytest.raises(ValueError, match="must have the block `<!-- measured: c -->`"):
        write_block(page, "c", "new")


def test_the_page_has_each_section_with_machine_and_command() -> None:
    found = blocks(PAGE.read_text())
    assert list(found) == list(SECTIONS)
    for name, block in found.items():
        first = block.splitlines()[0]
        assert f"`python -m benchmarks {name}`" in first, "quick figures are none"
        assert "cores, torch" in first or first.startswith("Not measured yet: ")


@pytest.mark.ci
def test_the_quick_mode_writes_all_but_the_turnaround(tmp_path: Path) -> None:
    real_fashion_mnist()
    page = tmp_path / "page.md"
    names = [name for name in SECTIONS if name != "turnaround"]
    page.write_text("".join(f"<!-- measured: {name} -->\n<!-- end -->\n" for name in names))
    command = [sys.executable, "-m", "benchmarks", *names, "--quick", "--page", str(page)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    for name, block in blocks(page.read_text()).items():
        assert f"`python -m benchmarks {name} --quick`" in block
        assert block.count("\n| ") >= 3, f"{name}: a head, a line and a row at least"


@pytest.mark.ci
def test_the_turnaround_of_a_pair_is_measured() -> None:
    command = [sys.executable, "-m", "benchmarks", "turnaround", "--quick"]
    done = subprocess.run(command, cwd=ROOT, check=True, timeout=240, stdout=subprocess.PIPE)
    mine, theirs, ratio = done.stdout.decode().strip().splitlines()[-1].strip("| ").split(" | ")
    assert 0 < float(ratio.split()[0]) < 1, (mine, theirs)
