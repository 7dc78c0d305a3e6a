"""Exported generators are read without running any code that their file may hold."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import trial_config
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gan_tune.gan.networks import NETWORKS, build_network, without_parametrizations
from gan_tune.model.archive import PROGRAM, SAMPLE_INPUTS, read_archive
from gan_tune.model.export import check_exportable

LATENT = 8
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"

Records = dict[str, bytes]


class Halves(nn.Module):
    """z[B, 8] → [B, 2, 4], by way of arithmetic of the batch's size, a constant and words."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(LATENT, LATENT)
        self.shift = torch.arange(4.0)

    def forward(self, z: Tensor) -> Tensor:
        with torch.no_grad():  # exported as a graph of its own
            whole = nn.functional.gelu(self.linear(z), approximate="tanh")
        halves = whole.reshape(2 * z.shape[0], 4) + self.shift
        return torch.einsum("ij,jk->ik", halves, torch.eye(4)).reshape(z.shape[0], 2, 4)


def export(module: nn.Module, path: Path) -> Path:
    auto = torch.export.Dim.AUTO
    z = (torch.zeros(2, LATENT),)
    torch.export.save(torch.export.export(module.eval(), z, dynamic_shapes=({0: auto},)), path)
    return path


def rewrite(archive: Path, change: Callable[[Records], None]) -> Path:
    """The archive with other records."""
    with zipfile.ZipFile(archive) as sound:
        prefix = sound.namelist()[0].partition("/")[0]
        records = {name.partition("/")[2]: sound.read(name) for name in sound.namelist()}
    change(records)
    with zipfile.ZipFile(archive, "w") as changed:
        for name, content in records.items():
            changed.writestr(f"{prefix}/{name}", content)
    return archive


def replace(records: Records, name: str, old: str, new: str) -> None:
    text = records[name].decode()
    assert old in text
    records[name] = text.replace(old, new).encode()


def edit(records: Records, name: str, change: Callable[[Any], None]) -> None:
    tree = json.loads(records[name])
    change(tree)
    records[name] = json.dumps(tree).encode()


@pytest.mark.parametrize("name", NETWORKS["generator"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (2,)])
def test_every_generator_reads_back(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    args = trial_config(generator={"name": name, "latent": LATENT}).generator.args
    try:
        network = build_network("generator", shape, name=name, args=args)
    except ValueError:
        pytest.skip("not for such samples")
    module = without_parametrizations(network)
    check_exportable(module, latent=LATENT)
    read = read_archive(export(module, tmp_path / "model.pt2"))
    for batch in (1, 3):
        z = torch.randn(batch, LATENT)
        assert torch.equal(read(z), module(z))


def test_sizes_constants_and_words_read_back(tmp_path: Path) -> None:
    module = Halves()
    check_exportable(module, latent=LATENT)
    z = torch.randn(3, LATENT)
    assert torch.equal(read_archive(export(module, tmp_path / "model.pt2"))(z), module(z))


# -------------------------------------------------------------------- files that would run code


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


def program(file: Path) -> str:
    """An expression that makes a folder."""
    return f"__import__('os').mkdir('{file}')"


def pickled_weight(records: Records, file: Path) -> None:
    def change(tree: Any) -> None:
        next(iter(tree["config"].values())).update(use_pickle=True, path_name="weight_9")

    edit(records, WEIGHTS, change)
    records["data/weights/weight_9"] = _torch_saved(file)


def pickled_object(records: Records, file: Path) -> None:
    def change(tree: Any) -> None:
        payload = {"is_param": False, "use_pickle": True, "tensor_meta": None}
        tree["config"]["evil"] = payload | {"path_name": "opaque_obj_0"}

    edit(records, CONSTANTS, change)
    records["data/constants/opaque_obj_0"] = pickle.dumps(Touch(file))


def pickled_sample_inputs(records: Records, file: Path) -> None:
    records[SAMPLE_INPUTS] = _torch_saved(file)


def size_of_code(records: Records, file: Path) -> None:
    edit(records, PROGRAM, lambda tree: _set_all(tree, "expr_str", program(file)))


def guard_of_code(records: Records, file: Path) -> None:
    edit(records, PROGRAM, lambda tree: tree["guards_code"].append(f"{program(file)} is None"))


def _set_all(tree: Any, key: str, value: str) -> None:
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    for child in children:
        _set_all(child, key, value)
    if isinstance(tree, dict) and key in tree:
        tree[key] = value


def _torch_saved(file: Path) -> bytes:
    beside = file.with_suffix(".pt")
    torch.save((Touch(file),), beside)
    return beside.read_bytes()


def size_below_a_disguise(records: Records, file: Path) -> None:
    """A tensor that is named as what is not looked through."""

    def change(tree: Any) -> None:
        graph = tree["graph_module"]["graph"]
        _set_all(graph["tensor_values"]["z"], "expr_str", program(file))
        graph["tensor_values"]["metadata"] = graph["tensor_values"].pop("z")
        graph["nodes"] = json.loads(
            json.dumps(graph["nodes"]).replace('"name": "z"', '"name": "metadata"')
        )
        graph["inputs"] = json.loads(
            json.dumps(graph["inputs"]).replace('"name": "z"', '"name": "metadata"')
        )

    edit(records, PROGRAM, change)


RUN_CODE = [
    size_below_a_disguise,
    pickled_weight,
    pickled_object,
    pickled_sample_inputs,
    size_of_code,
    guard_of_code,
]


@pytest.mark.parametrize("evil", RUN_CODE)
def test_code_in_an_archive_is_refused_and_not_run(
    evil: Callable[[Records, Path], None], tmp_path: Path
) -> None:
    made = tmp_path / "made"
    archive = export(Halves(), tmp_path / "model.pt2")
    rewrite(archive, lambda records: evil(records, made))
    with pytest.raises(ValueError, match="must"):
        read_archive(archive)
    assert not made.exists()
    with suppress(Exception):  # the file is as evil as it is meant to be
        torch.export.load(archive).module()(torch.zeros(2, LATENT))
    assert made.exists()


def _first_target(records: Records, target: str) -> None:
    def change(tree: Any) -> None:
        tree["graph_module"]["graph"]["nodes"][0]["target"] = target

    edit(records, PROGRAM, change)


def _spec(records: Records, spec: str) -> None:
    def change(tree: Any) -> None:
        tree["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = spec

    edit(records, PROGRAM, change)


STRANGE: dict[str, Callable[[Records], None]] = {
    "a library": lambda r: r.update({"data/aotinductor/model/x.so": b""}),
    "old weights": lambda r: r.update({"data/weights/model.pt": b""}),
    "another operator": lambda r: _first_target(r, "torch.os.system"),
    "an operator on files": lambda r: _first_target(r, "torch.ops.aten.from_file.default"),
    "a library's operator": lambda r: _first_target(r, "torch.ops.fbgemm.dense.default"),
    "another structure": lambda r: _spec(r, pytree.treespec_dumps(pytree.tree_structure([0]))),
    "a name that is code": lambda r: replace(r, PROGRAM, '"z"', '"z=print()"'),
}


@pytest.mark.parametrize("what", STRANGE)
def test_what_an_export_does_not_hold_is_refused(what: str, tmp_path: Path) -> None:
    archive = rewrite(export(Halves(), tmp_path / "model.pt2"), lambda records: None)
    read_archive(archive)
    with pytest.raises(ValueError, match=r"must|no argument"):
        read_archive(rewrite(archive, STRANGE[what]))


def test_a_file_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    archive = export(Halves(), tmp_path / "model.pt2")
    with zipfile.ZipFile(archive, "a") as twice:
        (name,) = (name for name in twice.namelist() if name.endswith(PROGRAM))
        with pytest.warns(UserWarning, match="Duplicate"):
            twice.writestr(name, b"{}")
    with pytest.raises(ValueError, match="once"):
        read_archive(archive)


@torch.library.custom_op("gan_tune_tests::double", mutates_args=())
def double(x: Tensor) -> Tensor:
    return x * 2


@double.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class WithLibrary(nn.Module):
    """Has an operator that only a library of its own knows."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(LATENT, LATENT)

    def forward(self, z: Tensor) -> Tensor:
        return double(self.linear(z))


def test_what_could_not_be_read_is_told_before_a_search(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"but has torch\.ops\.gan_tune_tests\.double"):
        check_exportable(WithLibrary(), latent=LATENT)
    with pytest.raises(ValueError, match="gan_tune_tests"):
        read_archive(export(WithLibrary(), tmp_path / "model.pt2"))
