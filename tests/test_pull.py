"""A pulled folder: what it holds, and that it draws where there is no gan-tune."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_generator import LATENT, Dropping, Noisy, Plain
from test_patience import small_disk
from test_scaling import COLUMNS, by_column, column_of
from test_weights import own_generator

from gan_tune.data.columns import Column
from gan_tune.errors import DataError, GanTuneError, ModelNotFoundError, OutputError
from gan_tune.gan.networks import GENERATORS
from gan_tune.model.archive import read_archive
from gan_tune.model.export import exported, save_program, saved_whole
from gan_tune.model.folder import Exports, check_folder, read_folder, write_folder
from gan_tune.model.generator import Generator
from gan_tune.model.generator_config import GeneratorConfig, config_to_json
from gan_tune.registry.mlflow_model import REQUIREMENTS
from gan_tune.samples.output import check_place, write_file
from gan_tune.service.folder_card import card
from gan_tune.service.generator_source import find_generator
from gan_tune.starting.sources import source_of

ROOT = Path(__file__).parents[1]


def of(module: Any, latent: int = 6, **others: Any) -> Generator:
    return Generator("faces", 3, latent, module, config=getattr(module, "config", None), **others)


def table() -> Generator:
    scaling = by_column(*map(column_of, COLUMNS))
    module = own_generator("mlp", (len(COLUMNS),), scaling=scaling, output="linear")
    return of(module, columns=tuple(Column(name, "float") for name in COLUMNS))


CASES: dict[str, Callable[[], Generator]] = {
    **{name: lambda name=name: of(own_generator(name)) for name in GENERATORS},  # type: ignore[misc]
    "attention": lambda: of(own_generator("dcgan", attention=True, norm="spectral")),
    "points": lambda: of(own_generator("mlp", (2,), output="linear")),
    "table": table,
    "user's": lambda: of(exported(Plain(), latent=LATENT).module(), LATENT),
}


TAGS = {
    "gan_tune.search": "digits",
    "gan_tune.trial": "0004",
    "gan_tune.objective": "frechet_distance",
    "gan_tune.mode": "min",
    "gan_tune.value": "12.3456",
    "gan_tune.confirmed_seeds": "3",
    "gan_tune.test.recall": "0.5",
}
TAGGED = replace(CASES["mlp"](), tags=TAGS)


def written(generator: Generator, folder: Path) -> Path:
    write_folder(generator, folder, lambda exports: card(generator, exports))
    return folder


def test_what_was_pulled_draws_the_same(folder: Path) -> None:
    assert torch.equal(read_folder(folder, "cpu").sample(70, seed=1), TAGGED.sample(70, seed=1))


@pytest.mark.ci
@pytest.mark.parametrize("case", CASES)
def test_every_generator_is_exported_and_read_back(case: str, tmp_path: Path) -> None:
    generator = CASES[case]()
    made = write_folder(generator, tmp_path / "out", lambda exports: card(generator, exports))
    assert made.without_onnx == ""
    assert made.onnx_deviation is not None
    assert made.onnx_deviation <= 1e-5
    back = read_folder(tmp_path / "out", "cpu")
    assert torch.equal(back.sample(70, seed=1), generator.sample(70, seed=1))
    assert (back.latent, back.shape, back.columns) == (
        generator.latent,
        generator.shape,
        generator.columns,
    )
    told = json.loads((tmp_path / "out" / "generator.json").read_text())
    assert (told["latent"], tuple(told["shape"])) == (generator.latent, generator.shape)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@pytest.mark.ci
@pytest.mark.parametrize("network", [Noisy, Dropping])
def test_what_draws_in_forward_has_no_onnx_and_says_why(network: type, tmp_path: Path) -> None:
    generator = of(exported(network(), latent=LATENT).module(), LATENT)
    folder = written(generator, tmp_path / "out")
    assert not (folder / "generator.onnx").exists()
    assert not (folder / "draw_with_onnxruntime.py").exists()
    assert "There is no ONNX file: its network draws" in (folder / "README.md").read_text()
    back = read_folder(folder, "cpu")
    assert torch.equal(back.sample(70, seed=1), generator.sample(70, seed=1))


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is made once."""
    return written(TAGGED, tmp_path_factory.mktemp("pulled") / "out")


@pytest.fixture
def folder(pulled: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(pulled, tmp_path / "out"))


def test_the_card_says_what_it_is(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    for words in (
        "# faces/3",
        "6 standard normal latents in, pictures 1 × 8 × 8 in [0, 1] out",
        "in the search `digits`, trial `0004`",
        "| frechet_distance (min), selection split, mean of 3 fresh seeds | 12.35 |",
        "| test.recall | 0.5 |",
    ):
        assert words in text
    for name in os.listdir(folder):
        assert name == "README.md" or name in text


@pytest.mark.parametrize(
    ("tag", "lost"),
    [
        ("gan_tune.confirmed_seeds", "12.35"),
        ("gan_tune.value", "12.35"),
        ("gan_tune.mode", "12.35"),
        ("gan_tune.test.recall", "test.recall"),
    ],
)
def test_a_damaged_tag_costs_a_figure_and_not_the_folder(tag: str, lost: str) -> None:
    exports = Exports("2.10", None, "why not")
    text = card(replace(TAGGED, tags=TAGS | {tag: "x"}), exports)
    kept = ({"| 12.35 |", "| test.recall | 0.5 |"} - {f"| {lost} |", f"| {lost} | 0.5 |"}).pop()
    assert kept in text
    assert lost not in text


def test_a_version_without_a_mode_has_a_card() -> None:
    tags = {tag: value for tag, value in TAGS.items() if tag != "gan_tune.mode"}
    text = card(replace(TAGGED, tags=tags), Exports("2.10", None, "why not"))
    assert "| frechet_distance (-), selection split, mean of 3 fresh seeds | 12.35 |" in text


def test_only_an_earlier_such_folder_is_replaced(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="out: exists already; --force replaces it"):
        check_folder(folder, force=False)
    check_folder(folder, force=True)
    (folder / "thesis.tex").touch()
    with pytest.raises(OutputError, match=r"holds other files than a model's \(thesis.tex\)"):
        check_folder(folder, force=True)
    with pytest.raises(OutputError, match=r"its folder .* must exist"):
        check_folder(tmp_path / "no" / "out", force=False)


@pytest.mark.ci
def test_a_disk_that_fills_leaves_nothing_half(tmp_path: Path) -> None:
    for size in ("8k", "24k", "40k", "56k"):
        with small_disk(tmp_path / "disk", size) as disk:
            with pytest.raises(OutputError, match="out: cannot be written: No space left") as told:
                written(TAGGED, disk / "out")
            assert "\n" not in str(told.value)
            assert os.listdir(disk) == []
        (tmp_path / "disk").rmdir()


def test_a_program_is_written_by_way_of_memory_whoever_asks(tmp_path: Path) -> None:
    program, save = exported(Plain(), latent=LATENT), torch.export.save
    with saved_whole():
        torch.export.save(program, str(tmp_path / "mlflows.pt2"), extra_files={"note": "x"})
        save_program(program, tmp_path / "ours.pt2")
        torch.export.save(program, buffer := io.BytesIO())
    assert torch.export.save is save
    z = torch.randn(3, LATENT)
    buffer.seek(0)
    for source in (tmp_path / "mlflows.pt2", tmp_path / "ours.pt2", buffer):
        assert torch.equal(torch.export.load(source).module()(z), program.module()(z))


@pytest.mark.parametrize("name", ["generator.safetensors", "generator.json"])
def test_a_damaged_folder_is_refused_in_one_line(name: str, folder: Path) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(GanTuneError, match="out: cannot be loaded: ") as told:
        read_folder(folder, "cpu")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("shape", [[1, -1, 8], [0], [1, 8, 0]])
def test_a_shape_without_a_side_is_refused(shape: list[int], folder: Path) -> None:
    stored = json.loads((folder / "generator.json").read_text()) | {"shape": shape}
    (folder / "generator.json").write_text(json.dumps(stored))
    with pytest.raises(GanTuneError, match="must be at least 1"):
        read_folder(folder, "cpu")


def test_a_name_that_is_too_long_is_no_file(tmp_path: Path) -> None:
    long = "x" * 300
    check_folder(tmp_path / long, force=False)  # writing it says why it cannot be
    check_place(tmp_path / f"{long}.png")
    with pytest.raises(OutputError, match="cannot be written: File name too long"):
        write_file(tmp_path / f"{long}.png", b"", force=False)
    with pytest.raises(ModelNotFoundError, match="must be the folder of a trial"):
        find_generator(f"./{long}")
    with pytest.raises(DataError, match="must exist: no such folder or file"):
        source_of(tmp_path / long)


LARGE = {"generator.json": 2**20, "columns.json": 2**22, "generator.safetensors": 2**33}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", LARGE)
def test_neither_pipes_nor_files_beyond_a_size_are_read(name: str, folder: Path) -> None:
    place = folder / name
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    with pytest.raises(GanTuneError, match=f"out: cannot be loaded: .*{name} must be a file"):
        read_folder(folder, "cpu")
    place.unlink()
    place.touch()
    os.truncate(place, 3 * 10**12)  # takes no room
    rule = f"{name} must have at most {LARGE[name]:,} bytes, but has 3,000,000,000,000"
    with pytest.raises(GanTuneError, match=rule) as told:
        read_folder(folder, "cpu")
    assert "\n" not in str(told.value)


def test_a_program_beyond_a_size_is_not_read(tmp_path: Path) -> None:
    place = tmp_path / "generator.pt2"
    (tmp_path / "generator.json").write_bytes(config_to_json(GeneratorConfig(8, (3,))))
    place.touch()
    os.truncate(place, 3 * 10**12)
    with pytest.raises(GanTuneError, match=r"generator\.pt2 must have at most 8,589,934,592 bytes"):
        read_folder(tmp_path, "cpu")


# ------------------------------------------------------------------ where there is no gan-tune


def environment(folder: Path, *packages: str) -> Path:
    """The Python of a new environment with these packages from the package index."""
    venv.create(folder, with_pip=bool(packages), symlinks=True)
    python = folder / "bin" / "python"
    if packages:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def drawn(python: Path, code: Path | str, *words: object, out: Path) -> torch.Tensor:
    """What a script, or a line of code, draws in a process that has no gan-tune."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    lacks = "import importlib.util as i; raise SystemExit(i.find_spec('gan_tune') is not None)"
    subprocess.run([python, "-c", lacks], cwd=out.parent, env=clean, check=True)
    what = ["-c", code] if isinstance(code, str) else [code]
    command = [python, *what, *map(str, words)]
    subprocess.run(command, cwd=out.parent, env=clean, check=True, capture_output=True)
    if out.suffix == ".npy":
        return torch.from_numpy(np.load(out, allow_pickle=False))
    samples: torch.Tensor = torch.load(out)
    return samples


def own_latents(folder: Path, program: str) -> str:
    """The line of the card that draws from latents of one's own by this program."""
    (line,) = (x for x in (folder / "README.md").read_text().split("\n") if f'"{program}"' in x)
    return line


@pytest.mark.ci
def test_with_torch_alone_the_same_samples_are_drawn_bit_for_bit(tmp_path: Path) -> None:
    """The environment has links to what is installed here, torch among it, but not gan-tune."""
    python = environment(tmp_path / "env")
    site = next((tmp_path / "env" / "lib").iterdir()) / "site-packages"
    installed = Path(torch.__file__).parents[1]
    for found in installed.iterdir():
        others = found.name.startswith(("gan_tune", "__editable__", "numpy"))
        if not others and found.suffix != ".pth":
            (site / found.name).symlink_to(found)
    z, out = torch.randn(64, 6), tmp_path / "samples.pt"
    torch.save(z, tmp_path / "z.pt")
    for case in ("dcgan", "table"):
        generator, folder = CASES[case](), tmp_path / case
        seeded = drawn(python, written(generator, folder) / "draw_with_torch.py", "-n", 70, out=out)
        assert torch.equal(seeded, generator.sample(70, seed=0))
        line = own_latents(folder, "generator.pt2").replace(
            "generator.pt2", f"{folder}/generator.pt2"
        )
        code = f"import torch; z = torch.load('z.pt'); {line}; torch.save(samples, 'samples.pt')"
        assert torch.equal(drawn(python, code, out=out), generator(z))


@pytest.mark.ci
def test_with_onnxruntime_alone_the_same_samples_are_drawn(tmp_path: Path) -> None:
    python = environment(tmp_path / "env", "onnxruntime", "numpy")
    z, out = torch.randn(100, 6), tmp_path / "samples.npy"
    np.save(tmp_path / "z.npy", z.numpy())
    for case in ("mlp", "residual"):
        generator, folder = CASES[case](), tmp_path / case
        script = written(generator, folder) / "draw_with_onnxruntime.py"
        seeded = drawn(python, script, "-n", 70, "--seed", 1, out=out)
        latents = np.random.default_rng(1).standard_normal((70, 6), np.float32)
        expected = generator(torch.from_numpy(latents))
        torch.testing.assert_close(seeded, expected, rtol=0, atol=1e-5)
        line = own_latents(folder, "generator.onnx")
        line = line.replace("generator.onnx", f"{folder}/generator.onnx")
        numbers = "import onnxruntime, numpy as np; z = np.load('z.npy')"
        given = drawn(python, f"{numbers}; {line}; np.save('samples.npy', samples)", out=out)
        torch.testing.assert_close(given, generator(z), rtol=0, atol=1e-5)


def test_the_scripts_are_short_and_refuse_to_draw_nothing(folder: Path) -> None:
    for script in sorted(folder.glob("draw_with_*.py")):
        assert len(script.read_text().split("\n")) <= 22
        refused = subprocess.run(
            [sys.executable, script, "-n", "0"], capture_output=True, text=True, check=False
        )
        assert refused.returncode == 2
        assert refused.stderr.endswith("error: -n must be at least 1: 0\n")


OLDEST = "2.10"
"""The oldest torch that pyproject.toml allows."""

BESIDE_THE_OLDEST = (
    "numpy safetensors pydantic psutil lazy-loader pillow onnx onnxruntime onnxscript"
)
"""What else an environment with it must have, see also .ci/run."""

IN_THE_OLDEST = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
from gan_tune.model.archive import read_archive
from gan_tune.model.folder import read_folder, write_folder
newest, mine = map(Path, sys.argv[1:])
generator = read_folder(newest, "cpu")
z = torch.randn(5, generator.latent)
torch.testing.assert_close(read_archive(newest / "generator.pt2")(z), generator(z))
print(write_folder(generator, mine, str))
"""


def test_the_oldest_torch_is_the_one_that_is_allowed() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert f'"torch>={OLDEST}"' in project
    assert f"torch>={OLDEST},<3" in REQUIREMENTS
    ci = (ROOT / ".ci" / "run").read_text()
    assert f'"torch=={OLDEST}.*" {BESIDE_THE_OLDEST}' in ci


@pytest.mark.ci
@pytest.mark.timeout(1800)
def test_the_oldest_torch_reads_what_the_newest_wrote_and_the_other_way_round(
    tmp_path: Path,
) -> None:
    """Several GB are installed, which takes from two to ten minutes.

    GAN_TUNE_TESTS_OLDEST_TORCH names the Python of an environment that has them already.
    """
    given = os.environ.get("GAN_TUNE_TESTS_OLDEST_TORCH")
    packages = (f"torch=={OLDEST}.*", *BESIDE_THE_OLDEST.split())
    python = given or environment(tmp_path / "env", *packages)
    for case in ("mlp", "dcgan", "residual", "table"):
        generator = CASES[case]()
        newest, oldest = written(generator, tmp_path / case), tmp_path / f"{case}_oldest"
        subprocess.run(
            [python, "-c", IN_THE_OLDEST, newest, oldest],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            check=True,
        )
        z = torch.randn(5, 6)
        assert torch.equal(read_folder(oldest, "cpu")(z), generator(z))
        torch.testing.assert_close(read_archive(oldest / "generator.pt2")(z), generator(z))
