"""Networks with neurons of the user's own go in as they are written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from torch import nn

import snn_deploy
from snn_deploy.errors import ModelError
from snn_deploy.ir.neurons import Integrator, Lif, Qcfs
from snn_deploy.ir.nodes import Linear
from tests.importers import agreement
from tests.importers.agreement import agree, louder

neuron = pytest.importorskip("spikingjelly.activation_based.neuron")

Update = Callable[..., tuple[torch.Tensor, ...]]  # (x, *states) to (spikes, *states)


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        spikes: torch.Tensor = (x > 0).to(x.dtype)
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0]


def multiplied(x: Any, v: Any) -> Any:
    v = v * 0.5 + x
    spikes = (v > 1).to(x.dtype)
    return spikes, (1 - spikes) * v


def drawn(x: Any, v: Any) -> Any:
    v = v + (x - v) / 2.0
    spikes = Spike.apply(v - 0.5)  # type: ignore[no-untyped-call]
    return spikes, v - spikes.detach() * 0.5


def in_place(x: Any, v: Any) -> Any:
    v = v * 0.75
    v += x
    spikes = (v >= 1.0).float()
    v = v.masked_fill(spikes.bool(), 0.0)
    return spikes, v


def summing(x: Any, v: Any) -> Any:
    v = v + x
    spikes = torch.where(v >= 1.5, torch.ones_like(v), torch.zeros_like(v))
    return spikes * 1.5, v - spikes * 1.5


def reset_first(x: Any, v: Any) -> Any:
    v = 0.8 * v + x - (v > 1).to(x.dtype)
    return (v > 1).to(x.dtype), v


UPDATES: dict[str, Update] = {
    update.__name__: update
    for update in (multiplied, drawn, in_place, summing, reset_first)
}


class OnSelf(nn.Module):
    """One timestep; the voltage is kept."""

    def __init__(self, update: Update) -> None:
        super().__init__()
        self.update = update
        self.v: Any = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if isinstance(self.v, float):
            self.v = torch.zeros_like(x)
        spikes, self.v = self.update(x, self.v)
        return spikes


class Looping(nn.Module):
    """All timesteps, (batch, time, ...) or (time, batch, ...)."""

    def __init__(self, update: Update, axis: int) -> None:
        super().__init__()
        self.update, self.axis = update, axis

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, outputs = torch.zeros_like(x.select(self.axis, 0)), []
        for timestep in range(x.shape[self.axis]):
            spikes, v = self.update(x.select(self.axis, timestep), v)
            outputs.append(spikes)
        return torch.stack(outputs, self.axis)


class Returning(nn.Module):
    """One timestep, which takes and returns the voltages of two layers."""

    def __init__(self, update: Update) -> None:
        super().__init__()
        self.update = update
        self.first, self.second = nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x: Any, states: Any = None) -> Any:
        currents = self.first(x)
        if states is None:
            states = torch.zeros_like(currents), torch.zeros(len(x), 3)
        spikes, v = self.update(currents, states[0])
        output, w = self.update(self.second(spikes), states[1].to(x.dtype))
        return output, (v, w)


def network(form: str, update: Update) -> tuple[nn.Module, agreement.Run]:
    layers = nn.Linear(8, 6), nn.Linear(6, 3)
    pieces: tuple[nn.Module, nn.Module]
    match form:
        case "on self":
            pieces = OnSelf(update), OnSelf(update)
            run: agreement.Run = agreement.stepped
        case "(batch, time)":
            pieces = Looping(update, 1), Looping(update, 1)
            run = agreement.time_second
        case "(time, batch)":
            pieces = Looping(update, 0), Looping(update, 0)
            run = agreement.time_first
        case _:
            return Returning(update), agreement.with_states
    return nn.Sequential(layers[0], pieces[0], layers[1], pieces[1]), run


@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    form=st.sampled_from(["on self", "(batch, time)", "(time, batch)", "returned"]),
    update=st.sampled_from(sorted(UPDATES)),
)
def test_a_network_of_any_form_computes_what_its_module_does(
    tmp_path: Path, form: str, update: str
) -> None:
    module, run = network(form, UPDATES[update])

    graph = agree(louder(module), run, tmp_path, (8,))

    assert len(graph.nodes_of(Lif)) == 2


def test_neurons_may_feed_themselves_through_a_layer(tmp_path: Path) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into, self.back = nn.Linear(8, 6), nn.Linear(6, 6, bias=False)
            self.out = nn.Linear(6, 3)

        def forward(self, x: Any, states: Any = None) -> Any:
            currents = self.into(x)
            if states is None:
                states = torch.zeros_like(currents), torch.zeros_like(currents)
            v, spikes = states
            spikes, v = multiplied(currents + self.back(spikes), v)
            return self.out(spikes), (v, spikes)

    agree(louder(Recurrent()), agreement.with_states, tmp_path, (8,))


class Mixed(nn.Module):
    """Neurons without a reset, of which some leak; those start over the threshold."""

    def __init__(self) -> None:
        super().__init__()
        self.keep = torch.tensor([0.5, 1.0, 0.9, 1.0, 0.75, 0.25])
        self.v: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.v is None:
            self.v = torch.where(self.keep < 1, 1.5, 0.25) + torch.zeros_like(x)
        self.v = self.v * self.keep.to(x) + x
        spikes: torch.Tensor = (self.v > 1).to(x)
        return spikes


def test_channels_with_and_without_a_leak_may_start_where_they_like(
    tmp_path: Path,
) -> None:
    model = louder(nn.Sequential(nn.Linear(8, 6), Mixed(), nn.Linear(6, 3)))

    graph = snn_deploy.save(model, tmp_path / "n.pt", input_shape=8, timesteps=8)

    (found,) = graph.nodes_of(Lif)
    assert found.threshold.tolist() == pytest.approx([1, 0.75, 1, 0.75, 1, 1])
    assert found.initial_voltage.tolist() == pytest.approx([1.5, 0, 1.5, 0, 1.5, 1.5])


def test_a_row_of_activations_is_read_as_it_is_trained(tmp_path: Path) -> None:
    class Quantized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.top = nn.Parameter(torch.tensor([1.5]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.clamp(x / self.top, 0, 1)
            given: torch.Tensor = torch.floor(x * 4 + 0.5) / 4 * self.top
            return given

    model = nn.Sequential(nn.Linear(8, 6), Quantized(), nn.Linear(6, 3))

    graph = agree(louder(model), agreement.stepped, tmp_path, (8,))

    (node,) = graph.nodes_of(Qcfs)
    assert (node.name, node.levels, node.threshold) == ("1", 4, 1.5)


def test_what_neurons_are_read_as_is_logged_once_for_equal_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module, _ = network("on self", multiplied)

    snn_deploy.save(louder(module), tmp_path / "n.pt", input_shape=8, timesteps=8)

    assert caplog.messages == [
        "OnSelf: read as leaky neurons, decay 0.5, threshold 1, hard reset, "
        "v > threshold (2 layers)"
    ]


def adaptive(x: Any, v: Any) -> Any:
    v = v * 0.5 + x
    spikes = (v > 1 + 0.1 * v * v).to(x.dtype)
    return spikes, v * (1 - spikes)


def test_a_refusal_shows_what_to_write_and_how_to_declare(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(8, 6), OnSelf(adaptive), nn.Linear(6, 3))

    with pytest.raises(ModelError) as refusal:
        snn_deploy.save(model, tmp_path / "n.pt", input_shape=8, timesteps=8)

    message = str(refusal.value)
    assert message.startswith("layer 1: OnSelf keeps a state, but multiplies")
    assert "v = v * decay + x; spike = (v > threshold).float()" in message
    assert "save(..., neurons={OnSelf: dict(decay=..., threshold=...," in message


def test_all_refusals_are_told_at_once(tmp_path: Path) -> None:
    model = nn.Sequential(
        nn.Linear(8, 6),
        OnSelf(adaptive),
        nn.Linear(6, 6),
        neuron.IzhikevichNode(),
        nn.Linear(6, 4),
        nn.GELU(),
        nn.Linear(4, 3),
    )

    with pytest.raises(ModelError) as refusal:
        snn_deploy.save(model, tmp_path / "n.pt", input_shape=8, timesteps=8)

    head, *lines = str(refusal.value).splitlines()
    assert head == "3 layers cannot be deployed:"
    assert [line.split(":")[0] for line in lines] == [
        "  layer 1",
        "  layer 3, IzhikevichNode, 6 neurons",
        "  layer 5, GELU",
    ]


class GivesVoltage(nn.Module):
    """One timestep or all of them; the last neurons give the voltage."""

    def __init__(self, when: str, *, is_whole: bool, is_hard: bool = False) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 6), nn.Linear(6, 3)
        self.when, self.is_whole, self.is_hard = when, is_whole, is_hard

    def step(self, x: Any, v: Any, w: Any) -> Any:
        spikes, v = multiplied(self.first(x), v)
        w = 0.8 * w + self.second(spikes)
        before, spikes = w, (w > 0.5).to(x.dtype)
        w = w * (1 - spikes) if self.is_hard else w - 0.5 * spikes
        return (before if self.when == "before" else w), v, w

    def forward(self, x: Any, states: Any = None) -> Any:
        if not self.is_whole:
            v, w = (0.0, 0.0) if states is None else states
            voltage, v, w = self.step(x, v, w)
            return voltage, (v, w)
        v, w, voltages = 0.0, 0.0, []
        for step in x:
            voltage, v, w = self.step(step, v, w)
            voltages.append(voltage)
        return torch.stack(voltages)


@pytest.mark.parametrize("when", ["before", "behind"])
@pytest.mark.parametrize("is_whole", [False, True])
def test_a_voltage_that_spikes_lower_is_read_out_beside_its_neurons(
    tmp_path: Path, when: str, is_whole: bool
) -> None:
    module = louder(GivesVoltage(when, is_whole=is_whole))
    run = agreement.time_first if is_whole else agreement.with_states

    graph = agree(module, run, tmp_path, (8,))

    (neurons,) = (node for node in graph.nodes_of(Lif) if np.all(node.threshold == 0.5))
    (back,) = (n for n in graph.targets(neurons) if isinstance(n, Linear))
    (edge,) = graph.edges_into(back)
    assert edge.delay == (1 if when == "before" else 0)
    assert isinstance(graph.output, Integrator)


def test_a_voltage_that_spikes_set_to_0_is_refused(tmp_path: Path) -> None:
    module = GivesVoltage("before", is_whole=True, is_hard=True)

    with pytest.raises(ModelError, match="from which they subtract can be read out"):
        snn_deploy.save(module, tmp_path / "n.pt", input_shape=8, timesteps=8)
