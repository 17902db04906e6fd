"""NeuroBench metrics: equal to those of its package on the same network in torch."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snn_deploy.arrays import AnyArray
from snn_deploy.backends.registry import open_backend
from snn_deploy.compiler.retarget import retarget
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.cutoff.rules.fixed import fixed
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.ir.synapses import ConvSynapses, SparseSynapses
from snn_deploy.profile.neurobench import (
    connection_sparsity,
    footprint,
    static_metrics,
    workload,
    workload_metrics,
)
from tests.build import TRAINING, dense, integers, population, rng, simulator

pytest.importorskip("neurobench")

N, N_TIMESTEPS, THRESHOLD = 5, TRAINING.timesteps, 40
CONV = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}
SHAPES = ((4, 8, 7), (6, 4, 7), (12,), (3,))


def weights(*shape: int) -> AnyArray:
    """Return even weights, a third of them 0."""
    draw = rng(len(shape) + shape[0])
    values: AnyArray = 2 * draw.integers(-20, 30, shape)
    return np.where(draw.random(shape) < 1 / 3, 0, values)


KERNEL, HIDDEN, LAST = weights(6, 2, 4, 3), weights(12, 168), weights(3, 12)


def graph(largest_value: int) -> QuantizedGraph:
    conv = ConvSynapses(weights=KERNEL, **CONV)  # type: ignore[arg-type]
    threshold = np.array(THRESHOLD * (1 if largest_value == 1 else 60))
    return integers(
        [
            population("conv", SHAPES[1], offset=1, threshold=threshold),
            population("hidden", SHAPES[2], offset=2, threshold=np.array(THRESHOLD)),
            population("out", SHAPES[3], offset=3, threshold=np.array(THRESHOLD)),
        ],
        [
            replace(dense("input", "conv", [[1]], delay=1), synapses=conv),
            dense("conv", "hidden", HIDDEN, delay=1),
            dense("hidden", "out", LAST, delay=1),
        ],
        shape=SHAPES[0],
        largest_value=largest_value,
        training=TRAINING,
    )


class Neurons(nn.Module):
    """The chip's neurons of ``tests.build.population`` in floats, which are exact."""

    def __init__(self, shape: tuple[int, ...], threshold: int) -> None:
        super().__init__()
        for name, dtype, size in (
            ("current_decay", torch.int16, ()),
            ("voltage_decay", torch.int16, ()),
            ("bias_mantissa", torch.int16, ()),
            ("threshold", torch.int32, ()),
            ("reset_amount", torch.int32, ()),
            ("initial_voltage", torch.int32, ()),
            ("current", torch.int32, shape),
            ("state", torch.int32, shape),
        ):
            self.register_buffer(name, torch.zeros(size, dtype=dtype))
        self.level = 64 * threshold
        self.voltage: Any = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = torch.as_tensor(self.voltage * (4096 - 409)) / 4096
        voltage = torch.trunc(kept) + 64 * x
        spikes = (voltage > self.level).to(x.dtype)
        self.voltage = voltage * (1 - spikes)
        return spikes


class Network(nn.Module):
    """The same network, timestep by timestep."""

    def __init__(self, largest_value: int) -> None:
        super().__init__()
        first = THRESHOLD * (1 if largest_value == 1 else 60)
        self.conv = nn.Conv2d(4, 6, (4, 3), bias=False, **CONV)  # type: ignore[arg-type]
        self.conv_neurons = Neurons(SHAPES[1], first)
        self.flatten = nn.Flatten()
        self.hidden = nn.Linear(168, 12, bias=False)
        self.hidden_neurons = Neurons(SHAPES[2], THRESHOLD)
        self.out = nn.Linear(12, 3, bias=False)
        self.out_neurons = Neurons(SHAPES[3], THRESHOLD)
        for layer, weight in (
            (self.conv, KERNEL),
            (self.hidden, HIDDEN),
            (self.out, LAST),
        ):
            layer.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the spike counts for inputs ``(n, timesteps, shape...)``."""
        total: Any = 0
        for timestep in range(x.shape[1]):
            y = self.flatten(self.conv_neurons(self.conv(x[:, timestep])))
            total = total + self.out_neurons(
                self.out(self.hidden_neurons(self.hidden(y)))
            )
        return torch.as_tensor(total)


def package_static(network: nn.Module) -> dict[str, Any]:
    from neurobench.metrics.static import ConnectionSparsity, Footprint
    from neurobench.models import TorchModel

    model = TorchModel(network)
    found = {"connection_sparsity": ConnectionSparsity()(model)}
    for layer in network.modules():  # as the chip stores them, a byte each
        if isinstance(layer, nn.Conv2d | nn.Linear):
            stored = layer.weight.data.to(torch.int8)
            layer.weight = nn.Parameter(stored, requires_grad=False)
    return {"footprint": Footprint()(model), **found}


def package_workload(
    network: nn.Module, values: AnyArray
) -> tuple[AnyArray, dict[str, Any]]:
    """Return what the network answers and what the package says that it does."""
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import TorchModel

    model = TorchModel(network)
    model.add_activation_module(Neurons)
    model.register_hooks()
    batch = torch.tensor(values, dtype=torch.float64)
    with torch.no_grad():
        answers = model(batch)
        operations = SynapticOperations()(model, answers, (batch, None))
    sparsity = ActivationSparsity()(model, answers, (batch, None))
    model.cleanup_hooks()
    return answers.numpy(), {
        "activation_sparsity": sparsity,
        "synaptic_operations": operations,
    }


def inputs(largest_value: int) -> tuple[list[tuple[int, Stimulus]], AnyArray]:
    """Return stimuli, and the same as ``(n, timesteps, shape...)``."""
    draw = rng(5)
    if largest_value == 1:
        values = (draw.random((N, N_TIMESTEPS, *SHAPES[0])) < 0.3).astype(np.int32)
        stimuli = [Stimulus(values=v, is_constant=False) for v in values]
        return list(enumerate(stimuli)), values
    images = draw.integers(0, 120, (N, 1, *SHAPES[0])) * draw.integers(
        0, 2, (N, 1, 4, 8, 7)
    )
    stimuli = [Stimulus(values=v, is_constant=True) for v in images]
    return list(enumerate(stimuli)), np.repeat(images, N_TIMESTEPS, axis=1)


def mapped(largest_value: int) -> MappedNetwork:
    return retarget(graph(largest_value), simulator())


@pytest.mark.parametrize("n_timesteps", [1, 3, N_TIMESTEPS])
@pytest.mark.parametrize("largest_value", [1, 255])
def test_a_workload_is_that_of_the_package(
    largest_value: int, n_timesteps: int
) -> None:
    network = mapped(largest_value)
    stimuli, values = inputs(largest_value)

    found = workload(network, stimuli, fixed(n_timesteps))

    answers, expected = package_workload(
        Network(largest_value), values[:, :n_timesteps]
    )
    program = open_backend("cpu").load(network)
    results = run_inputs(program, network, stimuli, fixed(n_timesteps))
    np.testing.assert_array_equal([r.scores[-1] for r in results], answers)
    assert 0.02 < 1 - found.activation_sparsity < 0.8 or n_timesteps == 1
    mine = workload_metrics(found)
    assert mine.pop("synaptic_operations") == pytest.approx(
        expected.pop("synaptic_operations"), rel=1e-12
    )
    assert mine == pytest.approx(expected, rel=1e-12)
    is_graded = largest_value > 1
    assert (found.effective_macs > 0) is is_graded


@pytest.mark.parametrize("largest_value", [1, 255])
def test_what_needs_no_input_is_that_of_the_package(largest_value: int) -> None:
    network = Network(largest_value)

    assert static_metrics(graph(largest_value)) == package_static(network)


def test_single_synapses_are_counted_with_their_positions() -> None:
    sparse = SparseSynapses(
        targets=np.array([0, 1, 1]),
        sources=np.array([0, 0, 3]),
        weights=np.array([2, 0, 4]),
        size=(2, 4),
    )
    network = integers(
        [population("out", (2,), offset=1)],
        [replace(dense("input", "out", [[1]], delay=1), synapses=sparse)],
        shape=(4,),
    )

    assert network.n_connections == 3
    assert connection_sparsity(network) == pytest.approx(1 / 3, abs=5e-5)
    assert footprint(network) == 3 * 9 + 2 * 8 + 3 * 2 + 3 * 4
