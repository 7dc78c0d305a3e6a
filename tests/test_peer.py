"""The comparison with a docs-style search: equal ranges, and no figures of unlike spaces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import real_fashion_mnist
from ray.tune.search.sample import Categorical, Domain, Float, LogUniform

from benchmarks import peer
from benchmarks.docs_style.space import SPACE
from gan_tune import service

PLACES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "latent": ("generator.latent", int),
    "generator_width": ("generator.hidden", lambda width: [width, 2 * width]),
    "discriminator_width": ("discriminator.hidden", lambda width: [2 * width, width]),
    "batch_size": ("data.batch_size", int),
    "label_smoothing": ("loss.label_smoothing", float),
    "generator_lr": ("generator_optimizer.lr", float),
    "generator_beta1": ("generator_optimizer.beta1", float),
    "discriminator_lr": ("discriminator_optimizer.lr", float),
    "discriminator_beta1": ("discriminator_optimizer.beta1", float),
}
"""Docs-style dimension → where it lies in gan-tune's tree, and what a value of it is there."""


def as_range(domain: Domain, value: Callable[[Any], Any]) -> dict[str, list[Any]]:
    """Ray's range, as a space file writes it."""
    if isinstance(domain, Categorical):
        return {"choice": [value(option) for option in domain.categories]}
    assert isinstance(domain, Float)
    kind = "log_uniform" if isinstance(domain.get_sampler(), LogUniform) else "uniform"
    return {kind: [value(domain.lower), value(domain.upper)]}


def test_both_sides_search_the_same_ranges() -> None:
    space = service.load_space(peer.SPACES["its space"], check_data=False)
    assert {dimension.name for dimension in space.dimensions()} == {p for p, _ in PLACES.values()}
    assert SPACE.keys() == PLACES.keys()
    for name, (place, value) in PLACES.items():
        block, key = place.split(".")
        assert space.tree["trial"][block][key] == as_range(SPACE[name], value), name


@pytest.mark.parametrize(
    ("side", "stored", "refused"),
    [
        ("docs-style", {}, False),
        ("docs-style", {"space": None}, False),
        ("its space", {}, True),
        ("its space", {"space": "0123456789abcdef"}, True),
        ("its space", "now", False),
    ],
)
def test_a_result_of_another_space_is_refused(
    side: str,
    stored: Any,
    refused: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if side == "its space":
        real_fashion_mnist()  # the digest of its space is that of the data, too
    monkeypatch.setattr(peer, "SIDES", {side: None})
    monkeypatch.setattr(peer, "PEER", side)
    figures = {"found": {"selection": 2.0, "test": 3.0, "settings": 1, "full": 1}, "seconds": 60.0}
    if stored == "now":
        stored = {"space": peer.digest(side, 10, 0)}
    folder = tmp_path / "10-minutes" / "seed-0" / side.replace(" ", "-")
    folder.mkdir(parents=True)
    (folder / "found.json").write_text(json.dumps(figures | stored))
    if not refused:
        peer.compare(tmp_path, 10, 1)
        assert "| 3 | 1.000 | 1.000 |" in capsys.readouterr().out
        return
    with pytest.raises(SystemExit) as caught:
        peer.compare(tmp_path, 10, 1)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert str(folder / "found.json") in said
    assert "must be of the space" in said


def test_the_ratios_are_stated_seed_by_seed(capsys: pytest.CaptureFixture[str]) -> None:
    peer.show_ratios({"docs-style": [10.0, 20.0, 40.0], "mlp": [5.0, 5.0, 60.0]})
    assert "| mlp | 5 | 0.250 | 0.500, 0.250, 1.500 | ≤ 0.6 |" in capsys.readouterr().out
