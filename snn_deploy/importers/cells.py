"""What the neurons of every PyTorch framework are translated into."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Neuron, Reset
from snn_deploy.ir.nodes import Conv2d, Linear

ZERO, ONE = np.array(0.0), np.array(1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """The neurons that one module simulates."""

    neurons: Neuron
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
) -> Lif:
    """Return neurons without bias that start at 0; a soft reset takes the threshold."""
    return Lif(
        name=name,
        shape=shape,
        **vars(dynamics),
        bias=ZERO,
        initial_voltage=ZERO,
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


def refuse(name: str, parameter: str, found: object, remedy: str) -> ModelError:
    """Return the error for a parameter that cannot be honoured."""
    return ModelError(
        f"{name}: {parameter} is {found}, which cannot be deployed; {remedy}"
    )
