"""An archive of somebody else's is tried in a child process before it is read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_archive import LATENT, Halves, Records, copied, edit, export, rewrite
from torch import Tensor, nn

from gan_tune.model import confined
from gan_tune.model.archive import PROGRAM, check_archive, read_archive
from gan_tune.model.confined import read_confined
from gan_tune.model.export import check_exportable
from gan_tune.model.operators import INDEXED, OPERATORS


@pytest.fixture(autouse=True)
def _nothing_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "_sound", set())


@pytest.mark.ci
def test_a_sound_archive_is_read_once_a_child_has_read_it(tmp_path: Path) -> None:
    module = Halves()
    archive = export(module, tmp_path / "model.pt2")
    read = read_confined(archive, LATENT)
    for batch in confined.BATCHES:
        z = torch.randn(batch, LATENT)
        assert torch.equal(read(z), module(z))
    z = torch.randn(3, LATENT)
    torch.testing.assert_close(read(z), module(z))


class Large(nn.Module):
    """Asks for much memory: 100 GB, or as a file is changed."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.linear = nn.Linear(LATENT, 1)
        self.count = count

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(z) + torch.ones(self.count).sum()


def _enlarge(records: Records) -> None:
    def change(tree: Any) -> None:
        for node in tree["graph_module"]["graph"]["nodes"]:
            if node["target"] == "torch.ops.aten.ones.default":
                node["inputs"][0]["arg"] = {"as_ints": [25 * 10**9]}

    edit(records, PROGRAM, change)


@pytest.mark.ci
def test_what_takes_all_memory_ends_in_the_child(tmp_path: Path) -> None:
    archive = rewrite(export(Large(3), tmp_path / "model.pt2"), _enlarge)
    check_archive(archive)  # the list alone lets it pass
    with pytest.raises(ValueError, match=r"memory|allocate"):
        read_confined(archive, LATENT)


class Deciding(nn.Module):
    """Takes its 100 GB where a latent is not 0."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(LATENT, 1)

    def forward(self, z: Tensor) -> Tensor:
        def harmless(z: Tensor) -> Tensor:
            return z.sum(1, keepdim=True)

        def harmful(z: Tensor) -> Tensor:
            return z.sum(1, keepdim=True) + torch.ones(25 * 10**9).sum()

        drawn = self.linear(z)
        return drawn + torch.cond(z.abs().sum() == 0, harmless, harmful, (z,))


class Masked(nn.Module):
    """Has as many rows as latents that are not 0, squared."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(LATENT, 1)

    def forward(self, z: Tensor) -> Tensor:
        chosen = z.flatten()[z.flatten() != 0]
        return self.linear(z) + torch.outer(chosen, chosen).sum()


@pytest.mark.parametrize(
    ("network", "what"), [(Deciding, r"higher_order\.cond"), (Masked, "have numbers as indices")]
)
def test_no_value_decides_what_is_computed(
    network: type[nn.Module], what: str, tmp_path: Path
) -> None:
    """Or the parent would take what the child, which tried other values, did not."""
    with pytest.raises(ValueError, match=what):
        check_exportable(network(), latent=LATENT)
    archive = export(network(), tmp_path / "model.pt2")
    with pytest.raises(ValueError, match=what):
        read_archive(archive)(torch.ones(2, LATENT))


def _first(tree: Any, target: str) -> Any:
    nodes = tree["graph_module"]["graph"]["nodes"]
    return next(node for node in nodes if node["target"] == target)


def _number_of_tensor(tree: Any) -> None:
    """`int(tensor)` in place of a size's arithmetic."""
    node = _first(tree, "_operator.mul")
    node["target"] = "torch.sym_int"
    node["inputs"] = [{"name": "a", "arg": {"as_tensor": {"name": "getitem"}}, "kind": 1}]


def _tensor_as_size(tree: Any) -> None:
    node = _first(tree, "torch.ops.aten.eye.default")
    node["inputs"][0]["arg"] = {"as_sym_int": {"as_name": "add"}}


def _tensor_as_place(tree: Any) -> None:
    """`tensor[mask]`, which Python's own operator takes."""
    node = _first(tree, "torch.ops.aten.einsum.default")
    node["target"] = "_operator.getitem"
    node["inputs"] = [
        {"name": name, "arg": {"as_tensor": {"name": "add"}}, "kind": 1} for name in "ab"
    ]


@pytest.mark.parametrize("change", [_number_of_tensor, _tensor_as_size, _tensor_as_place])
def test_no_tensor_stands_where_a_size_belongs(
    change: Callable[[Any], None], tmp_path: Path
) -> None:
    archive = rewrite(copied(tmp_path), lambda records: edit(records, PROGRAM, change))
    check_archive(archive)  # a name may be a tensor's or a size's: the file does not tell
    with pytest.raises(ValueError, match=r"must not take a number from|must have a number as"):
        read_archive(archive)


def _listed() -> list[Any]:
    names = [name.split(".")[3:] for name in OPERATORS if name.startswith("torch.ops.aten.")]
    return [getattr(getattr(torch.ops.aten, name), overload) for name, overload in names]


def test_no_operator_changes_the_shape_of_what_stays() -> None:
    """Or a buffer would grow from one batch to the next, beyond those that the child tries."""
    changing = [str(op) for op in _listed() if torch.Tag.inplace_view in op.tags]
    assert changing == ["aten.detach_.default"]  # which leaves the shape


def test_values_decide_no_size_of_a_listed_operator() -> None:
    by_value = {torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output}
    assert [f"torch.ops.{op}" for op in _listed() if by_value & set(op.tags)] == [INDEXED]


class Counting(nn.Module):
    """Notes the sizes of batch that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, z: Tensor) -> Tensor:
        self.sizes.append(len(z))
        return z * 2


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 66, 200])
def test_a_network_gets_no_batch_of_a_size_that_the_child_did_not_try(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Counting()
    monkeypatch.setattr(confined, "_try_in_child", lambda path, latent: None)
    monkeypatch.setattr("gan_tune.model.archive.read_archive", lambda path: network)
    z = torch.randn(count, LATENT)
    assert torch.equal(read_confined(copied(tmp_path), LATENT)(z), z * 2)
    assert set(network.sizes) <= set(confined.BATCHES)


def test_what_takes_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "SECONDS", 0.2)
    with pytest.raises(ValueError, match=r"within 0\.2 s"):
        read_confined(copied(tmp_path), LATENT)


def test_what_ends_the_child_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crashing.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(crashing))
    with pytest.raises(ValueError, match="SIGSEGV"):
        read_confined(copied(tmp_path), LATENT)


def test_the_child_knows_no_secret_and_imports_nothing_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = tmp_path / "environment"
    shown = tmp_path / "python"
    shown.write_text(f'#!/bin/sh\nenv > {environment}\necho "$@" >> {environment}\necho null\n')
    shown.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(shown))
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "much-hidden")
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    read_confined(copied(tmp_path), LATENT)
    seen = environment.read_text()
    assert "much-hidden" not in seen
    assert "-P -m gan_tune.model.confined" in seen
    (path,) = [line for line in seen.splitlines() if line.startswith("PYTHONPATH=")]
    assert "::" not in path
    assert not path.startswith("PYTHONPATH=:")


@pytest.mark.ci
def test_the_bytes_that_were_tried_are_the_ones_that_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = copied(tmp_path)
    read: list[Path] = []
    real = confined._try_in_child

    def swap(path: Path, latent: int) -> None:
        real(path, latent)
        archive.write_bytes(b"something else")
        read.append(path)

    monkeypatch.setattr(confined, "_try_in_child", swap)
    assert read_confined(archive, LATENT)(torch.zeros(2, LATENT)).shape == (2, 2, 4)
    assert read[0] != archive
    assert archive.read_bytes() == b"something else"
