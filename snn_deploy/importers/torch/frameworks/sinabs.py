"""Read the neurons of sinabs: ``IAF``, ``LIF``, ``ExpLeak``, and their ``Squeeze``.

Per timestep ``i = alpha_syn (i + x)`` (or ``i = x``), then ``v = alpha_mem v + i``, the
input scaled by 1 - alpha_mem where ``norm_input`` is set; alpha = exp(-1 / tau). So the
current keeps alpha_syn, and the input counts alpha_syn. A spike needs
``v >= spike_threshold``. ``MultiSpike``, the default, sends floor(v / threshold) spikes
in one timestep, ``MaxSpike`` at most so many, ``SingleSpike`` one. ``MembraneSubtract``
is a soft reset, ``MembraneReset()`` a hard one. ``min_v_mem`` is a lowest voltage,
unless the weights are such that no voltage can reach it; ``ExpLeak`` gives its voltage
before it is cut off, and is refused with one that can be reached. ``rec_connect`` of
recurrent layers brings the spikes of the timestep before. Its bias, which the first
timestep lacks, is one of all timesteps that the initial voltage takes off once; with a
synaptic current it is refused, and so are adaptive layers.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.fixedpoint import PAYLOAD_BITS
from snn_deploy.importers.torch.frameworks.cells import (
    ONE,
    ZERO,
    Cell,
    Dynamics,
    fed_back,
    integrating,
    refuse,
    spiking,
    values,
)
from snn_deploy.importers.torch.frameworks.framework import (
    Framework,
    TimeAxis,
    kind_in,
)
from snn_deploy.ir.floating import over_positions
from snn_deploy.ir.neurons import Comparison, Lif, Reset
from snn_deploy.ir.nodes import Conv2d, Linear

PACKAGE = "sinabs"
READABLE = ("IAF", "LIF", "ExpLeak", "IAFRecurrent", "LIFRecurrent")
SQUEEZE = "Squeeze"  # ends the names of layers that take (batch * time, ...)
WALKED = ("Network", "Repeat", "FlattenTime", "UnflattenTime")  # looked into
MOST_SPIKES = (1 << PAYLOAD_BITS) - 1  # what one graded spike carries


class Sinabs(Framework):
    """sinabs, whose layers take all timesteps and keep their states."""

    title = "sinabs"
    package = PACKAGE
    neurons = tuple(
        f"{PACKAGE}.layers.{name}" for name in ("alif", "exp_leak", "iaf", "lif")
    )

    def read_cell(self, cell: Any, name: str, shape: Shape) -> Cell:
        kind = _kind(cell).removesuffix(SQUEEZE)
        if kind not in READABLE:
            raise ModelError(
                f"{name}: sinabs' {_kind(cell)} cannot be deployed; use "
                f"{', '.join(READABLE)}, or these with {SQUEEZE}"
            )
        dynamics = _dynamics(cell, shape)
        floor = None if cell.min_v_mem is None else values(cell.min_v_mem, shape)
        if floor is not None and np.any(floor > 0):
            raise refuse(
                name, "min_v_mem", f"{floor.max():g}", "use one of 0 or less, or None"
            )
        back = None
        if kind.endswith("Recurrent"):
            back = fed_back(cell.rec_connect, f"{name}.rec_connect", shape)
        if cell.spike_fn is None:
            readout = integrating(name, shape, dynamics)
            return Cell(neurons=readout, lowest_voltage=floor)
        neurons = _spiking(cell, name, shape, dynamics)
        if back is not None and np.any(back.bias):
            neurons = _without_first_bias(neurons, back, floor)
        return Cell(
            neurons=neurons,
            recurrent=back,
            lowest_voltage=floor,
        )

    def is_whole(self, module: nn.Module) -> bool:
        return self.owns(type(module)) and not self._is(module, *WALKED)

    def is_sum(self, module: nn.Module) -> bool:
        return self._is(module, "Merge")

    def _is(self, module: nn.Module, *names: str) -> bool:
        return self.owns(type(module)) and type(module).__name__ in names

    def time_axis(self, module: nn.Module) -> TimeAxis:
        if not self.is_cell(module):
            return TimeAxis.NONE
        return TimeAxis.MERGED if _kind(module).endswith(SQUEEZE) else TimeAxis.SECOND

    def states(self, cell: nn.Module) -> tuple[str, ...]:
        return tuple(name for name, _ in cell.named_buffers(recurse=False))

    def rest(self, module: nn.Module) -> None:
        for name in self.states(module) if self.is_cell(module) else ():
            module.register_buffer(name, torch.zeros(0))

    def set_sizes(self, module: Any, n: int, n_timesteps: int) -> None:
        if hasattr(module, "batch_size"):
            module.batch_size = n
        if hasattr(module, "num_timesteps"):
            module.num_timesteps = n_timesteps


def _kind(module: nn.Module) -> str:
    return kind_in(PACKAGE, module).__name__


def _without_first_bias(
    neurons: Lif, back: Linear | Conv2d, floor: FloatArray | None
) -> Lif:
    """Return neurons that start lower by a bias which the first timestep lacks."""
    bias = over_positions(back.bias, back) * neurons.input_gain
    start = -bias / np.maximum(1 - neurons.voltage_decay, 1e-12)
    is_low = floor is not None and bool(np.any(start < floor))
    if is_low or np.any(neurons.current_decay != 1):
        raise refuse(
            back.name,
            "a bias",
            "left out at the first timestep",
            "train with bias=False, the layer before can carry it",
        )
    return replace(neurons, initial_voltage=start)


def _dynamics(cell: Any, shape: Shape) -> Dynamics:
    kept = ONE
    if not _kind(cell).startswith("IAF"):
        kept = _alpha(cell, "mem", shape)
    gain = 1 - kept if cell.norm_input else ONE
    if cell.alpha_syn_calculated is None:
        return Dynamics(voltage_decay=1 - kept, input_gain=gain)
    kept_current = _alpha(cell, "syn", shape)
    return Dynamics(
        current_decay=1 - kept_current,
        voltage_decay=1 - kept,
        input_gain=gain * kept_current,
    )


def _alpha(cell: Any, state: str, shape: Shape) -> FloatArray:
    """Return what a state keeps in a timestep, in double precision."""
    if cell.train_alphas:
        return values(getattr(cell, f"alpha_{state}"), shape)
    return np.asarray(np.exp(-1 / values(getattr(cell, f"tau_{state}"), shape)))


def _spiking(cell: Any, name: str, shape: Shape, dynamics: Dynamics) -> Lif:
    threshold = values(cell.spike_threshold, shape)
    reset, amount = _reset(cell, name, threshold)
    most = _most_spikes(cell, name)
    if most > 1 and (reset is Reset.HARD or np.any(amount != threshold)):
        raise refuse(
            name,
            "reset_fn",
            "no subtraction of the threshold, with several spikes in one timestep",
            "use MembraneSubtract(), or spike_fn=SingleSpike",
        )
    return spiking(
        name,
        shape,
        dynamics,
        threshold,
        reset=reset,
        reset_amount=amount,
        comparison=Comparison.GREATER_EQUAL,
        max_spikes=most,
    )


def _most_spikes(cell: Any, name: str) -> int:
    kind = cell.spike_fn if isinstance(cell.spike_fn, type) else type(cell.spike_fn)
    match kind.__name__:
        case "SingleSpike":
            return 1
        case "MultiSpike":
            return MOST_SPIKES
        case "MaxSpike":
            most = cell.spike_fn.max_num_spikes_per_bin
            return MOST_SPIKES if most is None else int(most)
    raise refuse(
        name, "spike_fn", kind.__name__, "use SingleSpike, MaxSpike or MultiSpike"
    )


def _reset(cell: Any, name: str, threshold: FloatArray) -> tuple[Reset, FloatArray]:
    match type(cell.reset_fn).__name__:
        case "MembraneSubtract":
            amount = cell.reset_fn.subtract_value
            return Reset.SOFT, threshold if amount is None else np.array(float(amount))
        case "MembraneReset":
            if cell.reset_fn.reset_value == 0:
                return Reset.HARD, ZERO
            raise refuse(
                name, "reset_value", cell.reset_fn.reset_value, "use MembraneReset()"
            )
    raise refuse(
        name,
        "reset_fn",
        type(cell.reset_fn).__name__,
        "use MembraneSubtract() or MembraneReset()",
    )
