"""Models that somebody has damaged: drawn from, or refused in one line, and never run as code.

The guard is tried in this process. What passes it goes to the child, which takes seconds: 10
examples in CI, one of 2,000 of those asked for.
"""

from __future__ import annotations

import copy
import io
import json
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import trial_config
from fuzzing import ASKED, for_as_long_as_it_takes, lanes, refuses_or_takes
from hypothesis import assume
from hypothesis import strategies as st
from mutations import ODD_TEXTS, contents, stored
from test_archive import LATENT, Halves, export

from gan_tune.config import Part
from gan_tune.data.by_name import load_dataset
from gan_tune.data.columns import Column, columns_to_json
from gan_tune.data.scaling import standard
from gan_tune.gan.networks import build_network, without_parametrizations
from gan_tune.model import confined
from gan_tune.model.archive import PROGRAM, check_archive
from gan_tune.model.export import ExportedGenerator
from gan_tune.model.folder import COLUMNS, PT2, read_folder
from gan_tune.model.generator_config import CONFIG, GeneratorConfig, config_to_json
from gan_tune.model.operators import OPERATORS
from gan_tune.model.weights import WEIGHTS, stored_files

LONGEST = 20.0
"""Seconds of a processor that the guard may take for one archive."""

Records = Mapping[str, bytes]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """The files of a sound archive, with the archive's own folder in their names."""
    path = export(Halves(), tmp_path_factory.mktemp("sound") / "model.pt2")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(records: Records, compression: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, record in records.items():
            archive.writestr(name, record)
    return content.getvalue()


@st.composite
def graphs(draw: st.DrawFn, program: bytes) -> bytes:
    """A program after one to three changes that leave its form: operators, names, numbers."""
    tree = copy.deepcopy(json.loads(program))
    nodes = tree["graph_module"]["graph"]["nodes"]
    for _ in range(draw(st.integers(1, 3))):
        node = draw(st.sampled_from(nodes))
        how = draw(st.sampled_from(["operator", "number", "name", "copy", "drop"]))
        if how == "operator":
            node["target"] = draw(st.sampled_from(sorted(OPERATORS)))
        elif how in ("number", "name"):
            _change_argument(draw, node, nodes, how)
        elif how == "copy":
            nodes.insert(draw(st.integers(0, len(nodes))), copy.deepcopy(node))
        elif len(nodes) > 1:
            nodes.remove(node)
    return json.dumps(tree).encode()


def _change_argument(draw: st.DrawFn, node: Any, nodes: Any, how: str) -> None:
    if not node["inputs"]:
        return
    given = draw(st.sampled_from(node["inputs"]))
    numbers = st.one_of(st.integers(-3, 70), st.sampled_from([2**31, 2**40, 2**62, -(2**63)]))
    if how == "name":
        outputs = [output.get("arg", {}) for other in nodes for output in other["outputs"]]
        names = [output.get("as_tensor", {}).get("name", "z") for output in outputs]
        given["arg"] = {"as_tensor": {"name": draw(st.sampled_from([*names, "z", "p", ""]))}}
    else:
        kind = draw(st.sampled_from(["as_int", "as_ints", "as_float", "as_bool", "as_none"]))
        values = {"as_ints": st.lists(numbers, max_size=4), "as_bool": st.booleans()}
        given["arg"] = {kind: draw(values.get(kind, numbers))}


def damaged(records: Records) -> st.SearchStrategy[bytes]:
    program = next(name for name in records if name.endswith(PROGRAM))
    texts = [name for name in records if name.endswith(".json")]
    others = [name for name in records if name not in texts]
    # A record has a name, which ends at the first NUL.
    odd = [text for text in ODD_TEXTS[:-2] if text.partition("\0")[0]]
    names = st.sampled_from([*records, *odd, "a/data/aotinductor/x.so", "../x", "a/b"])

    def with_record(name: str, content: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        return content.map(lambda new: zipped({**records, name: new}))

    def renamed(old: str, new: str) -> bytes:
        return zipped({new if name == old else name: record for name, record in records.items()})

    return st.one_of(
        with_record(program, graphs(records[program])),
        with_record(program, stored(records[program])),
        *(with_record(name, stored(records[name])) for name in texts),
        *(with_record(name, contents(records[name])) for name in others),
        st.builds(renamed, st.sampled_from(sorted(records)), names),
        st.sampled_from([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]).map(
            lambda c: zipped(records, c)
        ),
        contents(zipped(records)),
    )


@pytest.fixture
def folder(tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pulled folder of a network of somebody's own; nothing was tried before."""
    monkeypatch.setattr(confined, "_sound", set())
    (tmp_path / CONFIG).write_bytes(config_to_json(GeneratorConfig(LATENT, (2, 4))))
    (tmp_path / PT2).write_bytes(zipped(records))
    return tmp_path


@pytest.mark.ci
def test_the_archive_is_sound_before_it_is_damaged(folder: Path) -> None:
    assert read_folder(folder, "cpu").sample(3).shape == (3, 2, 4)


@lanes
def test_a_damaged_archive(
    examples: int, folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_tried(path: Path, latent: int) -> None:
        raise ValueError("not tried here")

    monkeypatch.setattr(confined, "_try_in_child", not_tried)

    def read(content: bytes) -> None:
        (folder / PT2).write_bytes(content)
        started = time.process_time()
        try:
            read_folder(folder, "cpu")
        finally:
            assert time.process_time() - started < LONGEST

    refuses_or_takes(examples, damaged(records), read)


@pytest.mark.ci
@for_as_long_as_it_takes
def test_what_passes_the_guard_ends_in_the_child_or_draws(folder: Path, records: Records) -> None:
    program = next(name for name in records if name.endswith(PROGRAM))

    def read(content: bytes) -> None:
        (folder / PT2).write_bytes(zipped({**records, program: content}))
        assume(_passes(folder / PT2))
        assert read_folder(folder, "cpu").sample(3).shape[0] == 3

    examples = max(10, int(ASKED or 0) // 2000)
    refuses_or_takes(examples, graphs(records[program]), read, shrinks=False)


def _passes(path: Path) -> bool:
    try:
        check_archive(path)
    except Exception:  # torch raises anything
        return False
    return True


@lanes
def test_damaged_weights_of_our_own_network(examples: int, tmp_path: Path) -> None:
    part = trial_config(generator={"name": "mlp", "latent": LATENT, "hidden": [4]}).generator
    config = GeneratorConfig(LATENT, (2,), Part(name="mlp", args=part.args), "affine")
    network = build_network("generator", (2,), name="mlp", args=part.args)
    scaling = standard(load_dataset("ring"))
    module = ExportedGenerator(without_parametrizations(network), scaling, config=config)
    files = stored_files(module, config) | {
        COLUMNS: columns_to_json([Column("a", "float"), Column("b", "bool")])
    }
    # Without the digest, so that changed weights are read.
    files[CONFIG] = config_to_json(config)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert read_folder(tmp_path, "cpu").sample(3).shape == (3, 2)

    def read(one: tuple[str, bytes]) -> None:
        name, content = one
        (tmp_path / name).write_bytes(content)
        try:
            assert read_folder(tmp_path, "cpu").sample(3).dtype == torch.float32
        finally:
            (tmp_path / name).write_bytes(files[name])

    changed = {WEIGHTS: contents(files[WEIGHTS])}
    changed |= {name: stored(files[name]) for name in (CONFIG, COLUMNS)}
    either = [st.tuples(st.just(name), content) for name, content in changed.items()]
    refuses_or_takes(examples if ASKED else examples // 4, st.one_of(either), read)
