"""What the neurons of every PyTorch framework are translated into."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import FloatArray, Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.layers import read_layer
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Neuron, Reset
from snn_deploy.ir.nodes import Conv2d, Linear

ZERO, ONE = np.array(0.0), np.array(1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """The neurons that one module simulates."""

    neurons: Neuron
    weights: Linear | None = None  # those of the input, where the module has its own
    recurrent: Linear | Conv2d | None = None  # brings their spikes a timestep later
    lowest_voltage: FloatArray | None = None  # the module cuts voltages off below it
    silent: Integrator | None = None  # what the voltage alone is, if no spike resets it


@dataclass(frozen=True, kw_only=True, eq=False)
class Dynamics:
    """How current and voltage change, in the terms of ``ir.neurons``."""

    current_decay: FloatArray = field(default_factory=lambda: ONE)
    voltage_decay: FloatArray = field(default_factory=lambda: ZERO)
    input_gain: FloatArray = field(default_factory=lambda: ONE)


def values(parameter: Any, shape: Shape) -> FloatArray:
    """Return a parameter so that it broadcasts against the neurons' ``shape``.

    A batch axis of length 1 is dropped; where a row of several channels has become a
    map of height 1, the parameter gets that axis as well.
    """
    found = torch.as_tensor(parameter).detach().cpu().double().numpy()
    while found.ndim > len(shape) and len(found) == 1:
        found = found[0]
    if found.ndim == 2 and len(shape) == 3:
        found = found[:, np.newaxis]
    return np.array(found)


def comparison_of(spike_function: Any) -> Comparison | None:
    """Return how a function of ``voltage - threshold`` decides; ``None``: no step."""
    probe = torch.tensor([-2.0, -0.5, -1e-6, 0.0, 1e-6, 0.5, 2.0])
    found = spike_function(probe.clone()).detach()
    if torch.equal(found, (probe >= 0).to(found)):
        return Comparison.GREATER_EQUAL
    if torch.equal(found, (probe > 0).to(found)):
        return Comparison.GREATER
    return None


def spiking(
    name: str,
    shape: Shape,
    dynamics: Dynamics,
    threshold: FloatArray,
    *,
    reset: Reset,
    comparison: Comparison = Comparison.GREATER,
    reset_amount: FloatArray | None = None,
    spike_value: float = 1.0,
    refractory: int = 0,
    max_spikes: int = 1,
    bias: FloatArray = ZERO,
    initial_voltage: FloatArray = ZERO,
) -> Lif:
    """Return neurons whose soft reset takes the threshold off, if nothing else."""
    return Lif(
        name=name,
        shape=shape,
        **vars(dynamics),
        bias=bias,
        initial_voltage=initial_voltage,
        threshold=threshold,
        reset=reset,
        reset_amount=threshold if reset_amount is None else reset_amount,
        comparison=comparison,
        spike_value=spike_value,
        refractory=refractory,
        max_spikes=max_spikes,
    )


def integrating(name: str, shape: Shape, dynamics: Dynamics) -> Integrator:
    """Return neurons that never spike, without bias, that start at 0."""
    return Integrator(
        name=name, shape=shape, **vars(dynamics), bias=ZERO, initial_voltage=ZERO
    )


def one_to_one(weight: FloatArray, name: str, shape: Shape) -> Linear | Conv2d:
    """Return a layer that multiplies the spikes of each neuron by its ``weight``."""
    size = n_neurons(shape)
    if len(shape) == 1:
        each = np.diag(np.broadcast_to(weight, shape))
        return Linear(name=name, weight=each, bias=np.zeros(size))
    channels = shape[0]
    rows = np.broadcast_to(weight, shape).reshape(channels, -1)
    if np.any(rows != rows[:, :1]):
        raise refuse(
            name, "V", "different within a channel", "use one value for each channel"
        )
    return Conv2d(
        name=name,
        weight=rows[:, :1].reshape(channels, 1, 1, 1),
        bias=np.zeros(channels),
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=channels,
        shape=shape,
    )


def fed_back(connection: nn.Module, name: str, shape: Shape) -> Linear | Conv2d:
    """Return the layer that brings spikes of neurons of ``shape`` back to them.

    Raises
    ------
    ModelError
        If the module is not such a layer.
    """
    if not isinstance(connection, nn.Linear | nn.Conv2d):
        raise refuse(
            name, "the connection", type(connection).__name__, "use Linear or Conv2d"
        )
    layer = read_layer(connection, name, shape)
    assert isinstance(layer, Linear | Conv2d)
    if layer.output_shape != shape:
        raise ModelError(
            f"{name}: leads from {shape} to {layer.output_shape}; it must lead back"
        )
    return layer


def refuse(name: str, parameter: str, found: object, remedy: str) -> ModelError:
    """Return the error for a parameter that cannot be honoured."""
    return ModelError(
        f"{name}: {parameter} is {found}, which cannot be deployed; {remedy}"
    )
