"""The column of snnTorch."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.importers.agreement import stepped
from tests.support.frames import Frame, layer_cases

snn = pytest.importorskip("snntorch")
CHANNELS = torch.tensor([0.3, 0.5, 0.7, 0.9]).reshape(4, 1, 1)


def leaky(**options: Any) -> nn.Module:
    options = {"beta": 0.6, "threshold": 0.6, "init_hidden": True, **options}
    cell: nn.Module = snn.Leaky(**options)
    return cell


def recurrent() -> nn.Module:
    cell: nn.Module = snn.RLeaky(
        beta=0.6, conv2d_channels=4, kernel_size=3, init_hidden=True
    )
    return cell


FRAME = Frame(leaky, stepped)


def conv() -> nn.Module:
    return nn.Conv2d(2, 4, 3)


CASES = {
    **layer_cases(FRAME),
    "integrate-and-fire": FRAME.case(conv, lambda: leaky(beta=1.0)),
    "leaky integrate-and-fire": FRAME.case(conv, leaky),
    "LIF with synaptic current": FRAME.case(
        conv, lambda: snn.Synaptic(alpha=0.5, beta=0.6, init_hidden=True)
    ),
    "recurrent neurons": FRAME.case(conv, recurrent),
    "leaky integrator as read-out": lambda folder: FRAME.check(
        ReadOut(), folder, (2, 8, 8)
    ),
    "hard reset": FRAME.case(conv, lambda: leaky(reset_mechanism="zero")),
    "soft reset": FRAME.case(conv, lambda: leaky(reset_mechanism="subtract")),
    "no reset": FRAME.case(conv, lambda: leaky(reset_mechanism="none")),
    "rest for a timestep after a spike": FRAME.case(
        conv,
        lambda: snn.Synaptic(
            alpha=0.5, beta=0.6, init_hidden=True, reset_mechanism="zero"
        ),
    ),
    "spikes worth another number than 1": FRAME.case(
        conv, lambda: leaky(graded_spikes_factor=0.4)
    ),
    "learned decay": FRAME.case(conv, lambda: leaky(learn_beta=True)),
    "decay of each channel": FRAME.case(conv, lambda: leaky(beta=CHANNELS)),
    "threshold of each channel": FRAME.case(conv, lambda: leaky(threshold=CHANNELS)),
}


class ReadOut(nn.Module):
    """Reads the voltage of neurons that never reset."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lif, self.fc = conv(), leaky(), nn.Linear(144, 5)
        self.last = snn.Leaky(beta=0.8, reset_mechanism="none")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, voltage = self.last(self.fc(self.lif(self.conv(x)).flatten(1)))
        return voltage  # type: ignore[no-any-return]
