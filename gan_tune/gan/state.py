"""Saves the state of a game as named tensors and scalars, and loads it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gan_tune.gan.checkpoint import Checkpoint, load_optimizer, optimizer_tensors
from gan_tune.gan.game import Game
from gan_tune.gan.randomness import carry_on

__all__ = ["load_game", "scalars_of", "tensors_of"]


def tensors_of(game: Game) -> dict[str, Tensor]:
    """All tensors of a game's state, by name; valid until the next step."""
    tensors = {
        f"{name}/{key}": tensor
        for name, network in game.networks.by_name().items()
        for key, tensor in network.state_dict().items()
    }
    tensors |= {f"random/{name}": random.get_state() for name, random in game.random.items()}
    tensors |= {f"torch/{name}": state for name, state in game.global_random.items()}
    if game.lookahead is not None:
        tensors |= {f"slow/{i}": tensor for i, tensor in enumerate(game.lookahead.slow)}
    for name, player in game.players.items():
        tensors |= optimizer_tensors(player.optimizer, f"{name}_optimizer")
    return tensors


def scalars_of(game: Game) -> dict[str, Any]:
    """All of a game's state that is not a tensor."""
    kinds = {name: player.state_kind for name, player in game.players.items()}
    return {"step": game.step, "d_steps": game.d_step, "optimizers": kinds}


def load_game(game: Game, saved: Checkpoint) -> None:
    """Load the state of this game, or of one with the same networks and other settings.

    State that the other game did not have is initialised: averages start at its weights, and an
    optimizer of another kind starts with no state. The saved game may have been played on another
    kind of device: then everything but the random draws continues, which begin anew, seeded.

    Raises:
        KeyError, RuntimeError: the networks differ.
    """
    for name, network in game.networks.by_name().items():
        network.load_state_dict(saved.under(name) or saved.under("generator"))
    step = saved.scalars["step"]
    for name, random in game.random.items():
        purpose = f"{name} from step {step} on another kind of device"
        state = saved.tensors[f"random/{name}"]
        carry_on(random, state, seed=game.evaluation.seed, purpose=purpose)
    # A generator of another kind of device has no part in this game.
    own = game.global_random.keys()
    game.global_random |= {k: state for k, state in saved.under("torch").items() if k in own}
    if game.lookahead is not None:
        slow = saved.under("slow")
        game.lookahead.begin(
            [slow[str(i)].to(game.batches.device) for i in range(len(slow))] or game.weights()
        )
    for name, player in game.players.items():
        if saved.scalars["optimizers"][name] == player.state_kind:
            load_optimizer(player.optimizer, saved.under(f"{name}_optimizer"))
    game.step, game.d_step = step, saved.scalars["d_steps"]
    game.evaluation.outdate()
