"""neurons: QCFS is the rate of the neuron it becomes, and LIF is Norse's."""

import pytest
import torch

from snn_deploy.training.neurons import IntegrateAndFire, Qcfs, lif


@pytest.mark.parametrize("threshold", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("n_timesteps", [1, 2, 4, 8, 16])
def test_constant_drive_gives_exactly_the_rounded_number_of_spikes(
    threshold: float, n_timesteps: int
) -> None:
    drive = torch.arange(-128, 256) / 64  # exact in binary, ties included
    neuron, state, total = IntegrateAndFire(threshold), None, torch.zeros(384)

    for _ in range(n_timesteps):
        output, state = neuron(drive, state)
        total = total + output

    expected = torch.floor(drive * n_timesteps / threshold + 0.5).clamp(0, n_timesteps)
    assert torch.equal(total / threshold, expected)


@pytest.mark.parametrize("levels", [1, 4, 8])
def test_activation_is_the_mean_output_after_as_many_timesteps_as_levels(
    levels: int,
) -> None:
    drive = torch.arange(-128, 256) / 64
    neuron, state, total = IntegrateAndFire(2.0), None, torch.zeros(384)

    for _ in range(levels):
        output, state = neuron(drive, state)
        total = total + output

    assert torch.equal(Qcfs(levels, 2.0)(drive), total / levels)


def test_floor_of_the_activation_lets_the_gradient_through() -> None:
    x = torch.tensor([-1.0, 0.6, 1.9, 5.0], requires_grad=True)
    activation = Qcfs(4, 2.0)

    activation(x).sum().backward()

    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
    # by hand: d/dtheta of theta * h, where h moves by -x / theta**2 while unclipped
    expected = (0.25 - 0.6 / 2) + (1.0 - 1.9 / 2) + 1.0
    assert activation.threshold.grad is not None
    assert activation.threshold.grad.item() == pytest.approx(expected)


@pytest.mark.parametrize(("levels", "threshold"), [(0, 1.0), (4, 0.0), (4, -1.0)])
def test_activation_without_levels_or_threshold_is_refused(
    levels: int, threshold: float
) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Qcfs(levels, threshold)


def test_lif_loses_its_decay_and_scales_its_input_by_it() -> None:
    neuron = lif(decay=0.25, surrogate_alpha=10.0)

    first, state = neuron(torch.tensor([2.0, 8.0]), None)
    _, state = neuron(torch.tensor([0.0, 2.0]), state)

    assert first.tolist() == [0.0, 1.0]
    assert state.v.tolist() == pytest.approx([0.375, 0.5])
