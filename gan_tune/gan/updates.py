"""How the two players move in one step: functions of a game by name.

Each is called with the game and how many discriminator steps are due, which may be none (see
``block`` in a trial).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from gan_tune.gan.players import PlayerName

__all__ = ["UPDATES", "Moves", "alternating", "extragradient", "simultaneous"]

Batch = TypeVar("Batch")
Slopes = TypeVar("Slopes")


class Moves(Protocol[Batch, Slopes]):
    """What a game of two players lets them do; :class:`gan_tune.gan.game.Game` is one."""

    def draw(self) -> Batch:
        """A batch of each side."""
        ...

    def gradients(self, player: PlayerName, batch: Batch) -> Slopes:
        """Of a player's objective, at the weights as they are."""
        ...

    def descend(self, player: PlayerName, gradients: Slopes) -> None:
        """Move a player by its gradients."""
        ...

    def extrapolated(self) -> AbstractContextManager[None]:
        """Come back to the present weights of both players when the block ends."""
        ...


def alternating(game: Moves[Batch, Slopes], d_steps: int) -> None:
    """The discriminator steps, then the generator answers the new one (Goodfellow et al. 2014).

    The generator's last batch serves both players.
    """
    batch = game.draw()
    for i in range(d_steps):
        if i:
            batch = game.draw()
        game.descend("discriminator", game.gradients("discriminator", batch))
    game.descend("generator", game.gradients("generator", batch))


def simultaneous(game: Moves[Batch, Slopes], d_steps: int) -> None:
    """Both gradients are taken at the same weights (Mescheder et al. 2017, section 2)."""
    _run_ahead(game, d_steps - 1)
    _descend_together(game, _both_gradients(game, also_discriminator=d_steps > 0))


def extragradient(game: Moves[Batch, Slopes], d_steps: int) -> None:
    """Step ahead with both players, and step for good by the gradients found there.

    Gidel et al. 2019, algorithm 4: the optimizers' moments learn from both steps. The second
    gradients come from a batch of their own. All but the last of several discriminator steps are
    plain ones.
    """
    _run_ahead(game, d_steps - 1)
    due = d_steps > 0
    with game.extrapolated():
        _descend_together(game, _both_gradients(game, also_discriminator=due))
        gradients = _both_gradients(game, also_discriminator=due)
    _descend_together(game, gradients)


def _run_ahead(game: Moves[Batch, Slopes], d_steps: int) -> None:
    for _ in range(d_steps):
        game.descend("discriminator", game.gradients("discriminator", game.draw()))


def _both_gradients(
    game: Moves[Batch, Slopes], *, also_discriminator: bool
) -> dict[PlayerName, Slopes]:
    """Gradients at the present weights on one batch, the discriminator's first if it is due."""
    batch = game.draw()
    players: tuple[PlayerName, ...] = ("discriminator",) if also_discriminator else ()
    return {player: game.gradients(player, batch) for player in (*players, "generator")}


def _descend_together(game: Moves[Batch, Slopes], gradients: Mapping[PlayerName, Slopes]) -> None:
    for player, gradient in gradients.items():
        game.descend(player, gradient)


UPDATES: dict[str, Callable[[Moves[Batch, Slopes], int], None]] = {
    "alternating": alternating,
    "simultaneous": simultaneous,
    "extragradient": extragradient,
}
