"""sinabs: spikes equal to its own, or a refusal that names the parameter."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.pipeline import compile_model, to_spiking
from snn_deploy.errors import FitError, ModelError
from snn_deploy.ir.neurons import Integrator, Lif
from tests.importers.agreement import N, agree, louder, merged, time_second
from tests.importers.stepping import saved

sl = pytest.importorskip("sinabs.layers")
activation = pytest.importorskip("sinabs.activation")
SHAPE = (2, 6, 6)
SINGLE, MULTI = activation.SingleSpike, activation.MultiSpike
THRESHOLDS = torch.tensor([0.3, 0.5, 0.8, 1.1]).reshape(4, 1, 1)


def network(neurons: nn.Module) -> nn.Module:
    """Return a network whose layers take batch and time as one axis."""
    last = sl.IAFSqueeze(batch_size=N, spike_fn=SINGLE)
    layers = (nn.Conv2d(2, 4, 3), neurons, nn.Flatten(), nn.Linear(64, 6), last)
    return louder(nn.Sequential(*layers))


def iaf(**options: Any) -> nn.Module:
    cell: nn.Module = sl.IAFSqueeze(batch_size=N, **options)
    return cell


def lif(**options: Any) -> nn.Module:
    cell: nn.Module = sl.LIFSqueeze(batch_size=N, **{"tau_mem": 3.0, **options})
    return cell


@pytest.mark.parametrize("make", [iaf, lif])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"spike_fn": SINGLE},
        {"spike_fn": activation.MaxSpike(2)},
        {"spike_fn": activation.MaxSpike(None)},
        {"spike_fn": SINGLE, "reset_fn": activation.MembraneReset()},
        {"spike_fn": SINGLE, "reset_fn": activation.MembraneSubtract(0.3)},
        {"tau_syn": 2.0},
        {"spike_threshold": torch.tensor(0.4)},
        {"spike_threshold": THRESHOLDS, "spike_fn": SINGLE},
    ],
    ids=str,
)
def test_neurons(tmp_path: Path, make: Any, options: dict[str, Any]) -> None:
    agree(network(make(**options)), merged, tmp_path, SHAPE)


class Quick(sl.LIFSqueeze):  # type: ignore[misc, name-defined]
    """The same neurons under another name."""


def test_a_derived_neuron_that_overrides_nothing_is_its_base(tmp_path: Path) -> None:
    agree(network(Quick(tau_mem=2.0, batch_size=N)), merged, tmp_path, SHAPE)


@pytest.mark.parametrize(
    "options",
    [
        {"norm_input": False},
        {"train_alphas": True, "tau_syn": 1.5},
        {"tau_mem": torch.tensor([2.0, 3.0, 4.0, 9.0]).reshape(4, 1, 1)},
        {"tau_syn": torch.tensor(5.0), "norm_input": False, "spike_fn": SINGLE},
    ],
    ids=str,
)
def test_time_constants(tmp_path: Path, options: dict[str, Any]) -> None:
    agree(network(lif(**options)), merged, tmp_path, SHAPE)


def test_several_spikes_in_a_timestep_are_kept(tmp_path: Path) -> None:
    graph = agree(
        network(iaf(spike_threshold=torch.tensor(0.2))), merged, tmp_path, SHAPE
    )

    neurons = graph.node("1")
    assert isinstance(neurons, Lif)
    assert neurons.max_spikes > 1000
    quantized = quantize(to_spiking(graph), read_target("loihi-sim"))
    assert 1 < quantized.population("1").max_spikes < 1000
    with pytest.raises(FitError, match="1: soft reset, which"):
        quantize(to_spiking(saved_as_rate(tmp_path)), read_target("loihi1"))


def saved_as_rate(folder: Path) -> Any:
    return saved(network(iaf()), folder, SHAPE, encoding="rate")


class WithTime(nn.Module):
    """Layers with an axis of time, convolutions without it."""

    def __init__(self) -> None:
        super().__init__()
        self.merge, self.part = sl.FlattenTime(), sl.UnflattenTime(batch_size=N)
        self.conv, self.spike1 = nn.Conv2d(2, 4, 3), sl.IAF(spike_fn=SINGLE)
        self.pool, self.flat = sl.SumPool2d(2), nn.Flatten(2)
        self.fc, self.spike2 = nn.Linear(16, 6), sl.LIF(tau_mem=4.0)
        self.last, self.readout = nn.Linear(6, 3), sl.ExpLeak(tau_mem=5.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.spike1(self.part(self.conv(self.merge(x))))
        x = self.flat(self.part(self.pool(self.merge(x))))
        output: Tensor = self.readout(self.last(self.spike2(self.fc(x))))
        return output


def test_layers_with_an_axis_of_time(tmp_path: Path) -> None:
    graph = agree(louder(WithTime()), time_second, tmp_path, SHAPE)

    assert isinstance(graph.output, Integrator)


class Merged(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(12, 6), nn.Linear(12, 6)
        self.merge, self.spike = sl.Merge(), iaf(spike_fn=SINGLE)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.spike(self.merge(self.a(x), self.b(x)))
        return output


def test_a_merge_is_a_sum(tmp_path: Path) -> None:
    agree(louder(Merged()), merged, tmp_path, (12,))


def test_a_network_that_sinabs_converted(tmp_path: Path) -> None:
    from_model = pytest.importorskip("sinabs.from_torch").from_model
    ann = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)
    )
    network = from_model(louder(ann), batch_size=N, add_spiking_output=True)

    agree(network.spiking_model, merged, tmp_path, SHAPE)
    graph = agree(network, merged, tmp_path, SHAPE)

    low = [node for node in graph.nodes_of(Lif) if node.has_lowest_voltage]
    assert low
    compiled = compile_model(graph, read_target("loihi2"))
    assert sum(p.has_lowest_voltage for p in compiled.graph.populations) == len(low)


@pytest.mark.parametrize("spikes", [SINGLE, MULTI])
@pytest.mark.parametrize("current", [None, 2.0])
def test_recurrent_layers(tmp_path: Path, spikes: Any, current: float | None) -> None:
    has_bias = current is None  # which the first timestep lacks
    back = nn.Conv2d(4, 4, 3, padding=1, bias=has_bias)
    options = {"spike_fn": spikes, "tau_syn": current}
    module = nn.Sequential(
        sl.Repeat(nn.Conv2d(2, 4, 3)),
        sl.LIFRecurrent(3.0, back, norm_input=False, **options),
        nn.Flatten(start_dim=2),
        nn.Linear(64, 6),
        sl.IAFRecurrent(nn.Linear(6, 6, bias=has_bias), **options),
    )

    graph = agree(louder(module, 0.5), time_second, tmp_path, SHAPE)

    edges = graph.edges_into(graph.node("1.rec_connect"))
    assert {edge.delay for edge in edges} == {1}


def positive(neurons: nn.Module) -> nn.Module:
    """Return a network without inhibition."""
    module = network(neurons)
    with torch.no_grad():
        for parameter in module[0].parameters():  # type: ignore[index]
            parameter.abs_().mul_(0.1)
    return module


def test_a_lowest_voltage_that_cannot_be_reached_is_accepted(tmp_path: Path) -> None:
    agree(positive(iaf(min_v_mem=-0.1)), merged, tmp_path, SHAPE)


def test_a_leak_bounds_the_voltage(tmp_path: Path) -> None:
    module = network(lif(spike_fn=SINGLE))
    inhibition = module[0].weight.clamp(max=0).sum((1, 2, 3)).min().item()  # type: ignore[index]
    deep, shallow = 1.1 * inhibition, 0.3 * inhibition

    def cut_at(floor: float) -> nn.Module:
        module[1].min_v_mem = nn.Parameter(torch.tensor(floor))  # type: ignore[index]
        return module

    graph = agree(cut_at(deep), merged, tmp_path, SHAPE)
    assert not any(node.has_lowest_voltage for node in graph.nodes_of(Lif))
    graph = agree(cut_at(shallow), merged, tmp_path, SHAPE)
    assert np.all(graph.node("1").lowest_voltage == np.float32(shallow))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (iaf(min_v_mem=0.5), "min_v_mem is 0.5, which cannot be deployed"),
        (
            sl.ExpLeakSqueeze(tau_mem=5.0, batch_size=N, min_v_mem=-1.0),
            "min_v_mem is -1, which cannot be deployed in neurons whose voltage",
        ),
        (
            iaf(reset_fn=activation.MembraneReset()),
            "reset_fn is no subtraction of the threshold",
        ),
        (
            iaf(reset_fn=activation.MembraneSubtract(0.3)),
            "reset_fn is no subtraction of the threshold",
        ),
        (
            iaf(spike_fn=SINGLE, reset_fn=activation.MembraneReset(-0.3)),
            "reset_value is -0.3",
        ),
        (iaf(spike_fn=SINGLE, reset_fn=np.add), "reset_fn is ufunc"),
        (iaf(spike_fn=activation.Quantize), "spike_fn is Quantize"),
        (sl.QuantizeLayer(), "QuantizeLayer cannot be deployed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_refusal_names_the_parameter(
    tmp_path: Path, cell: nn.Module, words: str
) -> None:
    with pytest.raises(ModelError) as caught:
        saved(network(cell), tmp_path, SHAPE)

    assert str(caught.value).startswith(f"layer 1, {type(cell).__name__}")
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (sl.ALIF(2.0, 2.0), "sinabs' ALIF cannot be deployed"),
        (sl.SpikingMaxPooling2dLayer((2, 2)), "SpikingMaxPooling2dLayer cannot"),
        (
            sl.LIFRecurrent(2.0, nn.Identity()),
            "the connection is Identity, which cannot be deployed; use Linear",
        ),
        (
            sl.LIFRecurrent(2.0, nn.Sequential(nn.Flatten(), nn.Linear(16, 8))),
            "the connection is Sequential, which cannot be deployed; use Linear",
        ),
        (
            sl.LIFRecurrent(2.0, nn.Conv2d(4, 4, 1), tau_syn=2.0),
            "a bias is left out at the first timestep",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_refusal_names_the_parameter_of_all_timesteps(
    tmp_path: Path, cell: nn.Module, words: str
) -> None:
    with pytest.raises(ModelError) as caught:
        saved(nn.Sequential(nn.Identity(), cell), tmp_path, (4, 2, 2))

    assert str(caught.value).startswith("layer 1")
    assert words in str(caught.value)


def test_states_left_over_from_training_do_not_matter(tmp_path: Path) -> None:
    module = network(lif())
    module(torch.rand(3 * N, *SHAPE)).sum().backward()

    saved(module, tmp_path, SHAPE)

    assert not any(len(state) for state in module[1].buffers())  # type: ignore[index]
    agree(module, merged, tmp_path, SHAPE)
