"""The column of sinabs."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.importers.agreement import N, merged, time_second
from tests.support.frames import Frame, layer_cases

sl = pytest.importorskip("sinabs.layers")
activation = pytest.importorskip("sinabs.activation")
SINGLE = activation.SingleSpike
CHANNELS = torch.tensor([0.3, 0.5, 0.7, 0.9]).reshape(4, 1, 1)


def iaf(**options: Any) -> nn.Module:
    cell: nn.Module = sl.IAFSqueeze(batch_size=N, **{"spike_fn": SINGLE, **options})
    return cell


def lif(**options: Any) -> nn.Module:
    options = {"tau_mem": 3.0, "norm_input": False, "spike_fn": SINGLE, **options}
    cell: nn.Module = sl.LIFSqueeze(batch_size=N, **options)
    return cell


def recurrent() -> nn.Module:
    cell: nn.Module = sl.LIFRecurrent(
        3.0, nn.Linear(9, 9, bias=False), spike_fn=SINGLE, norm_input=False
    )
    return cell


def spikes() -> nn.Module:
    cell: nn.Module = sl.IAF(spike_fn=SINGLE)
    return cell


FRAME = Frame(lif, merged)
TIMED = Frame(spikes, time_second)


def conv() -> nn.Module:
    return nn.Conv2d(2, 4, 3)


CASES = {
    **layer_cases(FRAME),
    "sum pooling": FRAME.case(conv, lif, lambda: sl.SumPool2d(2)),
    "integrate-and-fire": FRAME.case(conv, iaf),
    "leaky integrate-and-fire": FRAME.case(conv, lif),
    "LIF with synaptic current": FRAME.case(conv, lambda: lif(tau_syn=2.0)),
    "recurrent neurons": TIMED.case(lambda: nn.Linear(12, 9), recurrent, shape=(12,)),
    "adaptive neurons": TIMED.case(
        lambda: nn.Linear(12, 9), lambda: sl.ALIF(3.0, 3.0), shape=(12,)
    ),
    "leaky integrator as read-out": FRAME.case(
        conv, lif, last=lambda: sl.ExpLeakSqueeze(tau_mem=5.0, batch_size=N)
    ),
    "hard reset": FRAME.case(conv, lambda: lif(reset_fn=activation.MembraneReset())),
    "hard reset to another voltage than 0": FRAME.case(
        conv, lambda: lif(reset_fn=activation.MembraneReset(-0.3))
    ),
    "soft reset": FRAME.case(conv, lif),
    "several spikes in one timestep": FRAME.case(
        conv, lambda: lif(spike_fn=activation.MultiSpike)
    ),
    "lowest voltage": FRAME.case(conv, lambda: lif(min_v_mem=-1.0)),
    "learned decay": FRAME.case(conv, lambda: lif(train_alphas=True)),
    "decay of each channel": FRAME.case(
        conv, lambda: lif(tau_mem=1 / (1.01 - CHANNELS))
    ),
    "threshold of each channel": FRAME.case(
        conv, lambda: lif(spike_threshold=CHANNELS)
    ),
}
