"""A trial's networks as they are evaluated between steps: in eval mode, from and to data space."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gan_tune.data.scaling import Scaling
from gan_tune.gan.averages import statistics_batches, take_batch_statistics
from gan_tune.gan.batches import Batches
from gan_tune.gan.device import accelerator
from gan_tune.gan.input_gradients import Network
from gan_tune.gan.randomness import seeded, seeded_globals
from gan_tune.gan.sparsity import Sparsity
from gan_tune.gan.trial_networks import TrialNetworks
from gan_tune.metrics.models import Cost, Models

__all__ = ["EVALUATION_BATCH", "Evaluation"]

EVALUATION_BATCH = 2_000
COST_BATCH = 2


class Evaluation:
    """Computes samples, codes, reconstructions and features for evaluation.

    All of them use the same weights: the average of the weights if averaging is on.
    """

    def __init__(
        self,
        networks: TrialNetworks,
        batches: Batches,
        *,
        scaling: Scaling,
        sparsity: Sparsity,
        shape: tuple[int, ...],
        seed: int,
    ) -> None:
        self.networks, self.batches = networks, batches
        self.scaling, self.sparsity = scaling, sparsity
        self.shape, self.seed, self.device = shape, seed, batches.device
        self._settled: set[nn.Module] = set()

    def outdate(self) -> None:
        """Note that weights have changed, so that averages need new batch statistics."""
        self._settled.clear()

    def generator(self) -> nn.Module:
        """The generator that is judged, drawn, kept and exported; the average if there is one."""
        average = self.networks.average
        if average is None:
            return self.networks.generator
        self._settle(average, self.networks.generator, self._noise)
        return average

    @torch.no_grad()
    def sample(self, count: int, purpose: str) -> Tensor:
        """``count`` samples in data space, from noise fixed by the trial's seed and ``purpose``."""
        z = self.batches.noise(seeded(self.seed, purpose, self.device), count)
        network = self.generator().eval()
        samples = torch.cat(
            [self.scaling.undo(network(part)) for part in z.split(EVALUATION_BATCH)]
        )
        network.train()
        return samples

    def encode(self, real: Tensor) -> Tensor:
        """Codes [N, code] of scaled samples, in the form that the generator receives."""
        assert self.networks.encoder is not None
        code: Tensor = self.sparsity.transform(self.networks.encoder(real))
        return code

    def reconstruct(self, real: Tensor) -> Tensor:
        """G(T(E(x))) in data space, of scaled samples."""
        decoder = self.networks.decoder
        assert decoder is not None
        if (average := self.networks.average_decoder) is not None:
            self._settle(average, decoder, self._codes)
            decoder = average
        samples: Tensor = decoder(self.encode(real))
        return self.scaling.undo(samples)

    def in_data_space(self, function: Network) -> Network:
        """A function of samples in data space; the networks are in eval mode, without a graph."""

        def call(samples: Tensor) -> Tensor:
            networks = self.networks.by_name().values()
            for network in networks:
                network.eval()
            with torch.no_grad():
                parts = samples.to(self.device).split(EVALUATION_BATCH)
                result = torch.cat([function(self.scaling.apply(part)) for part in parts])
            for network in networks:
                network.train()
            return result

        return call

    def models(self) -> Models:
        """The models that metrics of representations use, as functions of samples in data space."""
        features = getattr(self.networks.discriminator, "features", None)
        encoder = self.networks.encoder
        return Models(
            discriminator_features=None if features is None else self.in_data_space(features),
            encode=None if encoder is None else self.in_data_space(self.encode),
            reconstruct=None if encoder is None else self.in_data_space(self.reconstruct),
            generator_cost=self._generator_cost,
            fastest=accelerator(),
        )

    @torch.no_grad()
    def _generator_cost(self) -> Cost:
        """PyTorch counts it over a batch, since a network need not accept single samples."""
        generator = self.generator().eval()
        latent = torch.zeros(COST_BATCH, self.batches.latent, device=self.device)
        with FlopCounterMode(display=False) as counter:
            generator(latent)
        generator.train()
        parameters = sum(p.numel() for p in generator.parameters())
        return Cost(float(parameters), counter.get_total_flops() / 2 / COST_BATCH)

    def _settle(
        self, average: nn.Module, source: nn.Module, inputs: Callable[[torch.Generator], Tensor]
    ) -> None:
        """Copy the source's buffers to an average, but compute the average's own batch statistics.

        The source's running averages were collected over other weights, those of earlier steps.
        """
        if average in self._settled:
            return
        self._settled.add(average)
        for mine, its in zip(average.buffers(), source.buffers(), strict=True):
            mine.copy_(its)
        random = seeded(self.seed, "statistics", self.device)
        count = statistics_batches(self.shape, EVALUATION_BATCH)
        with seeded_globals(self.seed, "noise in statistics", self.device):
            take_batch_statistics(average, (inputs(random) for _ in range(count)))

    def _noise(self, random: torch.Generator) -> Tensor:
        return self.batches.noise(random, EVALUATION_BATCH)

    def _codes(self, random: torch.Generator) -> Tensor:
        return self.encode(self.batches.real(random, EVALUATION_BATCH))
