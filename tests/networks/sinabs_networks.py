"""Networks of sinabs' tutorials."""

import sinabs.layers as sl
from sinabs.activation import MembraneReset
from sinabs.from_torch import from_model
from torch import nn

from tests.networks.listed import Catalogue, Form

network = Catalogue("sinabs")


def _conventional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 3, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 2 * 2, 10, bias=False),
        nn.ReLU(),
    )


@network("MNIST weight transfer, from_model with its defaults", Form.STEP, (1, 14, 14))
def weight_transfer() -> nn.Module:
    return from_model(
        _conventional(), input_shape=(1, 14, 14), batch_size=4
    ).spiking_model


@network("from_model without a lowest voltage", Form.STEP, (1, 14, 14))
def without_floor() -> nn.Module:
    return from_model(
        _conventional(), input_shape=(1, 14, 14), batch_size=4, min_v_mem=None
    ).spiking_model


@network("N-MNIST quick start, squeezed", Form.STEP, (2, 14, 14), encoding="events")
def nmnist() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False),
        sl.IAFSqueeze(batch_size=4, min_v_mem=-1.0),
        sl.SumPool2d(2),
        nn.Conv2d(4, 6, 3, bias=False),
        sl.IAFSqueeze(batch_size=4, min_v_mem=-1.0),
        sl.SumPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 2 * 2, 10, bias=False),
        sl.IAFSqueeze(batch_size=4, min_v_mem=-1.0),
    )


@network("BPTT tutorial, LIF", Form.TIME_SECOND, (34,), encoding="events")
def bptt() -> nn.Module:
    return nn.Sequential(
        nn.Linear(34, 24, bias=False),
        sl.LIF(tau_mem=20.0, norm_input=False),
        nn.Linear(24, 10, bias=False),
        sl.LIF(tau_mem=20.0, norm_input=False),
    )


@network("recurrent LIF with hard reset", Form.TIME_SECOND, (34,), encoding="events")
def recurrent() -> nn.Module:
    return nn.Sequential(
        nn.Linear(34, 24, bias=False),
        sl.LIFRecurrent(
            tau_mem=20.0, rec_connect=nn.Linear(24, 24), reset_fn=MembraneReset()
        ),
        nn.Linear(24, 10, bias=False),
        sl.ExpLeak(tau_mem=20.0),
    )


@network("exponential leak as read-out", Form.TIME_SECOND, (34,), encoding="events")
def leak() -> nn.Module:
    return nn.Sequential(
        nn.Linear(34, 24, bias=False), sl.IAF(), nn.Linear(24, 10), sl.ExpLeak(30.0)
    )
