"""The figures of a window: means, largest values, and what D gets right."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gan_tune.gan.figures import Figures
from gan_tune.gan.objectives import DiscriminatorObjective, GeneratorObjective, Reconstruction


def logits(*values: float) -> Tensor:
    return torch.tensor(values).unsqueeze(1)


def noted(*rounds: tuple[Tensor, Tensor], boundary: float | None = 0.0) -> Figures:
    figures = Figures()
    for real, fake in rounds:
        loss = fake.mean() - real.mean()
        found = DiscriminatorObjective(loss + 1, loss, real, fake)
        figures.note_discriminator(found, boundary=boundary)
    return figures


def test_the_discriminators_loss_is_the_last_one_with_its_penalties() -> None:
    figures = noted((logits(3.0), logits(1.0)), (logits(5.0), logits(1.0)))
    assert float(figures.latest["discriminator_loss"]) == -3


@pytest.mark.parametrize(
    ("boundary", "right_real", "right_fake"),
    [(0.0, 0.75, 0.5), (2.5, 0.5, 1.0), (None, 0.75, 0.75)],
)
def test_accuracies_are_means_over_the_window(
    boundary: float | None, right_real: float, right_fake: float
) -> None:
    """On either side of the boundary; without one, a pair is right where real is above fake."""
    rounds = ((logits(3.0, 1.0), logits(2.0, -1.0)), (logits(4.0, -2.0), logits(1.0, -1.5)))
    means = noted(*rounds, boundary=boundary).scalars()
    assert means["discriminator_accuracy_real"] == right_real
    assert means["discriminator_accuracy_fake"] == right_fake


def test_the_largest_logit_is_that_of_either_side_in_all_steps() -> None:
    figures = noted((logits(1.0), logits(-7.0)), (logits(2.0), logits(3.0)))
    assert figures.scalars()["discriminator_logit_max"] == 7


def test_not_a_number_stays_the_largest() -> None:
    figures = Figures()
    for value in (1.0, math.nan, 2.0):
        figures.note_gradients("generator", [torch.tensor([value])], None)
    assert math.isnan(figures.scalars()["generator_gradient_norm_max"])


def test_norms_are_those_before_clipping() -> None:
    figures = Figures()
    for length, clipped in ((3.0, 3.0), (9.0, 5.0)):
        gradients = [torch.tensor([length, 0.0]), torch.zeros(2)]
        ruled = [torch.tensor([clipped, 0.0]), torch.zeros(2)]
        figures.note_gradients("generator", gradients, ruled)
    assert float(figures.latest["generator_gradient_norm"]) == 9
    assert figures.scalars() == {
        "generator_gradient_norm": 6,
        "generator_clipped_share": 0.5,
        "generator_gradient_norm_max": 9,
    }


def test_the_generators_loss_is_that_without_penalties() -> None:
    learnt = Reconstruction(torch.tensor(8.0), torch.tensor(2.0), torch.tensor(4.0))
    idle = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    figures = Figures()
    figures.note_generator(GeneratorObjective(torch.tensor(9.0), torch.tensor(1.0), [idle], learnt))
    assert {name: float(value) for name, value in figures.latest.items()} == {
        "generator_loss": 1,
        "generator_idle_share": 0.5,
        "training_reconstruction_error": 2,
        "sparsity_penalty": 4,
    }


def test_a_new_window_knows_nothing_of_the_last_one() -> None:
    figures = noted((logits(1.0), logits(0.0)))
    figures.begin()
    assert (figures.latest, figures.peaks, figures.scalars()) == ({}, {}, {})


def test_no_figure_holds_on_to_the_graph_of_its_step() -> None:
    """Else every report would keep the activations of a whole step alive."""
    w = torch.ones((), requires_grad=True)
    learnt = Reconstruction(8 * w, 2 * w, 4 * w)
    figures = noted((w * logits(3.0), w * logits(1.0)))
    figures.note_generator(GeneratorObjective(9 * w, 1 * w, [w * torch.eye(2)], learnt))
    held = {**figures.latest, **figures.peaks}
    assert [name for name, value in held.items() if value.requires_grad] == []
