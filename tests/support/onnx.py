"""The column of ONNX: the outputs of ONNX Runtime for conventional networks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.importers.balance import balance, needs_balance
from snn_deploy.importers.onnx.reader import read_onnx
from snn_deploy.importers.registry import load_model
from snn_deploy.nn.neurons import Qcfs
from tests.importers.test_onnx import Residual, export, images, normed, ours, theirs
from tests.importers.test_several_files import (
    byte_inputs,
    test_onnx_of_two_inputs_is_what_its_runtime_computes,
)
from tests.support.table import Case

MAPS, LINES, ROW = (2, 8, 8), (2, 8), (7,)
N_OUT = 5


class Concatenated(nn.Module):
    """Channels of two convolutions side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.a(x), self.b(x)], 1).relu()


class Viewed(nn.Module):
    """A flatten written as a view."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(x.size(0), -1)


def check(folder: Path, model: nn.Module, shape: tuple[int, ...]) -> None:
    """Assert that a file gives what ONNX Runtime gives, and can be compiled."""
    path = export(folder / "net.onnx", normed(model), shape)
    graph, x = read_onnx(path), images(shape, n=20)
    expected = theirs(path, x)
    assert np.ptp(expected) > 0
    found = ours(graph, x.reshape(len(x), *graph.input.shape))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    if needs_balance(graph):
        graph = balance(graph, x.astype(np.uint8))
    compile_model(graph, read_target("loihi-sim"))


def row(*layers: Callable[[], nn.Module], shape: tuple[int, ...] = MAPS) -> Case:
    """Return the case of layers, and a Linear behind them."""

    def case(folder: Path) -> None:
        torch.manual_seed(0)
        body = nn.Sequential(*(layer() for layer in layers), nn.Flatten())
        width: Any = body.eval()(torch.zeros(2, *shape)).shape[1]
        check(folder, nn.Sequential(*body, nn.Linear(width, N_OUT)), shape)

    return case


def conv(**changes: Any) -> Callable[[], nn.Module]:
    return lambda: nn.Conv2d(2, 4, 3, **changes)


def several(folder: Path) -> None:
    test_onnx_of_two_inputs_is_what_its_runtime_computes(0, folder)
    graph = load_model(folder / "two.onnx", balance_on=byte_inputs(0))
    compile_model(graph, read_target("loihi-sim"))


CASES: dict[str, Case] = {
    "several inputs": several,
    "Linear": row(lambda: nn.Linear(7, 6), nn.ReLU, shape=ROW),
    "Conv1d": row(lambda: nn.Conv1d(2, 4, 3, stride=2), nn.ReLU, shape=LINES),
    "Conv2d": row(conv(stride=2, padding=1), nn.ReLU),
    "Conv2d, grouped and dilated": row(conv(groups=2, dilation=2), nn.ReLU),
    "Conv2d, depthwise": row(lambda: nn.Conv2d(2, 2, 3, groups=2), nn.ReLU),
    "ConvTranspose2d": row(lambda: nn.ConvTranspose2d(2, 3, 3), nn.ReLU),
    "BatchNorm1d": row(
        lambda: nn.Linear(7, 6), lambda: nn.BatchNorm1d(6), nn.ReLU, shape=ROW
    ),
    "BatchNorm2d": row(conv(bias=False), lambda: nn.BatchNorm2d(4), nn.ReLU),
    "AvgPool2d": row(conv(), nn.ReLU, lambda: nn.AvgPool2d(2)),
    "MaxPool2d": row(conv(), nn.ReLU, lambda: nn.MaxPool2d(2)),
    "AdaptiveAvgPool2d": row(conv(), nn.ReLU, lambda: nn.AdaptiveAvgPool2d(1)),
    "Flatten": row(conv(), nn.ReLU, nn.Flatten),
    "view or reshape as flatten": row(conv(), nn.ReLU, Viewed),
    "Dropout": row(conv(), nn.ReLU, nn.Dropout),
    "residual add": lambda folder: check(folder, Residual(), MAPS),
    "nearest upsampling": row(
        conv(), nn.ReLU, lambda: nn.Upsample(scale_factor=2), lambda: nn.Conv2d(4, 2, 2)
    ),
    "weights behind weights": row(conv(), lambda: nn.Conv2d(4, 3, 1), nn.ReLU),
    "BatchNorm before the weights": row(lambda: nn.BatchNorm2d(2), conv(), nn.ReLU),
    "AvgPool2d before the neurons": row(conv(), lambda: nn.AvgPool2d(2), nn.ReLU),
    "concatenation": row(Concatenated),
    "ReLU": row(conv(), nn.ReLU),
    "ReLU6": row(conv(), nn.ReLU6),
    "QCFS": row(conv(), lambda: Qcfs(4, 1.5)),
    "Softmax": row(conv(), nn.ReLU, nn.Flatten, lambda: nn.Softmax(1)),
}
