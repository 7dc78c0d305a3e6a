"""Figures of training since the last report: last values, means and largest values.

All stay tensors on the training's device until they are read, since each reading waits for the
device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gan_tune.gan.gradients import total_norm, was_clipped
from gan_tune.gan.objectives import DiscriminatorObjective, GeneratorObjective
from gan_tune.gan.sparsity import idle_share

__all__ = ["Figures", "read"]


class Figures:
    """The figures of the steps in a window.

    Attributes:
        latest: scalars of the last step.
        peaks: largest values in the window. Once a value is NaN, it stays NaN.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin a new window; called after each report."""
        self.latest: dict[str, Tensor] = {}
        self.peaks: dict[str, Tensor] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def tensors(self) -> dict[str, Tensor]:
        """The window so far, as named tensors: `latest/NAME`, `peaks/NAME`, `sums/NAME`."""
        groups = {"latest": self.latest, "peaks": self.peaks, "sums": self._sums}
        return {f"{kind}/{name}": t for kind, group in groups.items() for name, t in group.items()}

    @property
    def counts(self) -> Mapping[str, int]:
        """How many values each sum is of."""
        return self._counts

    def load(self, tensors: Mapping[str, Tensor], counts: Mapping[str, int]) -> None:
        """Continue the window of which these are :meth:`tensors` and :attr:`counts`."""
        self.begin()
        groups = {"latest": self.latest, "peaks": self.peaks, "sums": self._sums}
        for name, tensor in tensors.items():
            kind, figure = name.split("/", 1)
            groups[kind][figure] = tensor
        self._counts = dict(counts)

    def scalars(self) -> dict[str, float]:
        """The values of the last step, the means over the window, and the largest values in it."""
        latest, sums, peaks = read(self.latest, self._sums, self.peaks)
        means = {name: total / self._counts[name] for name, total in sums.items()}
        return latest | means | peaks

    def note_discriminator(
        self, found: DiscriminatorObjective, *, boundary: float | Tensor | None
    ) -> None:
        """Loss, largest logit and accuracies; ``boundary`` is the logit of an undecided D."""
        real_logits, fake_logits = found.real_logits.detach(), found.fake_logits.detach()
        self.latest["discriminator_loss"] = found.total.detach()
        largest = torch.maximum(real_logits.abs().max(), fake_logits.abs().max())
        self._note_peak("discriminator_logit_max", largest)
        if boundary is None:  # only differences count: compare each real logit with its fake one
            right_real = right_fake = real_logits > fake_logits
        else:
            right_real, right_fake = real_logits > boundary, fake_logits < boundary
        self._add("discriminator_accuracy_real", right_real.float().mean())
        self._add("discriminator_accuracy_fake", right_fake.float().mean())

    def note_generator(self, found: GeneratorObjective) -> None:
        """Loss, share of idle units, and the reconstruction's error."""
        self.latest["generator_loss"] = found.loss.detach()
        if found.activations:
            shares = torch.stack([idle_share(h) for h in found.activations])
            self.latest["generator_idle_share"] = shares.mean()
        if found.reconstruction is not None:
            self.latest["training_reconstruction_error"] = found.reconstruction.error.detach()
            self.latest["sparsity_penalty"] = found.reconstruction.penalty.detach()

    def note_gradients(
        self, player: str, gradients: Sequence[Tensor], clipped: Sequence[Tensor] | None
    ) -> None:
        """Norms before clipping, and whether a rule changed them; None if there is no rule."""
        norm = total_norm(gradients)
        self.latest[f"{player}_gradient_norm"] = norm
        self._add(f"{player}_gradient_norm", norm)
        if clipped is not None:
            self._add(f"{player}_clipped_share", was_clipped(gradients, clipped))
        self._note_peak(f"{player}_gradient_norm_max", norm)

    def _note_peak(self, name: str, figure: Tensor) -> None:
        # NaN is kept: torch.maximum propagates it.
        self.peaks[name] = torch.maximum(self.peaks[name], figure) if name in self.peaks else figure

    def _add(self, name: str, figure: Tensor) -> None:
        self._sums[name] = self._sums[name] + figure if name in self._sums else figure
        self._counts[name] = self._counts.get(name, 0) + 1


def read(*groups: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """Groups of named scalars as numbers. All are copied at once, so the host waits once."""
    scalars = [figure for group in groups for figure in group.values()]
    # A stack is of the widest of their types, so no figure is rounded.
    values = iter(torch.stack(scalars).cpu().tolist() if scalars else [])
    return [{name: next(values) for name in group} for group in groups]
