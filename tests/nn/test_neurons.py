"""neurons: QCFS is the rate of the neuron it becomes, and LIF is Norse's."""

from collections.abc import Callable

import pytest
import torch

from snn_deploy.nn.neurons import IntegrateAndFire, Qcfs, fuse_loops, lif


@pytest.mark.parametrize("threshold", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("n_timesteps", [1, 2, 4, 8, 16])
def test_constant_drive_gives_exactly_the_rounded_number_of_spikes(
    threshold: float, n_timesteps: int
) -> None:
    drive = torch.arange(-128, 256) / 64  # exact in binary, ties included
    neuron, state, total = (
        IntegrateAndFire(torch.tensor(threshold)),
        None,
        torch.zeros(384),
    )

    for _ in range(n_timesteps):
        output, state = neuron(drive, state)
        total = total + output

    expected = torch.floor(drive * n_timesteps / threshold + 0.5).clamp(0, n_timesteps)
    assert torch.equal(total / threshold, expected)


def test_leak_is_taken_off_before_the_input_by_hand() -> None:
    neuron, state = IntegrateAndFire(torch.tensor(1.0), decay=0.5), None
    drive, outputs, voltages = torch.tensor(0.625), [], []

    for _ in range(3):
        output, state = neuron(drive, state)
        outputs.append(output.item())
        voltages.append(state.item())

    # 0.5 / 2 + 0.625 = 0.875; 0.4375 + 0.625 = 1.0625, less 1; 0.03125 + 0.625
    assert outputs == [0.0, 1.0, 0.0]
    assert voltages == [0.875, 0.0625, 0.65625]


@pytest.mark.parametrize("levels", [1, 4, 8])
def test_activation_is_the_mean_output_after_as_many_timesteps_as_levels(
    levels: int,
) -> None:
    drive = torch.arange(-128, 256) / 64
    neuron, state, total = IntegrateAndFire(torch.tensor(2.0)), None, torch.zeros(384)

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


def test_levels_from_a_settings_file_are_a_whole_number() -> None:
    levels = Qcfs(4.0, 1.0).levels  # type: ignore[arg-type]

    assert (levels, type(levels)) == (4, int)
    with pytest.raises(ValueError, match=r"levels is 4.5; give a whole number"):
        Qcfs(4.5, 1.0)  # type: ignore[arg-type]


def test_lif_loses_its_decay_and_scales_its_input_by_it() -> None:
    neuron = lif(decay=0.25)

    first, state = neuron(torch.tensor([2.0, 8.0]), None)
    _, state = neuron(torch.tensor([0.0, 2.0]), state)

    assert first.tolist() == [0.0, 1.0]
    assert state.v.tolist() == pytest.approx([0.375, 0.5])


def test_soft_reset_takes_the_threshold_off() -> None:
    neuron = lif(decay=0.5, reset="soft")

    spikes, state = neuron(torch.tensor([3.0, 1.0]), None)

    assert spikes.tolist() == [1.0, 0.0]
    assert state.v.tolist() == pytest.approx([0.5, 0.5])


def test_half_decay_and_twice_the_input_are_the_neurons_of_the_paper() -> None:
    drive = torch.rand(8, 50, generator=torch.Generator().manual_seed(0)) * 2 - 0.3
    neuron = lif(decay=0.5, surrogate="triangle")
    state, voltage = None, torch.zeros(50)

    for x in drive:
        output, state = neuron(2 * x, state)
        voltage = 0.5 * voltage + x
        spikes = (voltage > 1).float()
        voltage = voltage * (1 - spikes)
        assert torch.equal(output, spikes)
        torch.testing.assert_close(state.v, voltage)


def integral_of_triangle(x: torch.Tensor) -> torch.Tensor:
    below = (1 - x.abs()).clamp(min=0).square() / 2
    return torch.where(x <= 0, below, 1 - below)


def integral_of_super(x: torch.Tensor) -> torch.Tensor:
    return x / (1 + x.abs())


@pytest.mark.parametrize(
    ("surrogate", "smooth"),
    [("triangle", integral_of_triangle), ("super", integral_of_super)],
)
def test_gradient_of_a_spike_is_that_of_a_smooth_step(
    surrogate: str, smooth: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    voltage = torch.linspace(-1.453, 3.447, 99, dtype=torch.float64).requires_grad_()
    neuron = lif(decay=1.0, surrogate=surrogate)

    spikes, _ = neuron(voltage, None)  # the voltage is the input, the threshold 1
    spikes.sum().backward()

    h, beyond = 1e-6, voltage.detach() - 1
    finite = (smooth(beyond + h) - smooth(beyond - h)) / (2 * h)
    torch.testing.assert_close(voltage.grad, finite, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("threshold", [0.7, 2.0])
def test_gradient_of_a_converted_neuron_is_that_of_a_triangle_as_wide_as_its_threshold(
    threshold: float,
) -> None:
    theta = torch.tensor(threshold, dtype=torch.float64)
    drive = torch.linspace(-1.453, 3.447, 99, dtype=torch.float64).requires_grad_()

    output, _ = IntegrateAndFire(theta, decay=0.25)(drive)
    output.sum().backward()

    def smooth(x: torch.Tensor) -> torch.Tensor:
        voltage = 0.75 * theta / 2 + x
        return theta * integral_of_triangle(voltage / theta - 1)

    h, at = 1e-6, drive.detach()
    finite = (smooth(at + h) - smooth(at - h)) / (2 * h)
    torch.testing.assert_close(drive.grad, finite, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_given", [1, 4])
@pytest.mark.parametrize("decay", [0.0, 0.25])
def test_all_timesteps_at_once_are_those_one_after_another(
    n_given: int, decay: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    currents = torch.randn(n_given, 5, 3, 4, 4, generator=generator).requires_grad_()
    threshold = torch.tensor(0.7, requires_grad=True)
    neuron, state, outputs = IntegrateAndFire(threshold, decay), None, []

    together, _ = neuron(currents, None, 4)
    for current in currents.expand(4, *currents.shape[1:]):
        output, state = neuron(current, state)
        outputs.append(output)
    apart = torch.stack(outputs)

    assert torch.equal(together, apart)
    assert 0 < together.count_nonzero() < together.numel()
    weights = torch.randn(together.shape, generator=generator)
    found, expected = (
        torch.autograd.grad((output * weights).sum(), (currents, threshold))
        for output in (together, apart)
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own workings
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_compiled_loops_give_the_same_values_and_gradients(
    precision: torch.dtype,
) -> None:
    x = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 2
    x = x.to(precision).contiguous(memory_format=torch.channels_last)
    threshold = torch.nn.Parameter(torch.tensor(1.7))
    for neuron in (Qcfs(4, 1.7), IntegrateAndFire(threshold)):
        before = run_with_gradients(neuron, x)
        fuse_loops(neuron)

        after = run_with_gradients(neuron, x)

        assert after[0].stride() == before[0].stride()
        assert torch.equal(after[0], before[0])
        torch.testing.assert_close(after[1], before[1], rtol=1e-2, atol=1e-6)
        torch.testing.assert_close(after[2], before[2], rtol=1e-4, atol=1e-4)


def run_with_gradients(
    neuron: torch.nn.Module, x: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Return the outputs, and the gradients of a weighted sum of them."""
    x = x.detach().requires_grad_()
    threshold = neuron.get_parameter("threshold")
    if isinstance(neuron, IntegrateAndFire):
        outputs = neuron(x.view(2, 4, *x.shape[1:]), None, 2)[0].flatten(0, 1)
    else:
        outputs = neuron(x)
    weights = torch.linspace(-1, 2, x.numel()).view(x.shape)
    found = torch.autograd.grad((outputs.float() * weights).sum(), (x, threshold))
    return outputs.detach(), *found


def test_voltages_of_half_precision_inputs_are_kept_in_single_precision() -> None:
    current = torch.full((1, 1), 1 / 3, dtype=torch.bfloat16)

    outputs, _ = IntegrateAndFire(torch.tensor(1000.0))(current, None, 2000)

    # 500 + n / 3 reaches 1000 after 1,498 of bfloat16's thirds, 0.333984375; summed in
    # bfloat16 it would stay at 500, which has no neighbour nearer than 502
    assert outputs.flatten().nonzero().flatten().tolist() == [1497]
