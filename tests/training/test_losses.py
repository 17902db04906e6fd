"""losses: values by hand."""

from math import exp, log

import pytest
import torch

from snn_deploy.training.losses import (
    mean_output_loss,
    running_count_loss,
    tet_loss,
)

# two timesteps, one input, two classes; the right class is 0
OUTPUTS = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])
LABELS = torch.tensor([0])


def _cross_entropy(lead: float) -> float:
    return log(1 + exp(-lead))


def test_mean_output_is_scored_once() -> None:
    loss = mean_output_loss(OUTPUTS, LABELS)

    assert loss.item() == pytest.approx(_cross_entropy(0.5 - 1.0))


def test_tet_scores_every_timestep_and_pulls_outputs_to_one() -> None:
    loss = tet_loss(OUTPUTS, LABELS, mse_weight=0.25)

    cross_entropy = (_cross_entropy(1.0) + _cross_entropy(-2.0)) / 2
    distance = (0 + 1 + 1 + 1) / 4
    assert loss.item() == pytest.approx(0.75 * cross_entropy + 0.25 * distance)


def test_running_count_scores_the_spikes_so_far() -> None:
    loss = running_count_loss(OUTPUTS, LABELS, gain=0.5)

    expected = (_cross_entropy(0.5 * 1) + _cross_entropy(0.5 * (1 - 2))) / 2
    assert loss.item() == pytest.approx(expected)


def test_order_of_the_inputs_does_not_matter() -> None:
    outputs = torch.arange(24.0).reshape(2, 4, 3).sin()
    labels = torch.tensor([0, 2, 1, 1])
    order = torch.tensor([2, 0, 3, 1])

    loss = tet_loss(outputs, labels, mse_weight=0.1)
    reordered = tet_loss(outputs[:, order], labels[order], mse_weight=0.1)

    assert reordered.item() == pytest.approx(loss.item())


def test_smoothed_label_costs_as_by_hand() -> None:
    outputs, labels = torch.tensor([[[2.0, 0.0]], [[0.0, 1.0]]]), torch.tensor([0])

    loss = tet_loss(outputs, labels, smoothing=0.2)

    # 0.9 of the right class and 0.1 of the other, at two timesteps
    first = log(1 + exp(-2)) + 0.1 * 2
    second = log(1 + exp(-1)) + 0.9 * 1
    assert loss.item() == pytest.approx((first + second) / 2)
