"""The column of Norse."""

from typing import Any

import torch
from norse.torch import (
    IAFCell,
    LIBoxCell,
    LIFBoxCell,
    LIFBoxParameters,
    LIFCell,
    LIFParameters,
    LIFRecurrentCell,
    LIFRefracCell,
    LSNNCell,
    SequentialState,
)
from norse.torch.functional.reset import reset_subtract
from torch import nn

from tests.importers.agreement import with_states
from tests.support.frames import Frame, layer_cases

DECAYS = torch.tensor([200.0, 400.0, 600.0, 900.0]).reshape(4, 1, 1)


def box(**changes: Any) -> nn.Module:
    changes = {"tau_mem_inv": torch.tensor(500.0), "v_th": torch.tensor(0.4), **changes}
    cell: nn.Module = LIFBoxCell(LIFBoxParameters(**changes))
    return cell


FRAME = Frame(box, with_states, SequentialState)


def conv() -> nn.Module:
    return nn.Conv2d(2, 4, 3)


def recurrent() -> nn.Module:
    draw = torch.Generator().manual_seed(1)
    cell: nn.Module = LIFRecurrentCell(
        12,
        12,
        LIFParameters(v_th=torch.tensor(0.3)),
        input_weights=nn.Parameter(torch.randn(12, 12, generator=draw)),
        recurrent_weights=nn.Parameter(torch.randn(12, 12, generator=draw)),
    )
    return cell


def both(value: float) -> dict[str, torch.Tensor]:
    return {"v_leak": torch.tensor(value), "v_reset": torch.tensor(value)}


CASES = {
    **layer_cases(FRAME),
    "integrate-and-fire": FRAME.case(conv, IAFCell),
    "leaky integrate-and-fire": FRAME.case(conv, box),
    "LIF with synaptic current": FRAME.case(
        conv, lambda: LIFCell(LIFParameters(v_th=torch.tensor(0.3)))
    ),
    "recurrent neurons": FRAME.case(recurrent, shape=(12,)),
    "adaptive neurons": FRAME.case(conv, LSNNCell),
    "leaky integrator as read-out": FRAME.case(conv, box, last=LIBoxCell),
    "hard reset": FRAME.case(conv, box),
    "hard reset to another voltage than 0": FRAME.case(conv, lambda: box(**both(-0.3))),
    "soft reset": FRAME.case(conv, lambda: box(reset_method=reset_subtract)),
    "rest for a timestep after a spike": FRAME.case(conv, LIFRefracCell),
    "decay of each channel": FRAME.case(conv, lambda: box(tau_mem_inv=DECAYS)),
    "threshold of each channel": FRAME.case(conv, lambda: box(v_th=DECAYS / 900)),
}
