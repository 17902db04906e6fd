"""SpikingJelly: spikes equal to its own, or a refusal that names the parameter."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snn_deploy
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.frameworks.registry import copied
from snn_deploy.ir.floating import accumulate, evaluate
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Reset
from tests.importers.agreement import (
    TIMESTEPS,
    agree,
    bytes_of,
    louder,
    stepped,
    stimuli,
    time_first,
)
from tests.importers.stepping import saved

neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
layer = pytest.importorskip("spikingjelly.activation_based.layer")
functional = pytest.importorskip("spikingjelly.activation_based.functional")
surrogate = pytest.importorskip("spikingjelly.activation_based.surrogate")
SHAPE = (2, 6, 6)


def network(neurons: nn.Module, **options: Any) -> nn.Module:
    last = neuron.IFNode(v_reset=None, v_threshold=2.0)
    layers = (nn.Conv2d(2, 4, 3), neurons, nn.Flatten(), nn.Linear(64, 6), last)
    return louder(nn.Sequential(*layers))


@pytest.mark.parametrize("v_reset", [0.0, None, -0.4, 0.3])
@pytest.mark.parametrize(
    "make",
    [
        neuron.IFNode,
        neuron.LIFNode,
        lambda **options: neuron.LIFNode(tau=1.6, decay_input=False, **options),
        lambda **options: neuron.ParametricLIFNode(init_tau=3.0, **options),
        lambda **options: neuron.ParametricLIFNode(
            init_tau=1.5, decay_input=False, **options
        ),
        neuron.CUBALIFNode,
        lambda **options: neuron.CUBALIFNode(c_decay=0.3, v_decay=0.9, **options),
        neuron.SimpleIFNode,
        lambda **options: neuron.SimpleLIFNode(tau=2.0, decay_input=True, **options),
        lambda **options: neuron.SimpleLIFNode(tau=1.6, decay_input=False, **options),
    ],
)
def test_neurons(tmp_path: Path, make: Any, v_reset: float | None) -> None:
    cell = make(v_reset=v_reset, v_threshold=0.6)
    if v_reset is None and isinstance(cell, neuron.SimpleLIFNode):
        pytest.skip("SpikingJelly's own fails at it")

    graph = agree(network(cell), stepped, tmp_path, SHAPE)

    neurons = graph.node("1")
    assert isinstance(neurons, Lif)
    assert neurons.comparison is Comparison.GREATER_EQUAL
    assert neurons.reset is (Reset.SOFT if v_reset is None else Reset.HARD)


def read_out(node: nn.Module) -> nn.Module:
    module = nn.Sequential(
        layer.Conv2d(2, 4, 3), neuron.LIFNode(), nn.Flatten(2), nn.Linear(64, 6), node
    )
    functional.set_step_mode(module, "m")
    return louder(module)


def all_voltages(module: nn.Module, x: Tensor) -> Tensor:
    """Run a module whose read-out gives a list of voltages, one each timestep."""
    return torch.stack(module(x.transpose(0, 1)), dim=1)


@pytest.mark.parametrize(
    "node", [neuron.NonSpikingIFNode(), neuron.NonSpikingLIFNode(tau=1.7)], ids=str
)
def test_neurons_that_do_not_spike_are_a_read_out(
    tmp_path: Path, node: nn.Module
) -> None:
    graph = agree(read_out(node), all_voltages, tmp_path, SHAPE)

    assert isinstance(graph.output, Integrator)


@pytest.mark.parametrize(
    ("decode", "how"), [("max-mem", "max"), ("mean-mem", "sum"), ("last_mem", "last")]
)
def test_a_read_out_that_decodes_its_voltages(
    tmp_path: Path, decode: str, how: str
) -> None:
    module = read_out(neuron.NonSpikingLIFNode(decode=decode))
    values = bytes_of(SHAPE)

    graph = saved(module, tmp_path, SHAPE, functional=how)

    z = evaluate(graph, stimuli(graph, values), TIMESTEPS)
    found = accumulate(z, graph.training.functional)[:, -1]
    inputs = torch.as_tensor(values / 255).transpose(0, 1)
    expected = copied(module).double()(inputs).detach().numpy()
    np.testing.assert_allclose(found, expected * (TIMESTEPS if how == "sum" else 1))


def test_threshold_dependent_batch_normalization(tmp_path: Path) -> None:
    module = nn.Sequential(
        layer.Conv2d(2, 4, 3, bias=False),
        layer.ThresholdDependentBatchNorm2d(1.0, 0.5, 4),
        neuron.LIFNode(v_threshold=0.5),
        nn.Flatten(2),
        layer.Linear(64, 6),
        layer.ThresholdDependentBatchNorm1d(1.0, 0.5, 6),
        neuron.LIFNode(v_threshold=0.5),
    )
    functional.set_step_mode(module, "m")
    with torch.no_grad():
        for norm in (module[1], module[5]):
            norm.running_mean.fill_(0.2)  # type: ignore[operator]
            norm.running_var.uniform_(0.5, 2)  # type: ignore[operator]

    agree(louder(module), time_first, tmp_path, SHAPE)


class Quick(neuron.LIFNode):  # type: ignore[misc, name-defined]
    def __init__(self, **options: Any) -> None:
        super().__init__(tau=1.3, v_threshold=0.6, **options)


class Scaled(Quick):
    def neuronal_charge(self, x: Tensor) -> None:
        super().neuronal_charge(2 * x)


@pytest.mark.parametrize("mode", ["s", "m"])
def test_a_derived_neuron_that_overrides_nothing_is_its_base(
    tmp_path: Path, mode: str
) -> None:
    module = nn.Sequential(layer.Conv2d(2, 4, 3), Quick(step_mode=mode))
    functional.set_step_mode(module, mode)

    agree(louder(module), time_first if mode == "m" else stepped, tmp_path, SHAPE)


def test_a_derived_neuron_that_does_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"layer 1, .*: Scaled is derived from .*neuronal_charge"
    ):
        saved(network(Scaled()), tmp_path, SHAPE)


def test_a_surrogate_function_that_spikes_over_the_threshold_alone(
    tmp_path: Path,
) -> None:
    cell = neuron.IFNode(surrogate_function=lambda x: (x > 0).to(x))

    graph = agree(network(cell), stepped, tmp_path, SHAPE)

    neurons = graph.node("1")
    assert isinstance(neurons, Lif)
    assert neurons.comparison is Comparison.GREATER


def test_a_read_out_of_all_timesteps_behind_single_steps_is_refused(
    tmp_path: Path,
) -> None:
    layers = (nn.Linear(4, 16), neuron.LIFNode(), nn.Linear(16, 2))
    module = louder(nn.Sequential(*layers, neuron.NonSpikingLIFNode()))

    with pytest.raises(
        ModelError, match=r"layer 1, .*: is one timestep.*set_step_mode\(model, 'm'\)"
    ):
        saved(module, tmp_path, (4,))


def test_a_learned_time_constant(tmp_path: Path) -> None:
    cell = neuron.ParametricLIFNode()
    nn.init.constant_(cell.w, -1.3)

    graph = agree(network(cell), stepped, tmp_path, SHAPE)

    decay = graph.node("1").voltage_decay  # type: ignore[attr-defined]
    assert decay == pytest.approx(torch.sigmoid(torch.tensor(-1.3)).item())


def multi_step() -> nn.Module:
    """Return a network of SpikingJelly's own layers."""
    layers = (
        layer.Conv2d(2, 4, 3, padding=1, bias=False),
        layer.BatchNorm2d(4),
        neuron.LIFNode(v_threshold=0.5),
        layer.MaxPool2d(2),
        layer.Conv2d(4, 4, 3, padding=1, groups=4),
        neuron.ParametricLIFNode(v_threshold=0.5),
        layer.AvgPool2d(3),
        layer.Flatten(),
        layer.Dropout(0.5),
        layer.Linear(4, 10),
        neuron.IFNode(),
        layer.VotingLayer(2),
    )
    return nn.Sequential(*layers)


@pytest.mark.parametrize("mode", ["s", "m"])
def test_step_modes(tmp_path: Path, mode: str) -> None:
    module = louder(multi_step())
    functional.set_step_mode(module, mode)

    agree(module, time_first if mode == "m" else stepped, tmp_path, SHAPE)


def test_containers_of_single_steps_and_of_conventional_layers(tmp_path: Path) -> None:
    module = nn.Sequential(
        layer.SeqToANNContainer(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)),
        neuron.LIFNode(step_mode="m"),
        layer.SeqToANNContainer(nn.Flatten()),
        layer.MultiStepContainer(nn.Linear(64, 6), neuron.IFNode()),
    )

    agree(louder(module), time_first, tmp_path, SHAPE)


def test_a_container_may_be_the_whole_model(tmp_path: Path) -> None:
    module = layer.MultiStepContainer(nn.Flatten(), nn.Linear(72, 6), neuron.IFNode())

    agree(louder(module), time_first, tmp_path, SHAPE)


def test_flatten_behind_time_and_batch(tmp_path: Path) -> None:
    module = nn.Sequential(
        nn.Flatten(2), nn.Linear(72, 6), neuron.IFNode(step_mode="m")
    )

    agree(louder(module), time_first, tmp_path, SHAPE)


class Residual(nn.Module):
    """A block that adds spikes to spikes, as spike-element-wise ResNets do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 1)
        self.sn1, self.sn2 = neuron.IFNode(), neuron.LIFNode()
        self.fc = nn.Linear(72, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.sn1(self.conv1(x))
        x = x + self.sn2(self.conv2(x))
        output: Tensor = self.fc(x.view(x.size(0), -1))
        return output


def test_a_residual_block(tmp_path: Path) -> None:
    agree(louder(Residual()), stepped, tmp_path, SHAPE)


def test_states_left_over_from_training_do_not_matter(tmp_path: Path) -> None:
    module = network(neuron.LIFNode())
    module(torch.rand(3, *SHAPE)).sum().backward()

    saved(module, tmp_path, SHAPE)

    assert module[1].v == 0.0  # type: ignore[index]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (
            neuron.IFNode(surrogate_function=surrogate.Sigmoid(spiking=False)),
            "surrogate_function is no step",
        ),
        (neuron.IFNode(v_reset=1.0), "threshold is 0; it must be over 0"),
        (neuron.QIFNode(), "SpikingJelly's QIFNode cannot be deployed"),
        (neuron.EIFNode(), "SpikingJelly's EIFNode cannot be deployed"),
        (neuron.KLIFNode(), "SpikingJelly's KLIFNode cannot be deployed"),
        (
            neuron.IFNode(surrogate_function=lambda x: (x > 0.1).to(x)),
            "surrogate_function is no step",
        ),
        (
            neuron.NonSpikingLIFNode(decode="max-abs-mem"),
            "decode is 'max-abs-mem' with functional 'sum', which cannot be deployed",
        ),
        (
            neuron.NonSpikingIFNode(decode="last_mem"),
            "'last_mem' with functional 'last'",
        ),
        (
            layer.ElementWiseRecurrentContainer(neuron.IFNode(), torch.mul),
            "element_wise_function is no sum",
        ),
        (
            layer.ElementWiseRecurrentContainer(neuron.QIFNode(), torch.add),
            "SpikingJelly's QIFNode cannot be deployed",
        ),
        (
            layer.LinearRecurrentContainer(neuron.IFNode(), 4, 4),
            "4 features in and 4 out, but what comes before gives (4, 4, 4)",
        ),
        (layer.NeuNorm(4, 4, 4, 1), "NeuNorm cannot be deployed"),
        (layer.SynapseFilter(tau=2.0), "decays in timesteps without a spike alone"),
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


def test_single_steps_that_are_given_all_timesteps_are_refused(tmp_path: Path) -> None:
    module = nn.Sequential(
        nn.Flatten(2), nn.Linear(72, 6), neuron.IFNode(step_mode="m"),
        nn.Linear(6, 6), neuron.IFNode(step_mode="s"),
    )  # fmt: skip

    with pytest.raises(
        ModelError, match="layer 4, IFNode: is one timestep, and is given all"
    ):
        saved(louder(module), tmp_path, SHAPE)


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("v_reset", [None, 0.0])
def test_recurrent_containers(tmp_path: Path, v_reset: float | None, mode: str) -> None:
    def neurons() -> nn.Module:
        cell: nn.Module = neuron.LIFNode(tau=1.6, v_threshold=0.5, v_reset=v_reset)
        return cell

    module = nn.Sequential(
        layer.Conv2d(2, 4, 3),
        layer.ElementWiseRecurrentContainer(neurons(), lambda x, y: x + y),
        layer.Flatten(),
        layer.LinearRecurrentContainer(neurons(), 64, 64),  # weighs its input itself
        layer.LinearRecurrentContainer(neurons(), 64, 64, bias=False),
        layer.Linear(64, 6),
        neurons(),
    )
    functional.set_step_mode(module, mode)

    agree(louder(module), stepped if mode == "s" else time_first, tmp_path, SHAPE)


def test_sums_that_meet_the_threshold_are_no_reason_to_refuse(tmp_path: Path) -> None:
    linear = nn.Linear(8, 200, bias=False)
    neurons = neuron.LIFNode(tau=3.0, v_reset=None, v_threshold=0.3)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        linear.weight.copy_(torch.randint(-3, 5, (200, 8), generator=draw) / 4)

    snn_deploy.save(
        nn.Sequential(linear, neurons),
        tmp_path / "net.pt",
        input_shape=(8,),
        timesteps=8,
        encoding="events",
    )


class SpikeElementWise(nn.Module):
    """Blocks that add spikes, each behind a pooling, as SEW-ResNets have them."""

    def __init__(self, pool: Any) -> None:
        super().__init__()
        self.first, self.sn = nn.Conv2d(2, 4, 3, padding=1), neuron.IFNode()
        self.pools = nn.ModuleList(pool() for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.sns = nn.ModuleList(neuron.IFNode() for _ in range(2))
        self.last = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.sn(self.first(x))
        for pool, conv, sn in zip(self.pools, self.convs, self.sns, strict=True):
            x = pool(x)
            x = sn(conv(x)) + x
        output: Tensor = self.last(x.flatten(1))
        return output


@pytest.mark.parametrize(
    "pool",
    [
        lambda: nn.MaxPool2d(2),
        lambda: nn.AvgPool2d(2),
        lambda: nn.Sequential(nn.AvgPool2d(2), neuron.IFNode()),
    ],
)
def test_pooled_sums_are_deployed(tmp_path: Path, pool: Any) -> None:
    module = louder(SpikeElementWise(pool))

    compile_model(
        saved(module, tmp_path, (2, 16, 16), encoding="events"),
        read_target("loihi-sim"),
    )
