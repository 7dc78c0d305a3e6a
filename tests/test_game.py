"""The game's own bookkeeping: shared weights, activations, and what is refused before it starts."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from conftest import trial_config
from torch import Tensor, nn
from torch.nn.functional import softplus

from gan_tune.errors import ConfigError
from gan_tune.gan.building import build_game
from gan_tune.gan.game import Game
from gan_tune.gan.losses import LOSSES
from gan_tune.gan.networks import GENERATORS, build_network
from gan_tune.gan.networks.activations import hidden_activations
from gan_tune.gan.penalties import PENALTIES
from gan_tune.gan.players import PLAYERS, PlayerName
from gan_tune.gan.training import train
from gan_tune.gan.updates import UPDATES
from gan_tune.metrics import build_judge
from gan_tune.parts.all_parts import dataset_of


class Plain(nn.Module):
    """A user's discriminator without `features`."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 1))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


def game_of(**changes: Any) -> Game:
    config = trial_config(**changes)
    return build_game(config, dataset_of(config.data), torch.device("cpu"))


@pytest.mark.parametrize("norm", ["none", "batch", "spectral"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_codes_are_decoded_as_well_in_evaluation_as_in_training(norm: str, ema: float) -> None:
    """Batch norm's running averages over noise would not do for codes, nor the other way round."""
    config = trial_config(
        data={"name": "digits", "batch_size": 64},
        generator={"name": "mlp", "latent": 16, "hidden": [32], "norm": norm},
        encoder={"name": "mlp", "hidden": [32]},
        reconstruction_weight=10.0,
        ema=ema,
        steps=300,
    )
    dataset = dataset_of(config.data)
    *_, last = train(config, dataset, build_judge(dataset, "selection"))
    training = last.scalars["training_reconstruction_error"]
    assert last.scalars["reconstruction_error"] == pytest.approx(training, rel=0.4)


@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_the_decoder_has_the_generators_weights_and_its_own_averages(norm: str) -> None:
    game = game_of(
        generator={"name": "mlp", "latent": 8, "hidden": [16], "norm": norm}, encoder="mlp"
    )
    generator, decoder = game.networks.generator, game.networks.decoder
    assert decoder is not None
    game.train_step()
    mine, its = generator.state_dict(), decoder.state_dict()
    shared = {name for name, _ in generator.named_parameters()}
    assert {name for name in mine if mine[name].data_ptr() == its[name].data_ptr()} == shared


@pytest.mark.parametrize("encoder", ["none", "mlp"])
def test_averaged_weights_have_batch_statistics_of_their_own(encoder: str) -> None:
    """They make its activations normal, which the statistics of the player's weights would not."""
    game = game_of(
        generator={"name": "mlp", "latent": 8, "hidden": [16], "norm": "batch"},
        generator_optimizer={"name": "adam", "lr": 0.05},
        encoder=encoder,
        ema=0.9,
    )
    for _ in range(30):
        game.train_step()
    evaluation = game.evaluation
    average = evaluation.generator()
    if encoder != "none":
        real = evaluation.scaling.undo(game.batches.data.batch(torch.arange(9)))
        evaluation.in_data_space(evaluation.reconstruct)(real)
        assert game.networks.average_decoder is not None
        average = game.networks.average_decoder
        shared = dict(evaluation.generator().named_parameters())
        assert all(p is shared[name] for name, p in average.named_parameters())
    found = []
    moving = copy.deepcopy(average)
    source = (game.networks.decoder or game.networks.generator).buffers()
    for buffer, its in zip(moving.buffers(), source, strict=True):
        buffer.copy_(its)
    output: list[Tensor] = []
    for network in (average, moving):
        layer = next(m for m in network.modules() if isinstance(m, nn.BatchNorm1d))
        layer.register_forward_hook(lambda layer, args, normed: output.append(normed))
        with torch.no_grad():
            random = torch.Generator().manual_seed(3)
            z = game.batches.noise(random, 5_000)
            if encoder != "none":
                real = evaluation.scaling.undo(game.batches.real(random, 5_000))
                z = evaluation.in_data_space(evaluation.encode)(real)
            network.eval()(z)
        normal = (output.pop() - layer.bias.detach()) / layer.weight.detach()
        found.append(max(float(normal.mean(0).abs().max()), float((normal.std(0) - 1).abs().max())))
    assert found[0] < 0.1 < found[1]


def test_the_average_reaches_back_over_a_share_of_the_steps() -> None:
    """At a reach of 1 all weights count alike, the first ones twice; a fast decay has no limit."""
    wide, fast = game_of(ema=0.9999, ema_reach=1.0), game_of(ema=0.1, ema_reach=1.0)
    first = nn.utils.parameters_to_vector(wide.networks.generator.parameters()).detach()
    seen = [first, first]
    for game in (wide, fast):
        before = first
        for _ in range(7):
            game.train_step()
            moved = game.networks.generator.parameters()
            now = nn.utils.parameters_to_vector(moved).detach()
            if game is wide:
                seen.append(now)
            else:
                before = 0.1 * before + 0.9 * now
        assert game.networks.average is not None
        average = nn.utils.parameters_to_vector(game.networks.average.parameters())
        expected = torch.stack(seen).mean(0) if game is wide else before
        torch.testing.assert_close(average, expected)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("output", ["sigmoid", "tanh", "linear"])
def test_the_output_is_no_hidden_activation(name: str, output: str) -> None:
    args = {"latent": 4, "activation": "tanh", "output": output}
    generator = build_network("generator", (1, 8, 8), name=name, args=args)
    assert generator.output not in hidden_activations(generator)
    assert hidden_activations(generator)


def test_activations_of_judged_samples_are_not_kept() -> None:
    game = game_of(penalties=[{"name": "activation_l1", "weight": 0.1}])
    z = torch.zeros(500, game.batches.latent)
    recorder = game.networks.recorder
    assert recorder is not None
    kept = []
    for training in (False, True):
        game.networks.generator.train(training)(z)
        kept.append([h.shape for h in recorder.kept])
    assert kept == [[], [(500, 16)]]
    assert [h.shape for h in game.draw().activations] == [(16, 16)]


def test_sparse_activations_are_seen_in_the_figures() -> None:
    relu = {"name": "mlp", "latent": 8, "hidden": [16], "activation": "relu"}
    quick = {"name": "adam", "lr": 0.03}
    shares = []
    for weight in (1e-3, 100.0):
        penalties = [{"name": "activation_l1", "weight": weight}]
        game = game_of(generator=relu, generator_optimizer=quick, penalties=penalties)
        for _ in range(40):
            game.train_step()
        (h,) = game.draw().activations
        rms = h.square().mean(0).sqrt()
        share = float(((h.abs() < 0.01 * rms) | (rms == 0)).float().mean())
        assert float(game.figures.latest["generator_idle_share"]) == pytest.approx(share, abs=0.1)
        shares.append(share)
    assert shares[0] + 0.1 < shares[1]
    assert "generator_idle_share" not in trained_figures()


def trained_figures() -> dict[str, Tensor]:
    game = game_of()
    game.train_step()
    return game.figures.latest


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("every", [0, 1, 3])
def test_no_weight_of_the_discriminator_is_beyond_its_limit(update: str, every: int) -> None:
    game = game_of(weight_clip=0.01, update=update, lookahead={"every": every, "alpha": 0.5})
    for _ in range(6):
        game.train_step()
        parameters = game.players["discriminator"].parameters
        assert max(float(p.detach().abs().max()) for p in parameters) <= 0.01


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("player", PLAYERS)
def test_an_estimate_of_a_players_gradient_is_its_gradient(player: PlayerName, loss: str) -> None:
    smooth = {"name": "mlp", "hidden": [6], "activation": "tanh"}
    exact, estimated = (
        game_of(
            generator=smooth | {"latent": 2}, discriminator=smooth, loss=loss, gradient=gradient
        )
        for gradient in ("backprop", "central_difference")
    )
    g, e = (
        torch.cat([p.flatten() for p in game.gradients(player, game.draw())])
        for game in (exact, estimated)
    )
    assert (g - e).norm() <= 0.02 * g.norm()  # float32: a difference of losses keeps few digits


@pytest.mark.parametrize("layer", ["none", "batch", "dropout", "deviation"])
def test_a_discriminator_that_reads_its_batch_sees_real_and_fake_apart(layer: str) -> None:
    own = {"name": "user_networks:Discriminator", "layer": layer}
    if layer == "deviation":
        own = {"name": "user_networks:MinibatchDeviation"}
    game = game_of(discriminator=own)
    sizes = []
    game.networks.discriminator.register_forward_pre_hook(
        lambda _, given: sizes.append(len(given[0]))
    )
    game.gradients("discriminator", game.draw())
    apart = layer in ("batch", "deviation")
    assert sizes == ([16, 16] if apart else [32])


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        (
            {
                "generator": {"name": "mlp", "hidden": []},
                "penalties": [{"name": "activation_l1", "weight": 1.0}],
            },
            "activation penalties look at activation layers",
        ),
        (
            {"discriminator": "test_game:Plain", "measure": ["linear_probe_accuracy"]},
            "measure: needs a discriminator with a method `features`",
        ),
        (
            {
                "discriminator": "test_game:Plain",
                "objective": {"metric": "linear_probe_accuracy", "mode": "max"},
            },
            "objective.metric: needs a discriminator with a method `features`",
        ),
        ({"measure": ["code_probe_accuracy"]}, "measure: needs an encoder"),
    ],
)
def test_what_a_network_lacks_is_said_when_the_config_is_checked(
    changes: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ConfigError, match=rule):
        trial_config(**changes)


def test_the_generators_player_descends_all_that_it_is_told_to() -> None:
    """Adversarial loss, both kinds of penalties, and reconstruction from sparse codes, by hand."""
    weights = {"l2": 0.01, "activation_l1": 0.5, "reconstruction": 3.0, "sparsity": 0.7}
    for sparsity in ({"name": "k_sparse", "k": 2}, {"name": "l1", "weight": weights["sparsity"]}):
        game = game_of(
            generator={"name": "mlp", "latent": 6, "hidden": [8], "activation": "tanh"},
            encoder={"name": "mlp", "hidden": [8]},
            sparsity=sparsity,
            reconstruction_weight=weights["reconstruction"],
            penalties=[
                {"name": "l2", "weight": weights["l2"], "network": "generator"},
                {"name": "activation_l1", "weight": weights["activation_l1"]},
            ],
        )
        batch = game.draw()
        found = game.gradients("generator", batch)
        generator, encoder = game.networks.generator, game.networks.encoder
        assert encoder is not None
        hidden = generator.body(batch.z)
        code = encoder(batch.real)
        kept = code
        if sparsity["name"] == "k_sparse":
            kept = code * (code.abs() >= code.abs().sort(dim=1).values[:, -2:-1])
        decoded = generator.output(generator.head(generator.body(kept))).view_as(batch.real)
        parameters = game.players["generator"].parameters
        loss = (
            softplus(-game.networks.discriminator(generator(batch.z))).mean()
            + PENALTIES["l2"].function(parameters, weight=weights["l2"])
            + weights["activation_l1"] * hidden.abs().mean()
            + weights["reconstruction"] * (decoded - batch.real).square().mean()
        )
        if sparsity["name"] == "l1":
            loss = loss + weights["sparsity"] * code.abs().mean()
        expected = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        torch.testing.assert_close(list(found), list(expected))


@pytest.mark.parametrize(
    "changes",
    [
        {"instance_noise": {"std": 1e3, "until": 1.0}},
        {"augment": {"name": "diffaugment", "policy": ["color"]}},
    ],
    ids=["instance noise", "diffaugment"],
)
def test_both_players_see_views_of_the_samples(changes: dict[str, Any]) -> None:
    figures = []
    for view in ({}, changes):
        game = game_of(**view)
        game.train_step()
        figures.append(game.figures.latest | game.figures.peaks)
    plain, seen = figures
    for name in ("discriminator_loss", "generator_loss", "discriminator_logit_max"):
        assert abs(float(seen[name] - plain[name])) > 1e-4, name


def test_a_look_ahead_that_fails_leaves_the_game_where_it_was() -> None:
    game = game_of()
    before = [weight.detach().clone() for weight in game.weights()]

    def fail_ahead() -> None:
        with game.extrapolated(), torch.no_grad():
            game.weights()[0].add_(1)
            raise RuntimeError("ahead")

    with pytest.raises(RuntimeError, match="ahead"):
        fail_ahead()
    assert all(torch.equal(was, now) for was, now in zip(before, game.weights(), strict=True))
    steps = game.d_step
    game.train_step()
    assert game.d_step == steps + game.pace.d_steps
