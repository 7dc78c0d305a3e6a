"""Precision: bfloat16 in products and convolutions alone, `auto`, and what stays as it was."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import trial_config, trial_tree
from test_training import POINTS
from tiny_search import space_tree
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import gan_tune
from gan_tune import service
from gan_tune.cluster import hardware as hardware_of_nodes
from gan_tune.cluster import ray_internals
from gan_tune.config.trial import ADDED
from gan_tune.errors import DeviceError, SpaceError
from gan_tune.gan import device, precision
from gan_tune.gan.building import build_game
from gan_tune.gan.game import Game
from gan_tune.gan.input_gradients import by_autograd
from gan_tune.gan.penalties import r1
from gan_tune.parts.all_parts import dataset_of
from gan_tune.searching.on_ray.tuning import _placement
from gan_tune.service.running.precision import in_own_precision, settle_precision
from gan_tune.space import Resources, SearchSpace
from gan_tune.storage.places import PRECISION_NOTE
from gan_tune.storage.storage import Storage, open_storage

BFLOAT16 = {"precision": "bfloat16"}
ESTIMATE = {"name": "random_directions", "directions": 2}
PICTURES = {
    "generator": {"name": "dcgan", "latent": 8, "width": 4, "norm": "batch"},
    "discriminator": {"name": "dcgan", "width": 4},
}
service_train = import_module("gan_tune.service.train")  # not the function of that name
PRODUCTS = ("mm", "addmm", "bmm", "convolution", "convolution_backward")


def game(**changes: Any) -> Game:
    config = trial_config(**changes)
    return build_game(config, dataset_of(config.data), torch.device("cpu"))


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bool]]:
    """Whether this machine has bfloat16, as a test says."""
    has = {"bfloat16": True}
    for module in (precision, device):
        monkeypatch.setattr(module, "has_bfloat16", lambda device: has["bfloat16"])
    return has


class Products(TorchDispatchMode):
    """Notes the types of all products and convolutions, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.types: list[torch.dtype] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in PRODUCTS:
            self.types += [arg.dtype for arg in args if isinstance(arg, Tensor)]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("networks", [{}, PICTURES], ids=["products", "convolutions"])
@pytest.mark.parametrize("chosen", ["float32", "bfloat16"])
def test_all_products_of_a_step_are_in_its_precision(networks: Any, chosen: str) -> None:
    own = game(precision=chosen, **networks)
    with Products() as seen:
        own.train_step()
    assert len(seen.types) > 10
    assert set(seen.types) == {getattr(torch, chosen)}


def test_penalties_on_slopes_and_their_second_derivatives_are_exact() -> None:
    own = game(penalties=[{"name": "r1", "weight": 2.0}], **BFLOAT16)
    player, batch = own.players["discriminator"], own.draw()
    slope = r1(by_autograd(player.network), batch.real, batch.fake, weight=2.0)
    exact = torch.autograd.grad(slope, player.parameters, materialize_grads=True)

    with_penalty = own.gradients("discriminator", batch)
    player.penalties = ()
    without = own.gradients("discriminator", batch)
    for one, other, expected in zip(with_penalty, without, exact, strict=True):
        torch.testing.assert_close(one - other, expected, rtol=1e-4, atol=1e-6)


def test_weights_gradients_averages_and_statistics_are_float32() -> None:
    own = game(
        ema=0.9, penalties=[{"name": "activation_l1", "weight": 0.1}], **PICTURES, **BFLOAT16
    )
    own.train_step()
    batch = own.draw()
    assert {t.dtype for t in (batch.real, batch.fake, *batch.activations)} == {torch.float32}
    for player in own.players.values():
        assert {g.dtype for g in own.gradients(player.name, own.draw())} == {torch.float32}
        kept = [t for state in player.optimizer.state.values() for t in state.values()]
        assert {t.dtype for t in kept} == {torch.float32}
    for network in own.networks.by_name().values():
        floats = [t for t in network.state_dict().values() if t.is_floating_point()]
        assert {t.dtype for t in floats} == {torch.float32}


def test_samples_are_judged_in_float32() -> None:
    own = game(**BFLOAT16)
    with Products() as seen:
        own.evaluation.sample(10, "evaluation")
    assert set(seen.types) == {torch.float32}


def test_an_autoencoder_is_rounded_too() -> None:
    own = game(encoder={"name": "mlp", "hidden": [16]}, **BFLOAT16)
    assert own.autoencoder is not None
    with Products() as seen:
        own.autoencoder.encoder(own.draw().real)
    assert set(seen.types) == {torch.bfloat16}


@pytest.mark.parametrize("chosen", ["float32", "bfloat16"])
def test_maps_are_channels_last_in_bfloat16_alone(chosen: str) -> None:
    own = game(precision=chosen, **PICTURES)
    orders: list[bool] = []

    def note(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        orders.append(output.is_contiguous(memory_format=torch.channels_last))

    convolutions = [m for m in own.networks.discriminator.modules() if isinstance(m, nn.Conv2d)]
    for layer in convolutions:
        layer.register_forward_hook(note)
    own.train_step()
    assert set(orders) == {chosen == "bfloat16"}
    assert all(p.is_contiguous() for p in own.weights())


def test_one_channel_gets_other_strides_and_the_same_values() -> None:
    from gan_tune.gan.networks.memory_format import channels_last

    layer = nn.Sequential(nn.Conv2d(1, 4, 3))
    x = torch.randn(2, 1, 8, 8)
    before = layer(x)
    channels_last(layer)
    after = layer(x)
    torch.testing.assert_close(after, before)
    assert after.is_contiguous(memory_format=torch.channels_last)


# ---------------------------------------------------------------- digests


def test_added_fields_are_left_out_of_a_digest_at_their_default() -> None:
    """So a digest that an earlier version wrote is still that of its trial."""
    config = trial_config()
    earlier = config.tree()
    for path, values in ADDED.items():
        *above, name = path.split(".")
        block = earlier[above[0]] if above else earlier
        assert block.pop(name) in values
    text = json.dumps(earlier, sort_keys=True, default=str)
    assert config.digest() == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert trial_config(**BFLOAT16).digest() != config.digest()
    assert trial_config(matmul_precision="medium").digest() != config.digest()


# ---------------------------------------------------------------- auto


@pytest.mark.parametrize("has", [True, False])
def test_auto_is_bfloat16_where_the_hardware_has_it(hardware: dict[str, bool], has: bool) -> None:
    hardware["bfloat16"] = has
    found = precision.resolved(trial_config(precision="auto"), "pictures", "cpu")
    assert found.precision == ("bfloat16" if has else "float32")


def test_auto_is_float32_for_points_and_estimates(hardware: dict[str, bool]) -> None:
    points = trial_config(precision="auto", **POINTS)
    assert service.in_own_precision(points).precision == "float32"
    estimated = trial_config(precision="auto", generator_gradient=ESTIMATE)
    assert service.in_own_precision(estimated).precision == "float32"


def test_a_trial_alone_resolves_auto_and_keeps_it(
    hardware: dict[str, bool], tmp_path: Path
) -> None:
    config = service.in_own_precision(trial_config(precision="auto"))
    service.keep_trial(config, tmp_path)
    hardware["bfloat16"] = False  # taken up on another machine
    assert service.stored_trial(tmp_path).precision == "bfloat16"


def space(**trial: Any) -> Any:
    """The tiny search's space, with other fields of its trial."""
    objective = {"objective": trial.pop("objective")} if "objective" in trial else {}
    tree = space_tree(**objective)
    return service.load_space({**tree, "trial": {**tree["trial"], **trial}})


def test_a_search_keeps_the_precision_with_which_it_began(
    hardware: dict[str, bool], tmp_path: Path
) -> None:
    home, asked = open_storage(tmp_path).below("one"), space(precision="auto")
    begun = in_own_precision(asked, home)
    assert begun.precision == "bfloat16"
    assert begun.digest == asked.digest
    values = begun.start_assignments()[0]
    assert begun.config(values, seed=0).precision == "bfloat16"

    home.write_json(PRECISION_NOTE, {"precision": begun.precision})
    hardware["bfloat16"] = False
    assert in_own_precision(asked, home).precision == "bfloat16"
    assert in_own_precision(asked, open_storage(tmp_path).below("two")).precision == "float32"


def test_a_search_that_may_estimate_gradients_is_in_float32(
    hardware: dict[str, bool], tmp_path: Path
) -> None:
    home = open_storage(tmp_path)
    asked = space(precision="auto", gradient={"choice": ["backprop", ESTIMATE]})
    assert in_own_precision(asked, home).precision == "float32"
    assert in_own_precision(space(**POINTS, precision="auto"), home).precision == "float32"


# ---------------------------------------------------------------- where the trials run


class Nodes:
    """A cluster in place of Ray's: which of its nodes have bfloat16 on the device of a trial."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.having: list[str] = []
        self.lacking: list[str] = []
        self.here: bool | None = None
        self.notes: list[str] = []
        monkeypatch.setattr(ray_internals, "started_here", lambda: self.here is not None)
        monkeypatch.setattr(hardware_of_nodes, "nodes_by", self.nodes_by)
        monkeypatch.setattr(hardware_of_nodes, "at_once", self.at_once)

    def nodes_by(self, able: Callable[[], bool], resources: Resources) -> Any:
        return dict.fromkeys(self.lacking, "10.0.0.1"), dict.fromkeys(self.having, "10.0.0.2")

    def at_once(self, question: Callable[..., Any], *given: Any, **how: Any) -> list[Any]:
        return [question(*given)]

    def settle(self, home: Storage, asked: SearchSpace) -> tuple[str, Any]:
        """A new command's precision, and which nodes it leaves out."""
        watcher = SimpleNamespace(note=self.notes.append)
        begun = in_own_precision(asked, home)
        context: Any = SimpleNamespace(space=begun.on_gpus(0), home=home, watcher=watcher)
        return context.space.precision, (settle_precision(context), context.space.precision)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    return Nodes(monkeypatch)


@pytest.mark.parametrize(
    ("having", "lacking", "chosen", "without"),
    [
        (["a"], [], "bfloat16", []),
        (["a"], ["b"], "bfloat16", ["b"]),
        (["a"], ["b", "c"], "float32", []),
        ([], ["b"], "float32", []),
    ],
)
def test_auto_is_decided_by_the_nodes_and_not_by_the_driver(
    having: list[str],
    lacking: list[str],
    chosen: str,
    without: list[str],
    nodes: Nodes,
    hardware: dict[str, bool],
    tmp_path: Path,
) -> None:
    """A driver without a GPU starts trials on GPUs, and the other way round."""
    for place, hardware["bfloat16"] in enumerate((False, True)):
        nodes.having, nodes.lacking = having, lacking
        home = open_storage(tmp_path).below(str(place))
        _, ((left_out, emulates), precision) = nodes.settle(home, space(precision="auto"))
        assert precision == chosen
        assert (sorted(left_out), emulates) == (without, chosen == "float32")
        nodes.having, nodes.lacking = lacking, having  # another cluster, later
        _, (_, later) = nodes.settle(home, space(precision="auto"))
        assert later == chosen, "the first command has decided it"


def test_auto_follows_the_device_that_trials_get_here(
    nodes: Nodes, hardware: dict[str, bool], tmp_path: Path
) -> None:
    """Its GPU had it, but the trials get none: their share was measured as 0."""
    nodes.here, home = True, open_storage(tmp_path)
    asked = space(precision="auto").in_precision("bfloat16").on_gpus(0)
    hardware["bfloat16"] = False
    context: Any = SimpleNamespace(space=asked, home=home, watcher=SimpleNamespace(note=print))
    assert settle_precision(context) == ((), True)
    assert context.space.precision == "float32"


@pytest.mark.parametrize("here", [True, None])
def test_bfloat16_that_every_node_emulates_is_said_with_its_cost(
    here: bool | None, nodes: Nodes, hardware: dict[str, bool], tmp_path: Path
) -> None:
    nodes.here, nodes.lacking, hardware["bfloat16"] = here, ["b"], False
    _, (settled, precision) = nodes.settle(open_storage(tmp_path), space(**BFLOAT16))
    assert (settled, precision) == (((), True), "bfloat16")
    (note,) = nodes.notes
    assert "bfloat16 is emulated on this cpu: a matrix product takes " in note


def test_earlier_trials_of_another_precision_do_not_fit(hardware: dict[str, bool]) -> None:
    rounded = space(precision="auto").in_precision("bfloat16")
    values = rounded.start_assignments()[0]
    assert rounded.fit(rounded.config(values, seed=1)) is not None
    assert rounded.fit(rounded.in_precision("float32").config(values, seed=1)) is None


# ---------------------------------------------------------------- what is refused, and said


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": {"choice": ["float32", "bfloat16"]}},
        {"choice": [{"label": "a", "precision": "float32"}, {"label": "b"}]},
    ],
    ids=["a range", "in an option"],
)
def test_precision_is_the_same_for_every_trial(changes: Any) -> None:
    with pytest.raises(SpaceError, match=r"precision.*must be the same for every trial"):
        space(**changes)


def test_points_refuse_bfloat16() -> None:
    with pytest.raises(SpaceError, match="precision: bfloat16 does not go with data"):
        space(**POINTS, **BFLOAT16)


def test_emulation_is_said_with_its_measured_cost(
    hardware: dict[str, bool], caplog: pytest.LogCaptureFixture
) -> None:
    hardware["bfloat16"] = False
    with caplog.at_level(logging.WARNING, logger="gan_tune"):
        next(service.train(trial_tree(**BFLOAT16)))
    (line,) = [record.getMessage() for record in caplog.records if "emulated" in record.message]
    assert "precision: bfloat16 is emulated on this cpu" in line
    assert precision.slowdown("cpu") > 0


def test_hardware_that_has_it_gets_no_warning(hardware: dict[str, bool]) -> None:
    assert precision.emulation("cpu") is None


def test_nodes_that_are_left_out_are_no_place_for_a_trial() -> None:
    resources = Resources(cpu=1, gpu=0)
    assert "bundle_label_selector" not in repr(_placement(resources, ()))
    placed = repr(_placement(resources, ("b", "a")))
    assert "{'ray.io/node-id': '!in(a,b)'}" in placed


@pytest.mark.ci
@pytest.mark.parametrize("asked", ["auto", "bfloat16"])
def test_a_search_records_its_precision(asked: str, tmp_path: Path) -> None:
    """Its workers are processes of their own, so this machine's hardware decides `auto`."""
    from tiny_search import runs_of

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tree = space_tree()
    tree |= {"trial": {**tree["trial"], "precision": asked}, "confirm": {"top": 0}}
    gan_tune.search(tree, storage=tmp_path / "runs", tracking_uri=uri)
    home = tmp_path / "runs" / "tiny"
    is_rounded = asked == "bfloat16" or device.has_bfloat16("cpu")
    expected = "bfloat16" if is_rounded else "float32"
    assert json.loads((home / PRECISION_NOTE).read_text()) == {"precision": expected}
    assert {run.data.params["precision"] for run in runs_of(uri)} == {expected}


def test_a_device_that_dies_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*args: Any, **options: Any) -> Iterator[Any]:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\nCUDA kernel errors")
        yield

    monkeypatch.setattr(service_train, "train_reports", dies)
    with pytest.raises(DeviceError) as caught:
        list(service.train(trial_tree()))
    rule = "failed in training: CUDA error: unspecified launch failure"
    assert str(caught.value) == f"--device cpu: {rule}"
