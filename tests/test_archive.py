"""Exported generators are read without running any code that their file may hold."""

from __future__ import annotations

import io
import json
import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import trial_config
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gan_tune.gan.networks import NETWORKS, build_network, without_parametrizations
from gan_tune.model.archive import PROGRAM, SAMPLE_INPUTS, check_archive, read_archive
from gan_tune.model.export import check_exportable
from gan_tune.model.operators import OPERATORS

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


@cache
def _exported() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return export(Halves(), Path(folder, "model.pt2")).read_bytes()


def copied(folder: Path) -> Path:
    """A sound archive."""
    archive = folder / "model.pt2"
    archive.write_bytes(_exported())
    return archive


# -------------------------------------------------- files that harm without any code of their own

HARMFUL = [
    *("max_pool2d_with_indices_backward.default", "adaptive_max_pool2d_backward.default"),
    *("max_pool3d_with_indices_backward.default", "_sparse_coo_tensor_unsafe.default"),
    *("_embedding_bag_dense_backward.default", "segment_reduce.default", "_ctc_loss.default"),
    *("_print.default", "from_file.default", "save.default", "native_group_norm.default"),
    *(
        "native_batch_norm.default",
        "_reshape_alias.default",
        "_unsafe_index.Tensor",
        "item.default",
    ),
    *("upsample_nearest2d.default", "as_strided.default", "set_.source_Tensor", "lstm.input"),
]


@pytest.mark.parametrize("operator", HARMFUL)
def test_what_trusts_its_arguments_is_refused(operator: str, tmp_path: Path) -> None:
    archive = copied(tmp_path)
    rewrite(archive, lambda records: _first_target(records, f"torch.ops.aten.{operator}"))
    with pytest.raises(ValueError, match="target: must be"):
        check_archive(archive)


def test_the_list_names_operators_that_torch_has_and_that_write_their_own_results_alone() -> None:
    for name in OPERATORS:
        library, _, rest = name.removeprefix("torch.ops.").partition(".")
        if library != "aten":
            continue
        operator, _, overload = rest.partition(".")
        schema = getattr(getattr(torch.ops.aten, operator), overload)._schema
        assert "backward" not in operator
        assert not any(argument.is_out for argument in schema.arguments), name
        kinds = {str(argument.type) for argument in schema.arguments}
        assert not kinds & {"str", "Storage"} or operator in WITH_WORDS, name


WITH_WORDS = {
    *("gelu", "conv1d", "conv2d", "conv3d", "einsum", "pad", "meshgrid", "_assert_scalar", "div"),
    *("div_", "rot90", "searchsorted"),
}
"""Operators that take words: how to round or pad, or what to say of a size that is wrong."""


def _payload(records: Records, **changes: Any) -> None:
    def change(tree: Any) -> None:
        next(iter(tree["config"].values()))["tensor_meta"].update(changes)

    edit(records, WEIGHTS, change)


def _empty_payload(records: Records) -> None:
    """torch makes a tensor of any size for a file of no bytes."""
    _payload(records, sizes=[{"as_int": 10**12}], strides=[{"as_int": 1}])
    records["data/weights/weight_0"] = b""


def _size(expression: str) -> Callable[[Records], None]:
    return lambda records: edit(
        records, PROGRAM, lambda tree: _set_all(tree, "expr_str", expression)
    )


def _guard(expression: str) -> Callable[[Records], None]:
    return lambda records: edit(
        records, PROGRAM, lambda tree: tree["guards_code"].append(expression)
    )


def _unfilled(records: Records) -> None:
    def change(tree: Any) -> None:
        node = tree["graph_module"]["graph"]["nodes"][0]
        node["target"] = "torch.ops.aten.empty_like.default"

    edit(records, PROGRAM, change)


def _sample_inputs(**globals_: str) -> Callable[[Records], None]:
    def change(records: Records) -> None:
        changed = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(records[SAMPLE_INPUTS])) as sound,
            zipfile.ZipFile(changed, "w") as other,
        ):
            for name in sound.namelist():
                content = sound.read(name)
                for old, new in globals_.items():
                    content = content.replace(old.encode(), new.encode())
                other.writestr(name, content)
        records[SAMPLE_INPUTS] = changed.getvalue()

    return change


TOO_LARGE: dict[str, tuple[Callable[[Records], None], str]] = {
    "a tensor beyond its file": (
        lambda r: _payload(r, sizes=[{"as_int": 10**6}], strides=[{"as_int": 1}]),
        "within its file",
    ),
    "an offset beyond its file": (lambda r: _payload(r, storage_offset={"as_int": 99}), "within"),
    "a negative stride": (
        lambda r: _payload(r, strides=[{"as_int": -8}, {"as_int": 1}]),
        "0 or more",
    ),
    "a tensor of no bytes": (_empty_payload, "within its file"),
    "a power without end": (_size("9**9**9**9"), "powers"),
    "a power of powers": (_size("Pow(Pow(9, 8), 8)"), "powers"),
    "a large power": (_size("Pow(Integer(9), Integer(999999999))"), "powers"),
    "a long size": (_size("9*" * 1500 + "9"), "at most"),
    "a large number": (_size("9" * 40), "64-bit"),
    "a guard without end": (_guard("9**9**9**9 == 1"), "must"),
    "a guard of functions without end": (_guard("PowByNatural(9, 99999999) == 1"), "powers"),
    "a sparse tensor": (lambda r: edit(r, PROGRAM, lambda t: _set_all(t, "layout", 0)), "dense"),
    "memory as it lies": (_unfilled, "fill at once"),
    "another pickle": (_sample_inputs(OrderedDict="defaultdict"), "must be tensors"),
}


@pytest.mark.parametrize("what", TOO_LARGE)
def test_what_a_file_only_promises_is_refused_before_it_is_read(what: str, tmp_path: Path) -> None:
    change, rule = TOO_LARGE[what]
    archive = rewrite(copied(tmp_path), change)
    with pytest.raises(ValueError, match=rule):
        check_archive(archive)


def test_a_file_that_unpacks_to_more_is_refused(tmp_path: Path) -> None:
    archive = copied(tmp_path)
    with zipfile.ZipFile(archive) as sound:
        records = {name: sound.read(name) for name in sound.namelist()}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in records.items():
            packed.writestr(name, content + b" " * 10**7 * name.endswith(PROGRAM))
    with pytest.raises(ValueError, match="without compression"):
        check_archive(archive)


def test_what_a_tabular_generator_draws_is_filled(tmp_path: Path) -> None:
    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(LATENT, 3)

        def forward(self, z: Tensor) -> Tensor:
            return nn.functional.gumbel_softmax(self.linear(z), tau=0.2, hard=True)

    check_exportable(Choosing(), latent=LATENT)
    read = read_archive(export(Choosing(), tmp_path / "model.pt2"))
    assert torch.equal(read(torch.zeros(5, LATENT)).sum(1), torch.ones(5))
