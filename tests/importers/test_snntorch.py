"""snnTorch: spikes equal to its own, or a refusal that names the parameter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snn_deploy.errors import ModelError
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Reset
from tests.importers.agreement import agree, louder, stepped, time_first, with_states
from tests.importers.stepping import saved

snn = pytest.importorskip("snntorch")
surrogate = pytest.importorskip("snntorch.surrogate")
SHAPE = (2, 6, 6)
BETAS = torch.tensor([0.3, 0.5, 0.8, 0.95]).reshape(4, 1, 1)


def network(neurons: nn.Module, last: nn.Module | None = None) -> nn.Module:
    """Return two layers of neurons; the second is read out."""
    output = last or snn.Leaky(beta=0.8, init_hidden=True, output=True)
    layers = (nn.Conv2d(2, 4, 3), neurons, nn.Flatten(), nn.Linear(64, 6), output)
    return louder(nn.Sequential(*layers))


def leaky(**options: Any) -> nn.Module:
    options = {"beta": 0.7, **options}
    cell: nn.Module = snn.Leaky(init_hidden=True, **options)
    return cell


def synaptic(**options: Any) -> nn.Module:
    options = {"alpha": 0.6, "beta": 0.7, **options}
    cell: nn.Module = snn.Synaptic(init_hidden=True, **options)
    return cell


def recurrent(**options: Any) -> nn.Module:
    options = {"conv2d_channels": 4, "kernel_size": 3, **options}
    cell: nn.Module = snn.RLeaky(beta=0.7, init_hidden=True, **options)
    return cell


def recurrent_synaptic(**options: Any) -> nn.Module:
    options = {"conv2d_channels": 4, "kernel_size": 3, **options}
    cell: nn.Module = snn.RSynaptic(alpha=0.4, beta=0.7, init_hidden=True, **options)
    return cell


RESETS = ("subtract", "zero", "none")


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("make", [leaky, synaptic, recurrent, recurrent_synaptic])
def test_resets(tmp_path: Path, make: Any, reset: str) -> None:
    graph = agree(network(make(reset_mechanism=reset)), stepped, tmp_path, SHAPE)

    neurons = graph.node("1")
    assert isinstance(neurons, Lif)
    assert neurons.reset is (Reset.HARD if reset == "zero" else Reset.SOFT)
    rests = reset == "zero" and make is not leaky
    assert neurons.refractory == int(rests)


@pytest.mark.parametrize("make", [leaky, synaptic, recurrent])
@pytest.mark.parametrize("reset", ["zero", "none"])
def test_resets_at_once(tmp_path: Path, make: Any, reset: str) -> None:
    cell = make(reset_mechanism=reset, reset_delay=False)

    agree(network(cell), stepped, tmp_path, SHAPE)


@pytest.mark.parametrize(
    "cell",
    [
        leaky(threshold=0.4),
        leaky(beta=BETAS),
        leaky(beta=BETAS, learn_beta=True),
        leaky(beta=1.3),
        leaky(beta=-0.2, reset_mechanism="zero"),
        leaky(threshold=0.5, learn_threshold=True),
        leaky(threshold=BETAS),
        leaky(graded_spikes_factor=0.3),
        leaky(graded_spikes_factor=1.7, learn_graded_spikes_factor=True),
        leaky(spike_grad=surrogate.fast_sigmoid(slope=5)),
        leaky(surrogate_disable=True),
        synaptic(alpha=BETAS, learn_alpha=True),
        synaptic(alpha=0.0),
        synaptic(alpha=1.0, threshold=3.0),
        recurrent(conv2d_channels=None, kernel_size=None, all_to_all=False, V=-0.6),
        recurrent(conv2d_channels=None, kernel_size=None, all_to_all=False, V=BETAS),
        recurrent_synaptic(threshold=0.5),
        recurrent_synaptic(
            conv2d_channels=None, kernel_size=None, all_to_all=False, V=BETAS
        ),
    ],
    ids=str,
)
def test_parameters(tmp_path: Path, cell: nn.Module) -> None:
    agree(network(cell), stepped, tmp_path, SHAPE)


@pytest.mark.parametrize(
    "make", [snn.RLeaky, lambda **options: snn.RSynaptic(alpha=0.5, **options)]
)
def test_a_recurrent_row_that_is_read_out(tmp_path: Path, make: Any) -> None:
    last = make(beta=0.8, linear_features=6, init_hidden=True, output=True)

    graph = agree(network(leaky(), last), stepped, tmp_path, SHAPE)

    assert graph.output.name == "4"
    assert {edge.delay for edge in graph.edges_into(graph.node("4.recurrent"))} == {1}


class WithStates(nn.Module):
    """A forward that is given its voltages and currents back, as tutorials write it."""

    def __init__(self, reads_voltage: bool) -> None:
        super().__init__()
        self.reads_voltage = reads_voltage
        self.fc1, self.fc2, self.fc3 = (nn.Linear(n, 8) for n in (12, 8, 8))
        self.lif1 = snn.Leaky(beta=0.9)
        self.lif2 = snn.Synaptic(alpha=0.5, beta=0.8)
        mechanism = "none" if reads_voltage else "subtract"
        self.lif3 = snn.Leaky(beta=0.7, reset_mechanism=mechanism)

    def forward(self, x: Tensor, states: Any = None) -> Any:
        mem1, syn2, mem2, mem3 = (None,) * 4 if states is None else states
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
        spk3, mem3 = self.lif3(self.fc3(spk2), mem3)
        output = mem3 if self.reads_voltage else spk3
        return output, (mem1, syn2, mem2, mem3)


@pytest.mark.parametrize("reads_voltage", [False, True])
def test_a_forward_that_hands_the_states_on(
    tmp_path: Path, reads_voltage: bool
) -> None:
    module = louder(WithStates(reads_voltage))

    graph = agree(module, with_states, tmp_path, (12,))

    assert isinstance(graph.output, Integrator) == reads_voltage


class GivesVoltages(nn.Module):
    """All timesteps; the voltage of the last layer is the answer, or that of each."""

    def __init__(self, cell: nn.Module, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.fc, self.first, self.last = nn.Linear(12, 8), snn.Leaky(beta=0.5), cell
        self.fc2, self.answer = nn.Linear(8, 5), answer

    def forward(self, x: Tensor) -> Tensor:
        mem, rest, voltages = None, (), []
        for step in x:
            spk, mem = self.first(self.fc(step), mem)
            given = self.last(self.fc2(spk), *rest)
            is_recurrent = hasattr(self.last, "recurrent")
            rest = given if is_recurrent else given[1:]
            voltages.append(given[-1])
        return self.answer(torch.stack(voltages))


def each(voltages: Tensor) -> Tensor:
    return voltages


@pytest.mark.parametrize(
    "cell",
    [
        snn.Leaky(beta=0.8, threshold=0.4, graded_spikes_factor=2.0),
        snn.Leaky(beta=torch.linspace(0.3, 0.9, 5), threshold=0.3),
        snn.Lapicque(R=2, C=2, time_step=1, threshold=0.3),
        snn.RLeaky(beta=0.6, linear_features=5, threshold=0.5),
    ],
)
def test_the_voltage_of_spiking_neurons_is_read_out_beside_them(
    tmp_path: Path, cell: nn.Module
) -> None:
    module = louder(GivesVoltages(cell, each))

    graph = agree(module, time_first, tmp_path, (12,))

    assert isinstance(graph.output, Integrator)
    assert isinstance(graph.node("last"), Lif)


@pytest.mark.parametrize(
    ("answer", "functional", "is_mean"),
    [
        (lambda v: v[-1], Functional.LAST, False),
        (lambda v: v.sum(0), Functional.SUM, False),
        (lambda v: v.mean(0), Functional.SUM, True),
        (lambda v: v.max(0)[0], Functional.MAX, False),
        (lambda v: v.mean(0).softmax(-1), Functional.SUM, True),
    ],
)
def test_answers_of_the_voltages_of_spiking_neurons(
    tmp_path: Path,
    answer: Callable[[Tensor], Tensor],
    functional: Functional,
    is_mean: bool,
) -> None:
    module = louder(GivesVoltages(snn.Leaky(beta=0.8, threshold=0.4), answer))

    graph = saved(module, tmp_path, (12,))  # compared with the module

    assert graph.training.functional is functional
    assert graph.head.is_mean is is_mean


@pytest.mark.parametrize(
    ("cell", "answer", "words"),
    [
        (snn.Leaky(beta=0.5, reset_mechanism="zero"), each, "that a spike sets to 0"),
        (snn.Synaptic(alpha=0.5, beta=0.5), each, "with a current of their own"),
        (snn.Leaky(beta=0.5), lambda v: v.softmax(-1).sum(0), "sum of all timesteps"),
        (snn.Leaky(beta=0.5), lambda v: v.softmax(-1).mean(0), "a softmax of each"),
        (snn.Leaky(beta=0.5), lambda v: v.sigmoid().amax(0), "the max may follow"),
    ],
)
def test_voltages_that_no_read_out_gives_are_refused(
    tmp_path: Path, cell: nn.Module, answer: Callable[[Tensor], Tensor], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        saved(louder(GivesVoltages(cell, answer)), tmp_path, (12,))


def never(x: Tensor) -> Tensor:
    return x.sigmoid()


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (leaky(reset_delay=False), "reset_delay is False with reset_mechanism"),
        (leaky(beta=0.0), "beta is 0 with reset_mechanism 'subtract'"),
        (leaky(state_quant=torch.round), "state_quant is set"),
        (leaky(spike_grad=never), "spike_grad is no step"),
        (leaky(graded_spikes_factor=-1.0), "graded_spikes_factor is -1.0"),
        (leaky(graded_spikes_factor=BETAS), "graded_spikes_factor is ["),
        (leaky(threshold=-0.5), "threshold is -0.5"),
        (
            recurrent(
                conv2d_channels=None,
                kernel_size=None,
                all_to_all=False,
                V=torch.rand(4, 4),
            ),
            "V is different within a channel",
        ),
        (snn.Alpha(0.9, 0.8, init_hidden=True), "snnTorch's Alpha cannot be"),
        (snn.LeakyParallel(8, 8), "snnTorch's LeakyParallel cannot be deployed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_refusal_names_the_parameter(
    tmp_path: Path, cell: nn.Module, words: str
) -> None:
    with pytest.raises(ModelError) as caught:
        saved(network(cell), tmp_path, SHAPE)

    assert str(caught.value).startswith("layer 1")
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_input_of_another_shape_is_told_of_where_it_fails(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"cannot be multiplied|needs \d+ inputs"
    ) as caught:
        saved(network(leaky()), tmp_path, (2, 7, 7))

    assert "plain tensor" not in str(caught.value)  # as snnTorch's own states are


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
def test_inhibition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="layer 1, Leaky: inhibition is set"):
        saved(network(leaky(inhibition=True)), tmp_path, SHAPE)


class Quiet(snn.Leaky):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__(beta=0.5, threshold=2.0, init_hidden=True)


class Loud(Quiet):
    def fire(self, mem: Tensor) -> Tensor:
        spikes: Tensor = super().fire(mem)
        return 2 * spikes


def test_a_derived_neuron_that_overrides_nothing_is_its_base(tmp_path: Path) -> None:
    graph = agree(network(Quiet()), stepped, tmp_path, SHAPE)

    assert graph.node("1").threshold == 2.0  # type: ignore[attr-defined]


def test_a_derived_neuron_that_does_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"layer 1, Loud, .*: Loud is derived from Leaky .* \(fire\);"
    ):
        saved(network(Loud()), tmp_path, SHAPE)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize(
    "circuit",
    [
        {"beta": 0.5},
        {"beta": 0.6, "R": 2.0, "threshold": 0.7},
        {"beta": 0.8, "C": 3.0},
        {"R": 1.5, "C": 2.0, "time_step": 0.5},
    ],
    ids=str,
)
def test_a_neuron_written_as_a_circuit(
    tmp_path: Path, circuit: dict[str, Any], reset: str
) -> None:
    cell = snn.Lapicque(init_hidden=True, reset_mechanism=reset, **circuit)

    graph = agree(network(cell), stepped, tmp_path, SHAPE)

    assert graph.node("1").reset is (Reset.HARD if reset == "zero" else Reset.SOFT)  # type: ignore[attr-defined]


@pytest.mark.parametrize("reset", RESETS)
def test_a_spike_at_the_threshold(tmp_path: Path, reset: str) -> None:
    cell = leaky(spike_grad=lambda x: (x >= 0).to(x), reset_mechanism=reset)
    module = nn.Sequential(nn.Linear(2, 2, bias=False), cell)
    nn.init.constant_(module[0].weight, 0.5)  # type: ignore[arg-type]

    graph = saved(module, tmp_path, (2,), encoding="events")

    neurons = graph.node("1")
    assert isinstance(neurons, Lif)
    assert neurons.comparison is Comparison.GREATER_EQUAL


def test_states_left_over_from_training_do_not_matter(tmp_path: Path) -> None:
    module = network(leaky(learn_beta=True))
    module(torch.rand(3, *SHAPE))[0].sum().backward()
    module(torch.rand(6, *SHAPE))

    saved(module, tmp_path, SHAPE)

    assert not module[1].mem.any()  # type: ignore[index]
