"""gan-tune's own generators as safetensors and JSON: read back, and never anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch
from test_scaling import COLUMNS, by_column, column_of

from gan_tune.config import Part
from gan_tune.data.scaling import Affine, Undo
from gan_tune.gan.networks import GENERATORS, build_network, without_parametrizations
from gan_tune.gan.networks.norms import NORMS
from gan_tune.model.export import ExportedGenerator
from gan_tune.model.generator_config import (
    GeneratorConfig,
    config_from_json,
    config_to_json,
)
from gan_tune.model.weights import built_from, is_own, stored_files, weights_of

SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [8]},
    "dcgan": {"width": 4},
    "residual": {"width": 4},
}


def own_generator(
    name: str = "mlp",
    shape: tuple[int, ...] = (1, 8, 8),
    *,
    scaling: Undo | None = None,
    latent: int = 6,
    **args: Any,
) -> ExportedGenerator:
    """An untrained generator of gan-tune's own, as a search exports it."""
    args = {"latent": latent, **SMALL[name], **args}
    scaling = scaling or Affine((0.5,), (0.25,), pictures=len(shape) == 3)
    network = build_network("generator", shape, name=name, args=args)
    config = GeneratorConfig(latent, shape, Part(name=name, args=args), scaling.kind)
    return ExportedGenerator(without_parametrizations(network), scaling, config=config).eval()


def again(generator: ExportedGenerator) -> ExportedGenerator:
    """Written and read back."""
    assert generator.config is not None
    files = stored_files(generator, generator.config)
    config = config_from_json(files["generator.json"])
    assert is_own(config)
    return built_from(config, files["generator.safetensors"])


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("norm", NORMS)
def test_every_own_generator_comes_back_bit_for_bit(name: str, norm: str) -> None:
    generator = own_generator(name, norm=norm)
    before = torch.get_rng_state()
    back = again(generator)
    assert torch.equal(torch.get_rng_state(), before)
    z = torch.randn(5, 6)
    with torch.no_grad():
        assert torch.equal(back(z), generator(z))


def test_a_table_comes_back_bit_for_bit() -> None:
    scaling = by_column(*map(column_of, COLUMNS))
    generator = own_generator("mlp", (len(COLUMNS),), scaling=scaling, output="linear")
    z = torch.randn(50, 6)
    with torch.no_grad():
        assert torch.equal(again(generator)(z), generator(z))


def test_an_argument_that_did_not_exist_yet_takes_its_default() -> None:
    generator = own_generator("mlp")
    assert generator.config is not None
    assert "norm" not in generator.config.network.args  # type: ignore[union-attr]
    again(generator)


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    generator = own_generator("mlp")
    assert generator.config is not None
    tree = json.loads(config_to_json(generator.config))
    change(tree)
    return json.dumps(tree).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x80\x04pickle", "must be JSON"),
        (b"[" * 100_000, "must be JSON"),
        (b"{}", "is required"),
        (changed(lambda t: t.update(format=2)), "a newer gan-tune wrote it"),
        (changed(lambda t: t.update(latent=0)), "latent: must be at least 1: 0"),
        (changed(lambda t: t.update(shape=[1 << 20, 1 << 20])), "shape must have at most"),
        (changed(lambda t: t.update(code="x")), "code"),
        (changed(lambda t: t["network"].update(name="os:system")), "network must be one of mlp"),
        (changed(lambda t: t["network"]["args"].update(hiden=[8])), "did you mean 'hidden'"),
        (changed(lambda t: t["network"]["args"].update(hidden=[2**40])), "network.hidden: "),
        (changed(lambda t: t["network"]["args"].update(latent=7)), "latent must be that of the"),
        (changed(lambda t: t.update(scaling="eval")), "scaling must be one of affine, by_column"),
        (changed(lambda t: t["network"]["args"].update(hidden=[9])), "body.linear0.bias must be"),
        (changed(lambda t: t["network"]["args"].update(hidden=[])), "which its network does not"),
        (changed(lambda t: t.update(shape=[1, 9, 9])), "head.bias must be"),
    ],
)
def test_a_config_of_anything_else_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says) as told:
        built_from(config_from_json(content), weights_of(own_generator("mlp")))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content[:-1], "is damaged"),
        (lambda content: b"\x80\x04" + content, "is damaged"),
        (lambda content: safetensors.torch.save({}), "lacks 'body.linear0.bias'"),
        (
            lambda content: safetensors.torch.save(
                {n: t.double() for n, t in safetensors.torch.load(content).items()}
            ),
            "body.linear0.bias must be",
        ),
        (
            lambda content: safetensors.torch.save(
                {n: t for n, t in safetensors.torch.load(content).items() if n != "shift"}
            ),
            "the scaling does not fit",
        ),
    ],
)
def test_weights_of_anything_else_are_refused(change: Callable[[bytes], bytes], says: str) -> None:
    generator = own_generator("mlp")
    assert generator.config is not None
    with pytest.raises(ValueError, match=says) as told:
        built_from(generator.config, change(weights_of(generator)))
    assert "\n" not in str(told.value)


def test_one_flipped_bit_is_seen() -> None:
    generator = own_generator("mlp")
    assert generator.config is not None
    files = stored_files(generator, generator.config)
    weights = bytearray(files["generator.safetensors"])
    weights[-3] ^= 4
    with pytest.raises(ValueError, match=r"is damaged, or not that of generator\.json"):
        built_from(config_from_json(files["generator.json"]), bytes(weights))
