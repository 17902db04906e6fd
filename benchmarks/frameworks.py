"""The float frameworks, each as its users would write the network down."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.contender import AbsentError
from benchmarks.float_layers import FloatLayer

# from spikes (n_timesteps, n, shape...) to outputs, summed over time (n, n_out)
Run = Callable[[Tensor], Tensor]
Neurons = Callable[[Tensor, Any], tuple[Tensor, Any]]
DT = 0.001  # Norse's timestep [s]


def framework(program: str, layers: list[FloatLayer]) -> Run:
    """Return the network in ``norse``, ``snntorch``, ``spikingjelly`` or ``torch``.

    Raises
    ------
    AbsentError
        If the framework is not installed, or cannot express the network.
    """
    builders: dict[str, Callable[[list[FloatLayer]], Run]] = {
        "norse": _norse,
        "snntorch": _snntorch,
        "spikingjelly": _spikingjelly,
        "torch.compile": _compiled,
    }
    try:
        return builders[program](layers)
    except ModuleNotFoundError as error:
        raise AbsentError(
            f"{error.name} is not installed; make install brings it"
        ) from None


def _stepped(layers: list[FloatLayer], neurons: list[Neurons]) -> Run:
    """Return a loop over time around a loop over layers."""

    def run(spikes: Tensor) -> Tensor:
        states: list[Any] = [_initial(layer, spikes.shape[1]) for layer in layers]
        total: Tensor | int = 0
        for values in spikes:
            for i, layer in enumerate(layers):
                if isinstance(layer.weighted, nn.Linear):
                    values = values.flatten(1)
                values = layer.weighted(values)
                if layer.spikes:
                    values, states[i] = neurons[i](values, states[i])
            total = total + values
        assert isinstance(total, Tensor)
        return total

    return run


def _initial(layer: FloatLayer, n: int) -> Tensor | None:
    if layer.initial is None:
        return None
    return layer.initial.expand(n, *layer.shape).clone()


def _norse(layers: list[FloatLayer]) -> Run:
    """Norse scales the input by the decay, which the weights make up for."""
    norse = import_module("norse.torch")
    subtract = import_module("norse.torch.functional.reset").reset_subtract

    def neurons(layer: FloatLayer) -> Neurons:
        if not layer.spikes:
            return _none
        if layer.initial is not None or (layer.is_soft and not layer.decay):
            raise AbsentError(
                "Norse has no neurons that neither leak nor lose the rest at a reset"
            )
        if not layer.decay:
            cell = norse.IAFCell(norse.IAFParameters(v_th=torch.tensor(1.0)), dt=DT)
            return cell  # type: ignore[no-any-return]
        parameters = norse.LIFBoxParameters(
            tau_mem_inv=torch.tensor(layer.decay / DT), v_th=torch.tensor(1.0)
        )
        if layer.is_soft:
            parameters = parameters._replace(reset_method=subtract)
        _scale(layer, 1 / layer.decay)
        return norse.LIFBoxCell(parameters, dt=DT)  # type: ignore[no-any-return]

    return _stepped(layers, [neurons(layer) for layer in layers])


def _none(values: Tensor, state: object) -> tuple[Tensor, object]:
    return values, state


def _scale(layer: FloatLayer, by: float) -> None:
    layer.weighted.weight.mul_(by)
    if layer.weighted.bias is not None:
        layer.weighted.bias.mul_(by)


def _snntorch(layers: list[FloatLayer]) -> Run:
    leaky = import_module("snntorch").Leaky

    def neurons(layer: FloatLayer) -> Neurons:
        reset = "subtract" if layer.is_soft else "zero"
        cell = leaky(beta=1 - layer.decay, threshold=1.0, reset_mechanism=reset)

        def step(values: Tensor, voltage: Tensor | None) -> tuple[Tensor, Any]:
            state = cell.reset_mem() if voltage is None else voltage
            return cell(values, state)  # type: ignore[no-any-return]

        return step

    return _stepped(layers, [neurons(layer) for layer in layers])


def _spikingjelly(layers: list[FloatLayer]) -> Run:
    """SpikingJelly takes all timesteps of a layer at once."""
    package = "spikingjelly.activation_based"
    neuron = import_module(f"{package}.neuron")
    functional = import_module(f"{package}.functional")
    wrap = import_module(f"{package}.layer").SeqToANNContainer
    modules, nodes = [], []
    for layer in layers:
        is_flat = isinstance(layer.weighted, nn.Linear)
        modules.append(wrap(*[nn.Flatten()] * is_flat, layer.weighted))
        if layer.spikes:
            settings = {"v_threshold": 1.0, "v_reset": None if layer.is_soft else 0.0}
            nodes.append(
                neuron.LIFNode(tau=1 / layer.decay, decay_input=False, **settings)
                if layer.decay
                else neuron.IFNode(**settings)
            )
            modules.append(nodes[-1])
    network = nn.Sequential(*modules).eval()
    functional.set_step_mode(network, "m")

    def run(spikes: Tensor) -> Tensor:
        functional.reset_net(network)
        for layer, node in zip(layers, nodes, strict=False):
            if layer.initial is not None:
                node.v = _initial(layer, spikes.shape[1])
        return network(spikes).sum(0)  # type: ignore[no-any-return]

    return run


def _compiled(layers: list[FloatLayer]) -> Run:
    """Nothing but tensor operations, one timestep compiled by PyTorch."""

    def step(
        values: Tensor, voltages: list[Tensor], total: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        after = []
        for layer, voltage in zip(layers, voltages, strict=True):
            if isinstance(layer.weighted, nn.Linear):
                values = values.flatten(1)
            values = layer.weighted(values)
            if layer.spikes:
                voltage = voltage * (1 - layer.decay) + values
                is_over = voltage > 1
                values = is_over.to(torch.float32)
                rest = voltage - values if layer.is_soft else 0.0
                after.append(torch.where(is_over, rest, voltage))
        return [*after, *voltages[len(after) :]], total + values

    compiled = torch.compile(step, dynamic=False)

    def run(spikes: Tensor) -> Tensor:
        n = spikes.shape[1]
        voltages = []
        for layer in layers:
            initial = _initial(layer, n)
            voltages.append(
                torch.zeros(n, *layer.shape) if initial is None else initial
            )
        total = torch.zeros(n, *layers[-1].shape)
        for values in spikes:
            voltages, total = compiled(values, voltages, total)
        return total

    return run
