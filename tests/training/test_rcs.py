"""rcs: values by hand, gradients by finite differences."""

from collections.abc import Callable
from math import sqrt

import pytest
import torch
from torch import Tensor

from snn_deploy.training import rcs, recipes
from snn_deploy.training.networks import build_network, run_over_time

TINY = 1e-5


def test_peak_to_rms_of_each_input_by_hand() -> None:
    x = torch.tensor([[[[3.0, -7.0], [0.0, 4.0]]], [[[2.0, 2.0], [2.0, 2.0]]]])

    found = rcs.peak_to_rms(x)

    first = 4 / sqrt((9 + 16) / 4 + TINY)  # what is below 0 does not count
    assert found.tolist() == pytest.approx([first, 2 / sqrt(4 + TINY)])


def test_input_does_not_depend_on_the_others_of_its_batch() -> None:
    x = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0)) - 0.3

    torch.testing.assert_close(rcs.peak_to_rms(x)[2:3], rcs.peak_to_rms(x[2:3]))


def test_inverse_cosine_to_the_late_mean_by_hand() -> None:
    # one input, two features; of 4 timesteps the last one is late
    features = torch.tensor([[3.0, 4.0], [0.0, 0.0], [2.0, 0.0], [1.0, 0.0]])

    found = rcs.inverse_cosine(features.unsqueeze(1), 0.3)

    def cosine(dot: float, square: float) -> float:
        return dot / (sqrt(square + TINY) * sqrt(1 + TINY))

    mean = (cosine(3, 25) + 0 + cosine(2, 4) + cosine(1, 1)) / 4
    assert found.tolist() == pytest.approx([1 / (mean + TINY)])


@pytest.mark.parametrize(
    ("n_timesteps", "n"), [(1, 1), (2, 1), (3, 1), (4, 1), (7, 2), (10, 3), (20, 6)]
)
def test_late_is_three_tenths_and_never_everything(n_timesteps: int, n: int) -> None:
    # int(0.3 T) is 0 up to T = 3, which as a slice [-0:] would mean all timesteps
    assert rcs.n_late(n_timesteps, 0.3) == n


def test_only_inputs_right_in_all_late_timesteps_count_and_the_worst_of_them() -> None:
    # inputs: right twice, right twice, wrong in the last but one, wrong early only
    right, wrong = [1.0, 0.0], [0.0, 1.0]
    outputs = torch.tensor(
        [
            [right, right, right, wrong],
            [right, right, wrong, right],
            [right, right, right, right],
        ]
    )
    labels = torch.zeros(4, dtype=torch.int64)
    turns = [torch.tensor([1.0, 2.0, 9.0, 3.0]), torch.tensor([5.0, 4.0, 9.0, 4.5])]

    found = rcs.penalty(turns, outputs, labels, 0.7)  # the last 2 of 3

    assert found.item() == (3 + 5) / 2


def test_batch_that_is_all_wrong_costs_nothing() -> None:
    outputs = torch.tensor([[[0.0, 1.0]]])

    found = rcs.penalty([torch.ones(1)], outputs, torch.tensor([0]), 0.3)

    assert found.item() == 0


def late_is_a_constant(features: Tensor, late: Tensor) -> Tensor:
    """Return the measure with the late mean given, as its gradient sees it."""
    flat = features.flatten(2)
    norms = (flat.square().sum(2) + TINY).sqrt()
    cosines = (flat * late).sum(2) / norms / (late.square().sum(1) + TINY).sqrt()
    return 1 / (cosines.mean(0) + TINY)


def check_gradient(
    found: Tensor, function: Callable[[Tensor], Tensor], x: Tensor
) -> None:
    h = 1e-6
    for index in range(x.numel()):
        step = torch.zeros_like(x).flatten()
        step[index] = h
        step = step.reshape(x.shape)
        finite = (function(x + step).sum() - function(x - step).sum()) / (2 * h)
        assert found.flatten()[index].item() == pytest.approx(finite.item(), abs=1e-6)


def test_gradient_of_the_inverse_cosine_is_that_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(5, 2, 3, 2, dtype=torch.float64, generator=generator)
    late = x[-2:].mean(0).flatten(1)
    x.requires_grad_()

    rcs.inverse_cosine(x, 0.4).sum().backward()  # type: ignore[no-untyped-call]

    assert x.grad is not None
    check_gradient(x.grad, lambda y: late_is_a_constant(y, late), x.detach())


def test_gradient_of_peak_to_rms_is_that_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(3, 2, 3, dtype=torch.float64, generator=generator)
    x.requires_grad_()

    rcs.peak_to_rms(x).sum().backward()  # type: ignore[no-untyped-call]

    assert x.grad is not None
    check_gradient(x.grad, rcs.peak_to_rms, x.detach())


def test_features_of_spiking_neurons_are_spikes_and_rest_of_the_voltage() -> None:
    layers = (recipes.Flatten(), recipes.Linear(features=2), recipes.Lif(decay=0.5))
    network = build_network(layers, (2,), seed=0)
    network[1].load_state_dict({"weight": torch.eye(2), "bias": torch.zeros(2)})

    seen = rcs.Rcs(network, weight=1.0)
    run_over_time(network, torch.tensor([[1.2, 3.0], [-1.0, 1.0]]), 2)

    # voltages: 0.6 then 0.9; a spike and a reset each time; below 0; 0.5 then 0.75
    features = torch.tensor([[[0.6, 1.0], [0.0, 0.5]], [[0.9, 1.0], [0.0, 0.75]]])
    torch.testing.assert_close(seen.turns(), [rcs.inverse_cosine(features, 0.3)])
    assert seen.turns() == []


def test_features_of_activations_are_what_they_get() -> None:
    layers = (
        recipes.Flatten(),
        recipes.Linear(features=3),
        recipes.QcfsActivation(levels=4, threshold=1.0),
        recipes.Linear(features=2),
    )
    network = build_network(layers, (3,), seed=0)
    network[1].load_state_dict({"weight": torch.eye(3), "bias": torch.zeros(3)})
    x = torch.tensor([[1.0, 2.0, 9.0]])

    seen = rcs.Rcs(network, weight=1.0)
    run_over_time(network, x, 4)

    torch.testing.assert_close(seen.turns(), [rcs.peak_to_rms(x)])
