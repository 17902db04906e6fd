"""The column of PyTorch itself: conventional networks, and our own neurons."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.importers.registry import load_model
from snn_deploy.nn.neurons import IntegrateAndFire, Qcfs
from tests.importers.agreement import bytes_of, stepped, with_states
from tests.importers.builders import Own
from tests.importers.test_declared import Rounded
from tests.importers.test_several_inputs import test_every_form_of_time_is_read
from tests.support.frames import Frame, layer_cases


def qcfs() -> nn.Module:
    return Qcfs(8, 4.0)


FRAME = Frame(qcfs, stepped)


def conv() -> nn.Module:
    return nn.Conv2d(2, 4, 3)


class Spiking(nn.Module):
    """Our own integrate-and-fire neurons, which are given their voltage back."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = conv(), nn.Linear(144, 5)
        self.a = IntegrateAndFire(torch.tensor(0.7))

    def forward(self, x: Tensor, state: Any = None) -> Any:
        x, state = self.a(self.conv(x), state)
        return self.fc(x.flatten(1)), state


SPIKING = Frame(qcfs, with_states)


def relu(folder: Path) -> None:
    """Measure the largest value on inputs of extremes, so that no other reaches it."""
    module = nn.Sequential(conv(), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    examples = (bytes_of((50, 2, 8, 8)) > 127).astype(np.float64).reshape(-1, 2, 8, 8)
    FRAME.check(module, folder, (2, 8, 8), example_inputs=examples)


def declared(folder: Path) -> None:
    settings = {"decay": 0.5, "threshold": 1.0, "reset": "hard"}
    module = nn.Sequential(conv(), Rounded(), nn.Flatten(), nn.Linear(144, 5))
    FRAME.check(module, folder, (2, 8, 8), neurons={Rounded: settings})


def several(folder: Path) -> None:
    test_every_form_of_time_is_read("first", folder)
    compile_model(load_model(folder / "net.pt"), read_target("loihi-sim"))


CASES = {
    **layer_cases(FRAME),
    "several inputs": several,
    "ReLU": relu,
    "QCFS": FRAME.case(conv, qcfs),
    "integrate-and-fire": lambda folder: SPIKING.check(Spiking(), folder, (2, 8, 8)),
    "soft reset": lambda folder: SPIKING.check(Spiking(), folder, (2, 8, 8)),
    "spikes worth another number than 1": lambda folder: SPIKING.check(
        Spiking(), folder, (2, 8, 8)
    ),
    "neurons of one's own, recognized": FRAME.case(
        conv, lambda: Own(0.7, is_hard=True), last=lambda: Own(0.8, is_hard=False)
    ),
    "neurons of one's own, declared": declared,
}
