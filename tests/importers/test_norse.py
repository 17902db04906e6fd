from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from norse.torch import (
    IAFCell,
    LIBoxCell,
    LICell,
    LIFAdExCell,
    LIFBoxCell,
    LIFBoxParameters,
    LIFCell,
    LIFParameters,
    LIFRecurrentCell,
    LIFRefracCell,
    LILinearCell,
    LIParameters,
    LSNNCell,
    SequentialState,
)
from norse.torch.functional.iaf import IAFParameters
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.reset import reset_subtract
from torch import Tensor, nn

import snn_deploy
from snn_deploy.errors import ModelError
from snn_deploy.ir.neurons import Integrator, Lif, Reset
from tests.importers.agreement import agree, with_states
from tests.importers.stepping import check, saved, settle

SHAPE = (2, 6, 6)
THRESHOLDS = torch.tensor([0.3, 0.5, 0.8, 1.1])
RATES = torch.tensor([100.0, 250.0, 400.0, 900.0])


def around(cell: nn.Module) -> nn.Module:
    """Return a network in which ``cell`` spikes, or adds up, and is read out."""
    norm = nn.BatchNorm2d(4)
    layers = (nn.Conv2d(2, 4, 3, padding=1), norm, cell)
    network = settle(SequentialState(*layers, nn.Flatten(), nn.Linear(144, 3)))
    with torch.no_grad():
        norm.weight.mul_(4)
    return network


def per_channel(values: torch.Tensor) -> torch.Tensor:
    return values.reshape(4, 1, 1)


@pytest.mark.parametrize(
    "cell",
    [
        LIFCell(),
        LIFCell(LIFParameters(tau_mem_inv=torch.tensor(400.0))),
        LIFCell(
            LIFParameters(
                tau_syn_inv=torch.tensor(700.0),
                tau_mem_inv=torch.tensor(600.0),
                v_th=torch.tensor(0.3),
            )
        ),
        LIFCell(dt=0.0005),
        LIFCell(LIFParameters(tau_mem_inv=per_channel(RATES))),
        LIFCell(LIFParameters(tau_syn_inv=per_channel(RATES))),
        LIFBoxCell(),
        LIFBoxCell(LIFBoxParameters(tau_mem_inv=torch.tensor(700.0))),
        LIFBoxCell(
            LIFBoxParameters(
                tau_mem_inv=torch.tensor(700.0),
                v_leak=torch.tensor(-0.2),
                v_reset=torch.tensor(-0.2),
            )
        ),
        LIFCell(LIFParameters(v_leak=torch.tensor(0.1), v_reset=torch.tensor(0.1))),
        LIFBoxCell(LIFBoxParameters(v_th=torch.tensor(0.2)), dt=0.002),
        LIFBoxCell(LIFBoxParameters(tau_mem_inv=per_channel(RATES))),
        LIFBoxCell(
            LIFBoxParameters(
                tau_mem_inv=torch.tensor(400.0), v_th=per_channel(THRESHOLDS)
            )
        ),
        LIFBoxCell(
            LIFBoxParameters(
                tau_mem_inv=torch.tensor(600.0), reset_method=reset_subtract
            )
        ),
        IAFCell(),
        IAFCell(IAFParameters(v_th=torch.tensor(0.7))),
    ],
    ids=lambda cell: type(cell).__name__,
)
def test_spiking_neurons(tmp_path: Path, cell: nn.Module) -> None:
    check(around(cell), tmp_path, SHAPE)


def test_integrators_may_weigh_their_input(tmp_path: Path) -> None:
    parameters = LIParameters(tau_syn_inv=torch.tensor(300.0))
    module = SequentialState(nn.Linear(6, 5), LIFCell(), LILinearCell(5, 3, parameters))

    graph = agree(settle(module), with_states, tmp_path, (6,))

    assert graph.output.name == "2"
    assert isinstance(graph.output, Integrator)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"v_leak": torch.tensor(-0.1), "v_reset": torch.tensor(-0.1)},
        {"tau_syn_inv": torch.tensor(600.0)},
    ],
)
@pytest.mark.parametrize("autapses", [False, True])
def test_recurrent_neurons(
    tmp_path: Path, options: dict[str, Any], autapses: bool
) -> None:
    parameters = LIFParameters(
        v_th=torch.tensor(0.2), tau_mem_inv=torch.tensor(300.0), **options
    )
    network = SequentialState(
        nn.Flatten(),
        LIFRecurrentCell(72, 12, parameters, autapses=autapses),
        nn.Linear(12, 4),
        LIFBoxCell(LIFBoxParameters(v_th=torch.tensor(0.1))),
    )
    settle(network)
    if not autapses:  # settling has set them
        with torch.no_grad():
            network[1].recurrent_weights.fill_diagonal_(0.0)

    graph = agree(network, with_states, tmp_path, SHAPE)

    assert {e.delay for e in graph.edges_into(graph.node("1.recurrent"))} == {1}


@pytest.mark.parametrize(
    "cell",
    [
        LICell(),
        LICell(LIParameters(tau_mem_inv=torch.tensor(400.0))),
        LICell(LIParameters(tau_syn_inv=torch.tensor(700.0)), dt=0.0007),
        LIBoxCell(),
        LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(300.0))),
    ],
    ids=lambda cell: type(cell).__name__,
)
def test_leaky_integrators(tmp_path: Path, cell: nn.Module) -> None:
    network = settle(SequentialState(nn.Flatten(), nn.Linear(72, 4), cell))

    graph = check(network, tmp_path, SHAPE)

    assert isinstance(graph.output, Integrator)


def test_a_deep_network_of_different_cells(tmp_path: Path) -> None:
    network = SequentialState(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        LIFBoxCell(LIFBoxParameters(tau_mem_inv=torch.tensor(500.0))),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 3, padding="same"),
        LIFCell(LIFParameters(v_th=torch.tensor(0.1))),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(54, 5),
        LICell(),
    )

    graph = check(settle(network), tmp_path, SHAPE)

    assert [node.name for node in graph.nodes_of(Lif)] == ["2", "5"]


def test_sequences_inside_sequences_are_walked_child_by_child(tmp_path: Path) -> None:
    inner = SequentialState(
        nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)),
        LIFBoxCell(LIFBoxParameters(tau_mem_inv=torch.tensor(500.0))),
    )
    network = SequentialState(inner, nn.Flatten(), nn.Linear(144, 3))

    graph = check(settle(network), tmp_path, SHAPE)

    assert [node.name for node in graph.order] == [
        "input",
        "0.0.0",
        "0.0.1",
        "0.1",
        "1",
        "2",
    ]


def test_the_parameters_of_a_cell_become_decays_gain_and_reset(tmp_path: Path) -> None:
    parameters = LIFBoxParameters(
        tau_mem_inv=torch.tensor(250.0),
        v_th=torch.tensor(0.5),
        reset_method=reset_subtract,
    )

    graph = saved(around(LIFBoxCell(parameters, dt=0.002)), tmp_path, SHAPE)

    neurons = graph.node("2")
    assert isinstance(neurons, Lif)
    assert neurons.voltage_decay == pytest.approx(0.5)
    assert neurons.input_gain == pytest.approx(0.5)
    assert neurons.current_decay == 1
    assert neurons.threshold == neurons.reset_amount == 0.5
    assert neurons.reset is Reset.SOFT


def box(**changes: Any) -> nn.Module:
    cell: nn.Module = LIFBoxCell(LIFBoxParameters(**changes))
    return cell


def lif(**changes: Any) -> nn.Module:
    cell: nn.Module = LIFCell(LIFParameters(**changes))
    return cell


def reset_halfway(z: Any, v: Any, v_reset: Any, v_th: Any) -> Any:
    return v - z * v / 2


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (lif(v_leak=torch.tensor(-0.1)), "v_leak is -0.1 and v_reset is 0; only"),
        (box(v_leak=torch.tensor(0.2)), "v_leak is 0.2 and v_reset is 0"),
        (
            box(v_leak=torch.tensor(0.2), reset_method=reset_subtract),
            "v_leak is 0.2, only 0 can be deployed",
        ),
        (LICell(LIParameters(v_leak=torch.tensor(0.2))), "v_leak is 0.2"),
        (LIBoxCell(LIBoxParameters(v_leak=torch.tensor(0.2))), "v_leak is 0.2"),
        (lif(v_reset=torch.tensor(-1.0)), "v_reset is -1"),
        (box(v_reset=torch.tensor(0.3)), "v_reset is 0.3"),
        (IAFCell(IAFParameters(v_reset=torch.tensor(0.3))), "v_reset is 0.3"),
        (box(v_reset=per_channel(RATES)), "v_reset is 100"),
        (box(reset_method=reset_halfway), "reset_method is reset_halfway; use one of"),
        (box(v_th=torch.tensor(0.0)), "threshold is 0; it must be over 0"),
        (box(v_th=torch.tensor(float("nan"))), "threshold holds 1 values that are no"),
        (box(tau_mem_inv=torch.tensor(1500.0)), "voltage_decay is 1.5, allowed is 0"),
        (lif(tau_syn_inv=torch.tensor(-1.0)), "current_decay is -0.001"),
        (box(tau_mem_inv=torch.ones(5)), "voltage_decay has shape (5,), the layer"),
        (LSNNCell(), "LSNNCell cannot be deployed; use LIFCell"),
        (LIFAdExCell(), "LIFAdExCell cannot be deployed"),
        (LIFRefracCell(), "LIFRefracCell cannot be deployed"),
        (LIFRecurrentCell(4, 4), "takes (4,), but what comes before gives (4, 6, 6)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_cell_that_cannot_be_deployed_is_named_with_its_parameter(
    tmp_path: Path, cell: nn.Module, words: str
) -> None:
    with pytest.raises(ModelError) as caught:
        saved(around(cell), tmp_path, SHAPE)

    assert str(caught.value).startswith(f"layer 2, {type(cell).__name__}")
    assert words in str(caught.value)
    assert "; " in str(caught.value)


@pytest.mark.parametrize("name", ["LIF", "LI", "IAF", "LIFRecurrent"])
def test_neurons_over_all_timesteps_are_their_cells(tmp_path: Path, name: str) -> None:
    import norse.torch as norse

    size = (8, 8) if name.endswith("Recurrent") else ()
    neurons = getattr(norse, name)(*size)
    sequence = SequentialState(norse.Lift(nn.Linear(6, 8)), neurons)
    with torch.no_grad():
        sequence[0].lifted_module.weight.mul_(20)

    def run(module: nn.Module, x: Tensor) -> Tensor:
        output: Tensor = module(x.transpose(0, 1))[0]
        return output.transpose(0, 1)

    agree(sequence, run, tmp_path, (6,))


def test_thresholds_of_each_channel_are_kept(tmp_path: Path) -> None:
    cell = box(v_th=per_channel(THRESHOLDS))

    neurons = saved(around(cell), tmp_path, SHAPE).node("2")

    assert isinstance(neurons, Lif)
    np.testing.assert_allclose(neurons.threshold.ravel(), THRESHOLDS.numpy())


class TwoCells(nn.Module):
    """Two neuron layers; ``wiring`` says what happens to their states."""

    def __init__(self, wiring: str) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.fc1, self.fc2 = nn.Linear(6, 8), nn.Linear(8, 4)
        slow = LIFBoxParameters(tau_mem_inv=torch.tensor(100.0), v_th=torch.tensor(0.1))
        fast = LIFBoxParameters(tau_mem_inv=torch.tensor(400.0), v_th=torch.tensor(0.1))
        self.lif1, self.lif2 = LIFBoxCell(slow), LIFBoxCell(fast)
        self.wiring = wiring

    def forward(self, x: Tensor, states: Any = None) -> Any:
        first, second = (None, None) if states is None else states
        if self.wiring == "swapped":
            first, second = second, first
        z, first = self.lif1(self.fc1(x), first)
        z, second = self.lif2(self.fc2(z), second)
        if self.wiring == "dropped":
            return z
        return z, (first, second)


def test_states_that_come_back_are_accepted(tmp_path: Path) -> None:
    graph = snn_deploy.save(
        TwoCells("right"), tmp_path / "m.pt", input_shape=(6,), timesteps=4
    )

    assert [node.name for node in graph.order][-1] == "lif2"


@pytest.mark.parametrize(
    ("wiring", "message"),
    [
        ("dropped", "lif1: gives other outputs at timestep 2"),
        ("swapped", r"forward\(x, states\) fails"),
    ],
)
def test_states_that_do_not_come_back_to_their_cell_are_refused(
    tmp_path: Path, wiring: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        snn_deploy.save(
            TwoCells(wiring), tmp_path / "m.pt", input_shape=(6,), timesteps=4
        )

    assert not (tmp_path / "m.pt").exists()


@pytest.mark.parametrize("name", ["input_weights", "recurrent_weights"])
def test_weights_that_are_plain_tensors_are_named(tmp_path: Path, name: str) -> None:
    cell = LIFRecurrentCell(4, 4, **{name: torch.ones(4, 4)})

    with pytest.raises(ModelError, match=rf"0\.{name} is a plain tensor.*Parameter"):
        saved(SequentialState(cell, nn.Linear(4, 2)), tmp_path, (4,))
