"""The README.md of a pulled folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gan_tune.record.descriptions import in_table
from gan_tune.record.tags import Tag
from gan_tune.registry.card import figures_of, value_name
from gan_tune.registry.promotion import Measured
from gan_tune.words.readable import number

if TYPE_CHECKING:
    from gan_tune.model.folder import Exports
    from gan_tune.model.generator import Generator

__all__ = ["card"]


def card(generator: Generator, exports: Exports) -> str:
    """What the generator is, how good, and how to draw from it, in Markdown."""
    return "\n\n".join([f"# {generator}", *_paragraphs(generator, exports)]) + "\n"


def _paragraphs(generator: Generator, exports: Exports) -> Iterator[str]:
    tags, shape = generator.tags, " × ".join(map(str, generator.shape))
    pictures = len(generator.shape) == 3
    what = f"pictures {shape} in [0, 1]" if pictures else f"points of {shape} coordinates"
    yield f"A generator: {generator.latent} standard normal latents in, {what} out."
    if search := tags.get(Tag.SEARCH):
        yield f"gan-tune found it in the search `{search}`, trial `{tags.get(Tag.TRIAL)}`."
    if figures := list(_figures(generator)):
        yield in_table(figures, ("figure", "value"))
    yield "## Draw"
    yield f"With torch alone ({exports.torch} wrote `generator.pt2`):"
    yield "```bash\npip install torch\n" + _command("draw_with_torch.py", "pt") + "\n```"
    if exports.without_onnx:
        yield f"There is no ONNX file: {exports.without_onnx}."
    else:
        yield (
            "Without torch; on 265 latents it deviated from torch by at most "
            f"{exports.onnx_deviation:.1e}:"
        )
        yield (
            "```bash\npip install onnxruntime\n"
            + _command("draw_with_onnxruntime.py", "npy")
            + "\n```"
        )
    yield (
        "On one machine and release of torch, `draw_with_torch.py` draws what `gan-tune generate` "
        "draws for the same seed, bit for bit. For latents of your own, `z` [N, "
        f"{generator.latent}] of float32:"
    )
    yield "```python\n" + "\n".join(_with_own_latents(exports)) + "\n```"
    yield "## Files"
    yield _files(exports, table=bool(generator.columns))


def _figures(generator: Generator) -> Iterator[tuple[str, str]]:
    """Rows of the table of figures; what a damaged tag says is left out."""
    tags = generator.tags
    measured = Measured.from_tags(generator.name, generator.version or 0, tags)
    if measured.value is not None and Tag.OBJECTIVE in tags:
        yield value_name(measured, tags), number(measured.value)
    for name, value in figures_of(tags).items():
        if name.startswith("test."):
            yield name, number(value)


def _with_own_latents(exports: Exports) -> Iterator[str]:
    yield 'samples = torch.export.load("generator.pt2").module()(z)'
    if not exports.without_onnx:
        yield 'samples = onnxruntime.InferenceSession("generator.onnx").run(None, {"z": z})[0]'


def _command(script: str, ending: str) -> str:
    return f"python {script} -n 64 --seed 0 --out samples.{ending}"


def _files(exports: Exports, *, table: bool) -> str:
    rows = {
        "generator.safetensors": "weights",
        "generator.json": "size of the latents, shape of a sample, the network and its arguments",
        "generator.pt2": "torch's exported program, which another release may not read",
    }
    if not exports.without_onnx:
        rows["generator.onnx"] = "the same as ONNX: input `z` [batch, latent], output `samples`"
    if table:
        rows["columns.json"] = "names and types of the columns"
    lines = (f"| `{name}` | {what} |" for name, what in rows.items())
    return "| file | holds |\n|---|---|\n" + "\n".join(lines)
