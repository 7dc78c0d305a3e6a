"""The order of the two players' steps: functions of a game by name.

Each takes the game and the number of discriminator steps that are due. With a block schedule
(``block`` in a trial) this number may be 0.
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
    """The operations of a game of two players; implemented by :class:`gan_tune.gan.game.Game`."""

    def draw(self) -> Batch:
        """A batch of real and of fake samples."""
        ...

    def gradients(self, player: PlayerName, batch: Batch) -> Slopes:
        """The gradients of a player's objective at the present weights."""
        ...

    def descend(self, player: PlayerName, gradients: Slopes) -> None:
        """Update a player by its gradients."""
        ...

    def extrapolated(self) -> AbstractContextManager[None]:
        """Restore the present weights of both players when the block ends."""
        ...


def alternating(game: Moves[Batch, Slopes], d_steps: int) -> None:
    """D's steps, then G's step against the updated D (Goodfellow et al. 2014).

    The last batch is used for both players.
    """
    batch = game.draw()
    for i in range(d_steps):
        if i:
            batch = game.draw()
        game.descend("discriminator", game.gradients("discriminator", batch))
    game.descend("generator", game.gradients("generator", batch))


def simultaneous(game: Moves[Batch, Slopes], d_steps: int) -> None:
    """Both players step by gradients at the same weights (Mescheder et al. 2017, section 2)."""
    _extra_discriminator_steps(game, d_steps - 1)
    _descend_together(game, _both_gradients(game, also_discriminator=d_steps > 0))


def extragradient(game: Moves[Batch, Slopes], d_steps: int) -> None:
    """Look one step ahead with both players; then step from the old weights by the gradients there.

    Gidel et al. 2019, algorithm 4: both steps update the optimizers' moments. The second gradients
    are computed on a new batch. If several discriminator steps are due, all but the last are plain
    ones.
    """
    _extra_discriminator_steps(game, d_steps - 1)
    due = d_steps > 0
    with game.extrapolated():
        _descend_together(game, _both_gradients(game, also_discriminator=due))
        gradients = _both_gradients(game, also_discriminator=due)
    _descend_together(game, gradients)


def _extra_discriminator_steps(game: Moves[Batch, Slopes], d_steps: int) -> None:
    for _ in range(d_steps):
        game.descend("discriminator", game.gradients("discriminator", game.draw()))


def _both_gradients(
    game: Moves[Batch, Slopes], *, also_discriminator: bool
) -> dict[PlayerName, Slopes]:
    """Gradients at the present weights on one batch; D's come first, if its step is due."""
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
