"""Networks around one layer or one kind of neurons, in the terms of a framework."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.ir.graph import Graph
from tests.importers.agreement import Run, agree, louder
from tests.support.table import Case

MAPS, ROWS, ROW = (2, 8, 8), (2, 12), (12,)
N_OUT = 5


@dataclass(frozen=True)
class Frame:
    """How a framework builds and runs networks."""

    neurons: Callable[[], nn.Module]  # one layer of them, for any shape
    run: Run
    sequence: Callable[..., nn.Module] = nn.Sequential

    def case(
        self,
        *layers: Callable[[], nn.Module],
        shape: tuple[int, ...] = MAPS,
        last: Callable[[], nn.Module] | None = None,
    ) -> Case:
        """Return the case of a row of layers; behind them a Linear, and ``last``.

        The layers are made anew for each run, since neurons keep their states.
        """
        makers = (*layers, last or self.neurons)
        return lambda folder: self.check(self.built(makers, shape), folder, shape)

    def built(
        self, makers: tuple[Callable[[], nn.Module], ...], shape: tuple[int, ...]
    ) -> nn.Module:
        """Return the layers in a sequence, a Linear that fits before the last."""
        *made, last = (make() for make in makers)
        plain = [m for m in made if _changes_shapes(m)]
        with torch.no_grad():
            width = nn.Sequential(*plain).eval()(torch.zeros(2, *shape))[0].numel()
        flat = [] if len(shape) == 1 else [nn.Flatten()]
        return self.sequence(*made, *flat, nn.Linear(width, N_OUT), last)

    def check(
        self, module: nn.Module, folder: Path, shape: tuple[int, ...], **options: Any
    ) -> Graph:
        """Assert that the module can be saved, gives the same, and can be compiled."""
        graph = agree(louder(module), self.run, folder, shape, **options)
        compile_model(graph, read_target("loihi-sim"))
        return graph


def _changes_shapes(module: nn.Module) -> bool:
    kind = type(module).__module__
    return kind.startswith("torch.nn") or kind.endswith("pool2d")


class Branches(nn.Module):
    """Two branches that meet; ``meet`` says how, ``flat`` how it goes on."""

    def __init__(self, frame: Frame, meet: Any, flat: Any, width: int) -> None:
        super().__init__()
        self.first, self.a = nn.Conv2d(2, 3, 3, padding=1), frame.neurons()
        self.second, self.b = nn.Conv2d(3, 3, 3, padding=1), frame.neurons()
        self.last, self.c = nn.Linear(width, N_OUT), frame.neurons()
        self.meet, self.flat = meet, flat
        self.has_states = frame.sequence is not nn.Sequential

    def forward(self, x: Tensor, states: Any = None) -> Any:
        states = (None, None, None) if states is None else states
        x, a = self.spiking(self.a, self.first(x), states[0])
        y, b = self.spiking(self.b, self.second(x), states[1])
        x = self.flat(self.meet(x, y))
        x, c = self.spiking(self.c, self.last(x), states[2])
        return (x, (a, b, c)) if self.has_states else x

    def spiking(self, neurons: nn.Module, x: Tensor, state: Any) -> Any:
        return neurons(x, state) if self.has_states else (neurons(x), None)


def branched(frame: Frame, meet: Any, flat: Any, width: int = 192) -> Case:
    """Return the case of a network with two branches."""
    return lambda folder: frame.check(Branches(frame, meet, flat, width), folder, MAPS)


def _meetings(frame: Frame) -> dict[str, Case]:
    """Return the cases of two branches that meet otherwise than by a sum."""
    return {
        "product of spikes (AND)": branched(frame, lambda x, y: x * y, _flat),
        "product with 1 - spikes (IAND)": branched(
            frame, lambda x, y: x * (1 - y), _flat
        ),
        "maximum of spikes (OR)": branched(frame, torch.maximum, _flat),
        "max pooling behind a sum": branched(
            frame, lambda x, y: max_pool2d(x + y, 2), _flat, 48
        ),
        "factors and constants": branched(
            frame, lambda x, y: 0.5 * x - (y - 0.25) / 2, _flat
        ),
    }


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1)


def layer_cases(frame: Frame) -> dict[str, Case]:
    """Return the cases of all layers, between the neurons of one framework."""
    n = frame.neurons

    def conv2d() -> nn.Module:
        return nn.Conv2d(2, 4, 3)

    def conv1d() -> nn.Module:
        return nn.Conv1d(2, 4, 3)

    return {
        "Linear": frame.case(lambda: nn.Linear(12, 9), n, shape=ROW),
        "Conv1d": frame.case(conv1d, n, shape=ROWS),
        "Conv2d": frame.case(lambda: nn.Conv2d(2, 4, (3, 2), (2, 1), (0, 1)), n),
        "Conv2d, grouped and dilated": frame.case(
            conv2d, n, lambda: nn.Conv2d(4, 6, 3, dilation=2, groups=2), n
        ),
        "Conv2d, depthwise": frame.case(
            conv2d, n, lambda: nn.Conv2d(4, 4, 3, groups=4), n
        ),
        "ConvTranspose2d": frame.case(
            conv2d, n, lambda: nn.ConvTranspose2d(4, 4, 3), n
        ),
        "BatchNorm1d": frame.case(
            lambda: nn.Linear(12, 9), lambda: nn.BatchNorm1d(9), n, shape=ROW
        ),
        "BatchNorm2d": frame.case(conv2d, lambda: nn.BatchNorm2d(4), n),
        "AvgPool1d": frame.case(conv1d, n, lambda: nn.AvgPool1d(2), shape=ROWS),
        "AvgPool2d": frame.case(conv2d, n, lambda: nn.AvgPool2d(2)),
        "sum pooling": frame.case(conv2d, n, lambda: nn.LPPool2d(1, 2)),
        "MaxPool1d": frame.case(conv1d, n, lambda: nn.MaxPool1d(2), shape=ROWS),
        "MaxPool2d": frame.case(conv2d, n, lambda: nn.MaxPool2d(2)),
        "AdaptiveAvgPool2d": frame.case(conv2d, n, lambda: nn.AdaptiveAvgPool2d(1)),
        "Flatten": frame.case(conv2d, n),
        "view or reshape as flatten": branched(
            frame, torch.add, lambda x: x.view(x.size(0), -1)
        ),
        "Dropout": frame.case(conv2d, n, lambda: nn.Dropout(0.5)),
        "nearest upsampling": frame.case(
            conv2d, n, lambda: nn.Upsample(scale_factor=2)
        ),
        **_meetings(frame),
        "weights behind weights": frame.case(conv2d, lambda: nn.Conv2d(4, 3, 1), n),
        "BatchNorm before the weights": frame.case(
            lambda: nn.BatchNorm2d(2), conv2d, n
        ),
        "AvgPool2d before the neurons": frame.case(conv2d, lambda: nn.AvgPool2d(2), n),
        "MaxPool2d before the neurons": frame.case(conv2d, lambda: nn.MaxPool2d(2), n),
        "residual add": branched(frame, lambda x, y: x + y, lambda x: x.flatten(1)),
        "concatenation": branched(
            frame, lambda x, y: torch.cat((x, y), 1), lambda x: x.flatten(1), 384
        ),
        "ReLU": frame.case(conv2d, nn.ReLU),
        "ReLU6": frame.case(conv2d, nn.ReLU6),
        "Softmax": frame.case(conv2d, n, lambda: nn.Softmax(1)),
    }
