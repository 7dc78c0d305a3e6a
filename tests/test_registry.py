"""Registered generators in a real MLflow store."""

from __future__ import annotations

import gc
import os
import pickle
import re
import socket
import subprocess
import sys
import time
import warnings
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import mlflow.pyfunc
import mlflow.pytorch
import numpy as np
import pytest
import torch
import yaml
from mlflow import MlflowClient
from test_generator import Dropping, Noisy
from test_patience import small_disk
from test_weights import own_generator
from torch import nn

from gan_tune.data.columns import Column, columns_to_json
from gan_tune.errors import DeviceError, GanTuneError, ModelNotFoundError, OutputError
from gan_tune.model.confined import BATCHES
from gan_tune.record.tags import Tag
from gan_tune.registry.mlflow_model import COLUMNS
from gan_tune.registry.publish import Registration, export_champion, register_champion
from gan_tune.registry.pull import load_generator
from gan_tune.registry.versions import find_version, list_models

LATENT = 8


class Images(nn.Module):
    """z[B, 8] → images [B, 1, 8, 8], with layers that behave differently in training."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.project = nn.Linear(LATENT, 16 * 4)
        self.norm = nn.BatchNorm2d(16)
        self.dropout = nn.Dropout(0.5)
        self.up = nn.ConvTranspose2d(16, 1, 4, stride=4)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        maps = self.norm(self.project(z).view(-1, 16, 2, 2))
        return torch.sigmoid(self.up(self.dropout(maps)))


class OneBatch(nn.Module):
    """A generator that knows a single batch size, as some users' do."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.view(2, LATENT)


def register(
    uri: str, value: float, module: nn.Module | None = None, **changes: Any
) -> Registration:
    arguments: dict[str, Any] = {
        "latent": LATENT,
        "model": "digits",
        "run_id": None,
        "value": value,
        "mode": "min",
        "comparable": "frechet_distance/digits-abc/v1",
        "tags": {"gan_tune.search": "digits", "gan_tune.objective": "frechet_distance"},
        "uri": uri,
    }
    return register_champion(module or Images(), **{**arguments, **changes})


def champion(uri: str, model: str = "digits") -> int:
    return int(MlflowClient(uri).get_model_version_by_alias(model, "champion").version)


def test_round_trip_gives_the_same_samples(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "False")
    module = Images().train()
    register(uri, 0.5, module)
    generator = load_generator("digits", uri=uri)
    for batch in (1, 2, 3, 64, 65, 200):
        z = torch.randn(batch, LATENT)
        with torch.inference_mode():
            expected = module.eval()(z)
        # It computes in batches of other sizes, which round otherwise, where that was not tried.
        torch.testing.assert_close(generator(z), expected, rtol=0, atol=1e-6)
        assert batch not in BATCHES or torch.equal(generator(z), expected)
    assert generator.latent == LATENT
    assert generator.tags["gan_tune.value"] == "0.5"


@pytest.mark.ci
def test_a_full_disk_is_told_when_a_champion_is_exported(tmp_path: Path) -> None:
    """Torch's own writing would end this process as the half-written archive is freed."""
    for size in ("8k", "24k", "40k"):
        with small_disk(tmp_path / "disk", size) as disk:
            with pytest.raises(OutputError, match=r"cannot be written: .*No space left") as told:
                export_champion(
                    Images(),
                    disk / "model",
                    latent=LATENT,
                    model="digits",
                    trial=None,
                    value=1.0,
                    mode="min",
                    comparable="",
                )
            assert "\n" not in str(told.value)
            gc.collect()
        (tmp_path / "disk").rmdir()


def test_registering_leaves_the_module_as_it_was(uri: str) -> None:
    module = Images().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    register(uri, 0.5, module)
    assert module.training
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_seed_decides_the_samples_however_many(uri: str) -> None:
    register(uri, 0.5)
    generator = load_generator("digits", uri=uri)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    many = generator.sample(130, seed=7)
    assert torch.equal(torch.get_rng_state(), before)
    assert many.shape == (130, 1, 8, 8)
    assert many.dtype == torch.float32
    for n in (1, 5, 64, 65):
        assert torch.equal(generator.sample(n, seed=7), many[:n])
    assert not torch.equal(generator.sample(5, seed=8), many[:5])
    with pytest.raises(ValueError, match="n must be at least 1: 0"):
        generator.sample(0, seed=1)


def test_no_pickle_and_extra_files_travel_along(uri: str, tmp_path: Path) -> None:
    (tmp_path / "grid.png").write_bytes(b"grid")
    register(uri, 0.5, files={"champion.png": tmp_path / "grid.png", "note.txt": b"hello"})
    files = {path.name: path for path in (tmp_path / "mlruns").rglob("*") if path.is_file()}
    assert files["champion.png"].read_bytes() == b"grid"
    assert files["note.txt"].read_bytes() == b"hello"
    assert not {".pkl", ".pth", ".pickle"} & {path.suffix for path in files.values()}
    assert zipfile.is_zipfile(files["model.pt2"])
    assert "torch<3,>=" in files["requirements.txt"].read_text()


class Rows(nn.Module):
    """z[B, 8] → rows [B, 2]."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(LATENT, 2)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        samples: torch.Tensor = self.project(z)
        return samples


def test_the_columns_of_a_table_travel_along(uri: str) -> None:
    columns = (Column("age", "int64"), Column("in come", "double"))
    register(uri, 0.5, Rows(), files={COLUMNS: columns_to_json(columns)})
    assert load_generator("digits", uri=uri).columns == columns
    register(uri, 0.4)
    assert load_generator("digits", uri=uri).columns == ()


def test_columns_that_are_none_are_refused(uri: str) -> None:
    register(uri, 0.5, Rows(), files={COLUMNS: b'[{"name": "age", "type": "text"}]'})
    with pytest.raises(
        GanTuneError, match=r"digits/1: columns.json: .*type must be one of"
    ) as told:
        load_generator("digits", uri=uri)
    assert "\n" not in str(told.value)


def test_the_model_serves_plain_arrays(uri: str) -> None:
    register(uri, 0.5)
    client = MlflowClient(uri)
    source = client.get_model_version_download_uri("digits", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        served = mlflow.pyfunc.load_model(source)
    generator = load_generator("digits", uri=uri)
    for n in (1, 3, 64, 1000):
        z = np.random.default_rng(0).normal(size=(n, LATENT)).astype(np.float32)
        expected = generator(torch.from_numpy(z)).numpy()
        np.testing.assert_allclose(served.predict(z), expected, rtol=0, atol=1e-6)
        assert n not in BATCHES or np.array_equal(served.predict(z), expected)


@pytest.mark.ci
def test_mlflow_serves_the_model_by_its_own_means(uri: str, tmp_path: Path) -> None:
    register(uri, 0.5, own_generator("mlp", latent=LATENT))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = f"models serve -m models:/digits@champion --env-manager local --port {port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words.split()],
        cwd=tmp_path,
        env=os.environ | {"MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            while True:
                with suppress(httpx.TransportError):
                    if client.get("/ping").is_success:
                        break
                assert server.poll() is None
                time.sleep(0.2)
            for n in (1, 1000):
                z = np.random.default_rng(0).normal(size=(n, LATENT)).astype(np.float32)
                answer = client.post("/invocations", json={"inputs": z.tolist()}).json()
                found = np.array(answer["predictions"], np.float32)
                expected = load_generator("digits", uri=uri)(torch.from_numpy(z))
                np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-6)
    finally:
        server.terminate()
        server.wait(30)


def test_an_own_network_is_read_without_torchs_archive(uri: str, tmp_path: Path) -> None:
    module = own_generator("dcgan", latent=LATENT, norm="spectral")
    register(uri, 0.5, module)
    (archive,) = (tmp_path / "mlruns").rglob("model.pt2")
    archive.write_bytes(b"of another release of torch")
    generator = load_generator("digits", uri=uri)
    assert module.config is not None
    assert generator.config is not None
    assert replace(generator.config, sha256=None) == module.config
    z = torch.randn(5, LATENT)
    with torch.no_grad():
        assert torch.equal(generator(z), module(z))
    for device in ("cudda", "hpu"):  # no device, and one whose package is not there
        with pytest.raises(DeviceError, match=f"device {device}: "):
            load_generator("digits", uri=uri, device=device)


def test_a_version_that_says_another_size_of_its_latents_is_refused(uri: str) -> None:
    register(uri, 0.5, own_generator("dcgan", latent=LATENT))
    MlflowClient(uri).set_model_version_tag("digits", "1", "gan_tune.latent", "7")
    rule = f"model digits/1: tag gan_tune.latent must be {LATENT}, as generator.json says: 7"
    with pytest.raises(GanTuneError, match=re.escape(rule)):
        load_generator("digits", uri=uri)


EXPORTS = """
import logging, sys
from pathlib import Path
import torch
from gan_tune.registry.mlflow_model import save_model

before = logging.getLogger().level, list(logging.getLogger().handlers)
save_model(Path(sys.argv[1]), torch.nn.Linear(2, 2), latent=2, run_id="0", files={})
assert (logging.getLogger().level, list(logging.getLogger().handlers)) == before
logging.getLogger("gan_tune").warning("is heard")
"""


@pytest.mark.ci
def test_saving_a_model_leaves_the_warnings_of_the_process_alone(tmp_path: Path) -> None:
    """MLflow's import of its own part for torch would silence them."""
    ended = subprocess.run(
        [sys.executable, "-c", EXPORTS, str(tmp_path / "model")], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.endswith("is heard\n")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("generator.safetensors", b"damaged", "generator.safetensors is damaged"),
        ("generator.json", b"{", "generator.json: must be JSON"),
        ("generator.json", b" " * (2**20 + 1), "must have at most 1,048,576 bytes, but has"),
    ],
)
def test_a_damaged_model_is_refused_in_one_line(
    name: str, content: bytes, says: str, uri: str, tmp_path: Path
) -> None:
    register(uri, 0.5, own_generator("mlp", latent=LATENT))
    (file,) = (tmp_path / "mlruns").rglob(name)
    file.write_bytes(content)
    with pytest.raises(GanTuneError, match="digits/1") as told:
        load_generator("digits", uri=uri)
    assert says in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("network", [Noisy, Dropping])
def test_a_seed_holds_what_a_registered_network_draws(network: type[nn.Module], uri: str) -> None:
    register(uri, 0.5, network())
    first, second = (load_generator("digits", uri=uri) for _ in range(2))
    torch.manual_seed(1)
    samples = first.sample(100, seed=3)
    torch.manual_seed(2)
    assert torch.equal(second.sample(100, seed=3), samples)


@pytest.mark.parametrize(
    ("mode", "value", "promoted", "says"),
    [
        ("min", 0.4, True, "0.4 beats version 1's 0.5"),
        ("min", 0.5, False, "version 1 stays champion: its 0.5 is not beaten by 0.5"),
        ("min", 0.6, False, "version 1 stays champion"),
        ("max", 0.6, True, "0.6 beats version 1's 0.5"),
        ("max", 0.4, False, "version 1 stays champion"),
    ],
)
def test_only_a_better_one_becomes_champion(
    uri: str, mode: str, value: float, promoted: bool, says: str
) -> None:
    first = register(uri, 0.5, mode=mode)
    assert (first.version, first.promoted, first.reason) == (
        1,
        True,
        "the first champion of digits",
    )
    second = register(uri, value, Images(seed=1), mode=mode)
    assert (second.version, second.promoted) == (2, promoted)
    assert says in second.reason
    assert champion(uri) == (2 if promoted else 1)
    assert second.model_uri == "models:/digits/2"


@pytest.mark.parametrize(
    ("seeds", "values", "holder", "says"),
    [
        ((3, 0), (0.5, 0.4), 1, "version 1 stays champion: its 0.5 is confirmed (seeds: 3), and"),
        ((0, 2), (0.4, 0.5), 2, "0.5 is confirmed (seeds: 2), and version 1's 0.4 is not"),
        ((3, 2), (0.5, 0.4), 2, "0.4 beats version 1's 0.5"),
        ((0, 0), (0.5, 0.4), 2, "0.4 beats version 1's 0.5"),
    ],
)
def test_luck_displaces_no_confirmed_champion(
    uri: str, seeds: tuple[int, int], values: tuple[float, float], holder: int, says: str
) -> None:
    register(uri, values[0], confirmed_seeds=seeds[0])
    second = register(uri, values[1], Images(seed=1), confirmed_seeds=seeds[1])
    assert (champion(uri), second.promoted) == (holder, holder == 2)
    assert says in second.reason


def test_unlike_values_are_never_compared(uri: str) -> None:
    register(uri, 0.5)
    other = register(uri, 0.1, Images(seed=1), comparable="frechet_distance/digits-abc/v2")
    assert (other.version, other.promoted) == (2, False)
    assert "--model OTHERNAME" in other.reason
    assert "\n" not in other.reason
    assert champion(uri) == 1


def test_registering_again_makes_no_second_version(uri: str) -> None:
    register(uri, 0.5)
    again = register(uri, 0.5)
    assert (again.version, again.promoted) == (1, True)
    assert again.reason == "version 1 is the champion already"
    assert register(uri, 0.5, Images(seed=1)).version == 2


def test_a_registered_model_belongs_to_its_run(uri: str) -> None:
    client = MlflowClient(uri)
    run = client.create_run(client.create_experiment("digits", "file:///" + uri[11:-9] + "files"))
    register(uri, 0.5, run_id=run.info.run_id)
    assert client.get_model_version("digits", "1").run_id == run.info.run_id
    assert len(client.get_run(run.info.run_id).outputs.model_outputs) == 1


def test_a_model_is_named_in_many_ways(uri: str) -> None:
    register(uri, 0.5)
    register(uri, 0.4, Images(seed=1))
    MlflowClient(uri).set_registered_model_alias("digits", "old", "1")
    versions = {
        "digits": 2,
        "digits@champion": 2,
        "digits@old": 1,
        "digits/1": 1,
        "models:/digits/1": 1,
        "models:/digits@champion": 2,
    }
    assert {name: load_generator(name, uri=uri).version for name in versions} == versions
    assert load_generator("digits", version=1, uri=uri).version == 1


def test_a_model_that_is_not_there_is_named_with_those_that_are(uri: str) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no model named 'digts' in .*; there are: none$"):
        load_generator("digts", uri=uri)
    register(uri, 0.5)
    register(uri, 0.5, model="faces")
    cases = {
        "digts": "there are: digits, faces",
        "a'b\"c": "no model named 'a\\'b\"c' in ",
        "digits'b\"c/3": "there are: digits, faces",
        "digits@best": "model 'digits' has no alias 'best'; its versions are: 1",
        "digits/7": "model 'digits' has no version 7; its versions are: 1",
    }
    for name, says in cases.items():
        with pytest.raises(ModelNotFoundError) as caught:
            load_generator(name, uri=uri)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)


def test_models_are_listed(uri: str) -> None:
    assert list_models(uri) == []
    register(uri, 0.5)
    register(uri, 0.7, Images(seed=1))
    MlflowClient(uri).create_registered_model("someone elses")
    (info,) = list_models(uri)
    assert (info.name, info.version, info.value) == ("digits", 1, 0.5)
    assert (info.objective, info.search) == ("frechet_distance", "digits")
    MlflowClient(uri).delete_registered_model_alias("digits", "champion")
    assert list_models(uri)[0].version is None


def test_a_pickled_model_is_not_loaded(uri: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pytorch.save_model(
            Images(),
            tmp_path / "mlruns/pickled",
            serialization_format="pickle",
            pip_requirements=[],
        )
    client = MlflowClient(uri)
    run = client.create_run(client.create_experiment("x", (tmp_path / "x").as_uri()))
    client.create_registered_model("pickled")
    source = (tmp_path / "mlruns/pickled").as_uri()
    client.create_model_version("pickled", source, run.info.run_id, tags={Tag.LATENT: "6"})
    with pytest.raises(GanTuneError, match="not in torch's pt2 format"):
        load_generator("pickled/1", uri=uri)


def test_a_tampered_archive_is_not_loaded(uri: str, tmp_path: Path) -> None:
    register(uri, 0.5)
    (archive,) = (tmp_path / "mlruns").rglob("model.pt2")
    with zipfile.ZipFile(archive) as sound:
        prefix = sound.namelist()[0].split("/")[0]
    with zipfile.ZipFile(archive, "a") as tampered:
        tampered.writestr(f"{prefix}/data/constants/evil", pickle.dumps(os.system))
    with pytest.raises(GanTuneError, match=r"model digits/1 cannot be loaded: .*pickle"):
        load_generator("digits", uri=uri)


def test_code_beside_a_model_is_not_run(uri: str, tmp_path: Path) -> None:
    """MLflow itself imports what `pickle_module_info.txt` names, from the model's own `code`."""
    register(uri, 0.5)
    (archive,) = (tmp_path / "mlruns").rglob("model.pt2")
    folder, ran = archive.parent.parent, tmp_path / "ran"
    (folder / "code").mkdir()
    (folder / "code" / "evil_of_a_model.py").write_text(f"import os; os.mkdir({str(ran)!r})")
    described = yaml.safe_load((folder / "MLmodel").read_text())
    described["flavors"]["pytorch"]["code"] = "code"
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    (archive.parent / "model.pth").touch()
    (archive.parent / "pickle_module_info.txt").write_text("evil_of_a_model")
    path = list(sys.path)
    assert load_generator("digits", uri=uri).sample(2, seed=0).shape == (2, 1, 8, 8)
    assert sys.path == path
    assert not ran.exists()
    with suppress(Exception):  # the model is as evil as it is meant to be
        mlflow.pytorch.load_model(str(folder))
    sys.path[:] = path
    assert ran.exists()


def test_a_version_is_found_without_its_weights(uri: str, tmp_path: Path) -> None:
    register(uri, 0.5)
    generator = load_generator("digits@champion", uri=uri)
    (archive,) = (tmp_path / "mlruns").rglob("model.pt2")
    archive.unlink()
    found = find_version("digits@champion", uri=uri)
    assert (found.name, found.version, found.tags) == ("digits", 1, generator.tags)
    with pytest.raises(ModelNotFoundError, match="has no version 7"):
        find_version("digits/7", uri=uri)


def test_what_cannot_be_registered_is_refused_in_one_line(uri: str) -> None:
    cases = [
        ({"value": 0.5, "module": OneBatch()}, "OneBatch cannot be exported"),
        ({"value": float("nan")}, "must be finite: nan"),
        ({"value": 0.5, "model": "a'b\"c"}, "must not contain both kinds of quotes: 'a\\'b\"c'"),
        ({"value": 0.5, "model": "a/b"}, "must not be empty nor contain / : @: 'a/b'"),
    ]
    for arguments, says in cases:
        with pytest.raises(GanTuneError) as caught:
            register(uri, **arguments)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
    assert list_models(uri) == []


def test_registering_and_loading_are_silent(uri: str, capfd: pytest.CaptureFixture[str]) -> None:
    register(uri, 0.5)
    register(uri, 0.4, Images(seed=1))
    load_generator("digits", uri=uri)
    assert capfd.readouterr() == ("", "")
