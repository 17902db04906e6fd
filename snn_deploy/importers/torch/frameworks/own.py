"""Read the neurons of ``snn_deploy.nn``.

An ``IntegrateAndFire`` keeps ``1 - decay`` of its voltage, which starts at half the
threshold. A spike needs ``v >= threshold``, takes it off and is worth it.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from snn_deploy.arrays import Shape
from snn_deploy.importers.torch.frameworks.cells import (
    Cell,
    Dynamics,
    spiking,
    values,
)
from snn_deploy.importers.torch.frameworks.framework import Framework
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.nn.neurons import IntegrateAndFire


class Own(Framework):
    """What this package trains networks with."""

    package = "snn_deploy.nn"

    def has_neurons(self, kind: type) -> bool:
        return kind is IntegrateAndFire

    def read_cell(self, cell: Any, name: str, shape: Shape) -> Cell:
        threshold = values(cell.threshold, shape)
        neurons = spiking(
            name,
            shape,
            Dynamics(voltage_decay=np.array(cell.decay)),
            threshold,
            reset=Reset.SOFT,
            comparison=Comparison.GREATER_EQUAL,
            spike_value=float(threshold),
        )
        return Cell(neurons=replace(neurons, initial_voltage=threshold / 2))

    def returns_state(self, module: nn.Module) -> bool:
        return isinstance(module, IntegrateAndFire)
