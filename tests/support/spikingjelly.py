"""The column of SpikingJelly."""

from typing import Any

import pytest
from torch import nn

from tests.importers.agreement import stepped
from tests.support.frames import Frame, layer_cases

neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
layer = pytest.importorskip("spikingjelly.activation_based.layer")


def lif(**options: Any) -> nn.Module:
    cell: nn.Module = neuron.LIFNode(**{"v_threshold": 0.4, **options})
    return cell


def plif() -> nn.Module:
    cell: nn.Module = neuron.ParametricLIFNode(init_tau=1.7, v_threshold=0.4)
    return cell


FRAME = Frame(lif, stepped)


def conv() -> nn.Module:
    module: nn.Module = layer.Conv2d(2, 4, 3)
    return module


def plain() -> nn.Module:
    return nn.Conv2d(2, 4, 3)


CASES = {
    **layer_cases(FRAME),
    "integrate-and-fire": FRAME.case(plain, neuron.IFNode),
    "leaky integrate-and-fire": FRAME.case(plain, lif),
    "LIF with synaptic current": FRAME.case(plain, lambda: neuron.CUBALIFNode(2.0)),
    "recurrent neurons": FRAME.case(
        plain, lambda: layer.ElementWiseRecurrentContainer(lif(), lambda x, y: x + y)
    ),
    "adaptive neurons": FRAME.case(plain, neuron.IzhikevichNode),
    "leaky integrator as read-out": FRAME.case(
        plain, lif, last=neuron.NonSpikingLIFNode
    ),
    "hard reset": FRAME.case(plain, lif),
    "hard reset to another voltage than 0": FRAME.case(
        plain, lambda: lif(v_reset=-0.2)
    ),
    "soft reset": FRAME.case(plain, lambda: lif(v_reset=None)),
    "learned decay": FRAME.case(plain, plif),
    "delays": FRAME.case(plain, lif, lambda: layer.Delay(2)),
}
