"""The column of SpikingJelly."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.importers.agreement import stepped
from tests.support.frames import MAPS, N_OUT, Frame, layer_cases

neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
layer = pytest.importorskip("spikingjelly.activation_based.layer")


def lif(**options: Any) -> nn.Module:
    cell: nn.Module = neuron.LIFNode(**{"v_threshold": 0.4, **options})
    return cell


def plif() -> nn.Module:
    cell: nn.Module = neuron.ParametricLIFNode(init_tau=1.7, v_threshold=0.4)
    return cell


def current_based() -> nn.Module:
    cell: nn.Module = neuron.CUBALIFNode(0.6, 0.8, 0.4)
    return cell


FRAME = Frame(lif, stepped)
ALL_TIMESTEPS = Frame(
    lif, lambda module, x: torch.stack(module(x.transpose(0, 1)), dim=1)
)


def read_out(folder: Path) -> None:
    """Read the voltages of neurons that take all timesteps at once."""
    hidden = (nn.Flatten(2), nn.Linear(128, 9), lif(step_mode="m"), nn.Linear(9, N_OUT))
    module = nn.Sequential(*hidden, neuron.NonSpikingLIFNode())
    ALL_TIMESTEPS.check(module, folder, MAPS)


def conv() -> nn.Module:
    module: nn.Module = layer.Conv2d(2, 4, 3)
    return module


def plain() -> nn.Module:
    return nn.Conv2d(2, 4, 3)


CASES = {
    **layer_cases(FRAME),
    "integrate-and-fire": FRAME.case(plain, neuron.IFNode),
    "leaky integrate-and-fire": FRAME.case(plain, lif),
    "LIF with synaptic current": FRAME.case(plain, current_based),
    "recurrent neurons": FRAME.case(
        plain, lambda: layer.ElementWiseRecurrentContainer(lif(), lambda x, y: x + y)
    ),
    "adaptive neurons": FRAME.case(plain, neuron.IzhikevichNode),
    "leaky integrator as read-out": read_out,
    "hard reset": FRAME.case(plain, lif),
    "hard reset to another voltage than 0": FRAME.case(
        plain, lambda: lif(v_reset=-0.2)
    ),
    "soft reset": FRAME.case(plain, lambda: lif(v_reset=None)),
    "learned decay": FRAME.case(plain, plif),
    "delays": FRAME.case(plain, lif, lambda: layer.Delay(2)),
}
