"""read_onnx: what exporters and quantizers write around layers, compiled as well."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from snn_deploy.arrays import AnyArray
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.pipeline import to_neurons, to_spiking
from snn_deploy.errors import ModelError
from snn_deploy.importers.balance import balance, needs_balance
from snn_deploy.importers.onnx.reader import read_onnx
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Qcfs
from snn_deploy.ir.nodes import Conv2d
from tests.build import rng
from tests.importers.test_onnx import (
    IMAGE,
    build,
    export,
    images,
    normed,
    op,
    ours,
    theirs,
)

pytest.importorskip("onnxruntime")


class Forward(nn.Module):
    """Layers, and what is done with them."""

    def __init__(
        self, forward: Callable[[Any, Tensor], Tensor], *layers: nn.Module
    ) -> None:
        super().__init__()
        self.layers, self.said = nn.ModuleList(layers), forward

    def forward(self, x: Tensor) -> Tensor:
        return self.said(self.layers, x)


def rows(reshape: Callable[[Tensor], Tensor]) -> nn.Module:
    """Return a network whose map becomes a row in this way."""
    return Forward(
        lambda n, x: n[1](reshape(torch.relu(n[0](x)))),
        nn.Conv2d(2, 4, 3), nn.Linear(144, 3),
    )  # fmt: skip


def bottleneck(n_in: int, n_out: int, stride: int) -> nn.Module:
    wide = 2 * n_in
    return nn.Sequential(
        nn.Conv2d(n_in, wide, 1, bias=False),
        nn.BatchNorm2d(wide),
        nn.ReLU6(),
        nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
        nn.BatchNorm2d(wide),
        nn.ReLU6(),
        nn.Conv2d(wide, n_out, 1, bias=False),
        nn.BatchNorm2d(n_out),
    )


def mobilenet() -> nn.Module:
    return Forward(
        lambda n, x: n[3](n[2]((y := n[0](x)) + n[1](y)).mean((2, 3))),
        nn.Sequential(nn.Conv2d(2, 4, 3, 1, 1), nn.BatchNorm2d(4), nn.ReLU6()),
        bottleneck(4, 4, 1), bottleneck(4, 6, 2), nn.Linear(6, 5),
    )  # fmt: skip


def networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(0)
    return {
        "ends in a normalization": (
            nn.Sequential(
                nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3), nn.BatchNorm1d(3)
            ),
            (7,),
        ),
        "ends in a product and a sum": (
            Forward(
                lambda n, x: n[1](torch.relu(n[0](x))) @ n[2].weight + n[2].bias,
                nn.Linear(7, 5), nn.Linear(5, 4), nn.Linear(4, 4),
            ),
            (7,),
        ),
        "pads": (
            Forward(
                lambda n, x: n[1](torch.relu(n[0](pad(x, (1, 2, 0, 1)))).flatten(1)),
                nn.Conv2d(2, 4, 3), nn.Linear(4 * 7 * 9, 3),
            ),
            IMAGE,
        ),
        "view, size(0)": (rows(lambda y: y.view(y.size(0), -1)), IMAGE),
        "view, product": (
            rows(lambda y: y.view(y.size(0), y.size(1) * y.size(2) * y.size(3))),
            IMAGE,
        ),
        "permute": (
            rows(lambda y: y.permute(0, 2, 3, 1).reshape(y.size(0), -1)), IMAGE
        ),
        "same, even kernel": (
            nn.Sequential(
                nn.Conv2d(2, 4, 4, padding="same"), nn.ReLU(), nn.Flatten(),
                nn.Linear(256, 3),
            ),
            IMAGE,
        ),
        "mobilenet": (mobilenet(), IMAGE),
    }  # fmt: skip


def compiled(graph: Graph, x: AnyArray) -> None:
    if needs_balance(graph):
        graph = balance(graph, x.astype(np.uint8))
    quantize(to_spiking(to_neurons(graph)), read_target("loihi2"))


@pytest.mark.parametrize("name", networks())
def test_exports_compute_what_onnx_runtime_does_and_compile(
    tmp_path: Path, name: str
) -> None:
    model, shape = networks()[name]
    path = export(tmp_path / "net.onnx", normed(model), shape)

    graph = read_onnx(path)

    x = images(shape)
    expected = theirs(path, x)
    np.testing.assert_allclose(
        ours(graph, x), expected, atol=2e-6 * np.abs(expected).max()
    )
    compiled(graph, x)


@pytest.mark.parametrize("kind", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_zeros_that_onnx_adds_by_itself(tmp_path: Path, kind: str, stride: int) -> None:
    weight = rng(4).normal(size=(4, 2, 4, 3))
    conv = op("Conv", "x", "w", to="a", auto_pad=kind, strides=[stride, stride])
    row = op("Flatten", "a")
    path = build(tmp_path / "net.onnx", conv, row, shape=("n", *IMAGE), w=weight)
    x = images(IMAGE)

    np.testing.assert_allclose(ours(read_onnx(path), x), theirs(path, x), atol=1e-5)


def test_a_batch_that_is_multiplied_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    nodes = [
        op("Shape", "x", to="shape", start=0, end=1),
        op("Mul", "shape", "two", to="twice"),
        op("Concat", "twice", "rest", to="sizes", axis=0),
        op("Reshape", "x", "sizes", to="halves"),
        op("Gemm", "halves", "w"),
    ]
    build(path, *nodes, w=rng(1).normal(size=(2, 3)))
    model = onnx.load(path)
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array([value]), name)
        for name, value in (("two", 2), ("rest", -1))
    )
    onnx.save(model, path)

    with pytest.raises(ModelError, match="twice: takes two, which does not come"):
        read_onnx(path)


def quantized(path: Path, *, scale_again: float) -> Path:
    """Write a network with stored integers, and few levels behind its activations."""
    integers = {
        "w": np.int8(rng(5).integers(-127, 128, size=(4, 2, 3, 3))),
        "v": np.int8(rng(6).integers(-127, 128, size=(3, 144))),
        "c": np.int32(rng(7).integers(-2000, 2000, size=4)),
        "z": np.int8(-128),
        "none": np.int8(0),
    }
    scales: dict[str, Any] = {
        "sw": np.linspace(0.002, 0.004, 4), "sv": 0.003, "sc": 1e-4, "s": 0.013,
        "again": scale_again,
    }  # fmt: skip
    nodes = [
        op("DequantizeLinear", "w", "sw", to="weight", axis=0),
        op("DequantizeLinear", "c", "sc", to="bias"),
        op("DequantizeLinear", "v", "sv", "none", to="matrix"),
        op("Conv", "x", "weight", "bias", to="a"),
        op("QuantizeLinear", "a", "s", "z", to="q"),  # cuts as a ReLU does
        op("DequantizeLinear", "q", "again", "z", to="d"),
        op("Flatten", "d", to="f"),
        op("Gemm", "f", "matrix", transB=1),
    ]
    build(path, *nodes, shape=("n", *IMAGE), **scales)
    model = onnx.load(path)
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in integers.items()
    )
    onnx.save(model, path)
    return path


def test_quantized_weights_and_activations_are_what_they_are(tmp_path: Path) -> None:
    path = quantized(tmp_path / "net.onnx", scale_again=0.013)
    x = images(IMAGE)

    graph = read_onnx(path)

    np.testing.assert_allclose(ours(graph, x), theirs(path, x), atol=1e-5)
    (activation,) = graph.nodes_of(Qcfs)
    assert activation.levels == 255
    assert activation.threshold == pytest.approx(3.315)
    (conv,) = graph.nodes_of(Conv2d)
    rows = conv.weight / np.linspace(0.002, 0.004, 4).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(rows, np.rint(rows), atol=1e-4)
    compiled(graph, x)


def test_levels_that_change_on_the_way_are_refused(tmp_path: Path) -> None:
    path = quantized(tmp_path / "net.onnx", scale_again=0.02)

    with pytest.raises(ModelError, match="dequantizes q, which nothing quantizes with"):
        read_onnx(path)


class Images:
    """What ONNX Runtime's quantizer measures ranges on."""

    def __init__(self) -> None:
        self.left = [{"x": (images(IMAGE, 20) / 255).astype(np.float32)}]

    def get_next(self) -> Any:
        return self.left.pop() if self.left else None


def test_files_of_onnx_runtimes_quantizer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)
    )  # fmt: skip
    path = export(tmp_path / "net.onnx", model, IMAGE)
    quantization.quantize_static(
        str(path),
        str(tmp_path / "quantized.onnx"),
        Images(),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    x = images(IMAGE)

    graph = read_onnx(tmp_path / "quantized.onnx")

    assert "quantized without an activation" in caplog.text
    assert [layer.levels for layer in graph.nodes_of(Qcfs)] == [255]
    expected = theirs(tmp_path / "quantized.onnx", x)
    level = (expected.max() - expected.min()) / 255  # about what the output rounds by
    assert np.abs(ours(graph, x) - expected).max() < 2 * level
