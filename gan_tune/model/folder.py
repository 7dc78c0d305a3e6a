"""A generator as a folder that needs no gan-tune.

README.md                   the card: what it is, how to draw from it
generator.safetensors       weights, with the config enough to build gan-tune's own networks
generator.json              size of the latents, shape of a sample, the network's arguments
generator.pt2               torch's exported program: latents in, samples out
generator.onnx              the same as ONNX
columns.json                of a table: the names and types of its columns
draw_with_torch.py          draws with torch alone
draw_with_onnxruntime.py    draws with onnxruntime alone
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from os.path import exists, isdir  # unlike those of Path, false for a name that is too long
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram

from gan_tune.atomic_file import whole_folder
from gan_tune.data.columns import Column, columns_from_json, columns_to_json
from gan_tune.errors import GanTuneError, OutputError
from gan_tune.gan.device import check_device
from gan_tune.model import standalone
from gan_tune.model.confined import read_confined
from gan_tune.model.export import exported, save_program
from gan_tune.model.generator import Generator
from gan_tune.model.generator_config import (
    CONFIG,
    GeneratorConfig,
    config_from_json,
)
from gan_tune.model.onnx_export import check_onnx, write_onnx
from gan_tune.model.own_files import (
    LARGEST_COLUMNS,
    LARGEST_CONFIG,
    LARGEST_WEIGHTS,
    check_file,
    read_file,
)
from gan_tune.model.weights import WEIGHTS, built_from, is_own, stored_files
from gan_tune.words.wording import in_one_line

__all__ = ["CONFIG", "FILES", "Exports", "check_folder", "read_folder", "write_folder"]

PT2, ONNX, CARD, COLUMNS = "generator.pt2", "generator.onnx", "README.md", "columns.json"
WITH_TORCH, WITH_ONNX = "draw_with_torch.py", "draw_with_onnxruntime.py"
FILES = (CARD, CONFIG, WEIGHTS, PT2, ONNX, f"{ONNX}.data", COLUMNS, WITH_TORCH, WITH_ONNX)
"""All that such a folder may hold."""


@dataclass(frozen=True)
class Exports:
    """What a folder holds, as the card tells it.

    Attributes:
        torch: the release that wrote the exported program.
        onnx_deviation: the largest deviation of ONNX from torch that was measured; None without
            ONNX.
        without_onnx: why there is no ONNX file; empty if there is one.
    """

    torch: str
    onnx_deviation: float | None
    without_onnx: str


def check_folder(path: Path, *, force: bool) -> None:
    """Check in advance that the folder can be written.

    Raises:
        OutputError: no such parent folder, or something is there that may not be replaced.
    """
    if not path.name:
        raise OutputError(f"{path}: must name a new folder")
    if not isdir(path.parent):
        raise OutputError(f"{path}: its folder {path.parent} must exist")
    if not exists(path):
        return
    if not isdir(path):
        raise OutputError(f"{path}: is a file already")
    names = [entry.name for entry in path.iterdir()]
    if others := sorted(set(names) - set(FILES)):
        rule = f"holds other files than a model's ({others[0]})"
        raise OutputError(f"{path}: {rule}; give a new folder")
    if names and not force:
        raise OutputError(f"{path}: exists already; --force replaces it")


def write_folder(generator: Generator, path: Path, card: Callable[[Exports], str]) -> Exports:
    """Write the folder of a generator that is on the CPU, whole or not at all.

    ONNX is left out where the network draws in `forward`, so that it cannot be compared, and where
    a user's network has operators that ONNX lacks.

    Raises:
        GanTuneError: the network cannot be exported, or its export computes something else.
        OutputError: the folder cannot be written.
    """
    try:
        with whole_folder(path) as folder:
            exports = _export(generator, folder)
            config = generator.config or GeneratorConfig(generator.latent, generator.shape)
            for name, content in stored_files(generator.module, config).items():
                (folder / name).write_bytes(content)
            if generator.columns:
                (folder / COLUMNS).write_bytes(columns_to_json(generator.columns))
            scripts = (WITH_TORCH,) if exports.without_onnx else (WITH_TORCH, WITH_ONNX)
            for script in scripts:
                source = Path(standalone.__file__).with_name(script)
                (folder / script).write_bytes(source.read_bytes())
            (folder / CARD).write_text(card(exports), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    return exports


def read_folder(path: Path, device: str) -> Generator:
    """The generator in a pulled folder, checked as one from the registry is.

    Raises:
        GanTuneError: a file is damaged, too large or no regular file, or holds anything but a
            generator.
        DeviceError: torch has no such device.
    """
    check_device(device)
    try:
        config = config_from_json(read_file(path / CONFIG, LARGEST_CONFIG))
        if is_own(config):
            weights = read_file(path / WEIGHTS, LARGEST_WEIGHTS)
            module: nn.Module = built_from(config, weights)
        else:
            check_file(path / PT2, LARGEST_WEIGHTS)
            module = read_confined(path / PT2, config.latent)
        columns = path / COLUMNS
        table: tuple[Column, ...] = ()
        if columns.exists():
            table = columns_from_json(read_file(columns, LARGEST_COLUMNS))
    except Exception as error:  # torch raises anything
        raise GanTuneError(f"{path}: cannot be loaded: {in_one_line(error)}") from error
    return Generator(str(path), None, config.latent, module.to(device), {}, table, config)


def _export(generator: Generator, folder: Path) -> Exports:
    """Write both forms of the program, and compare them with the generator."""
    try:
        program = exported(generator.module, latent=generator.latent)
        save_program(program, folder / PT2)
        _check_program(folder / PT2, generator)
    except OSError:
        raise
    except Exception as error:  # torch raises anything
        raise GanTuneError(f"{generator}: cannot be exported: {in_one_line(error)}") from error
    deviation, why_not = _export_onnx(program, generator, folder / ONNX)
    return Exports(torch.__version__.partition("+")[0], deviation, why_not)


def _check_program(path: Path, generator: Generator) -> None:
    """Check that the program draws the same, bit for bit."""
    if generator.draws:
        return
    z = torch.randn(64, generator.latent, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        samples = torch.export.load(path).module()(z)
    if not torch.equal(samples, generator(z)):
        raise ValueError("the exported program must draw the same, but its samples differ")


def _export_onnx(
    program: ExportedProgram, generator: Generator, path: Path
) -> tuple[float | None, str]:
    """The deviation of the ONNX file from torch; or None, and why there is no such file."""
    if generator.draws:
        return None, "its network draws numbers in `forward`, so samples cannot be compared"
    try:
        write_onnx(program, path)
        jumps = bool(generator.columns)
        return check_onnx(path, generator.module, latent=generator.latent, jumps=jumps), ""
    except OSError:
        raise
    except Exception as error:  # torch and onnxruntime raise anything
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        return None, f"its network cannot be written as ONNX: {in_one_line(error)}"
