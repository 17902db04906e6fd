"""read_onnx: what ONNX Runtime computes, or a refusal that names the operator."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from snn_deploy.arrays import AnyArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.balance import balance, needs_balance
from snn_deploy.importers.onnx.reader import read_onnx
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Qcfs as QcfsLayer
from snn_deploy.ir.stimuli import Stimulus, input_hashes
from snn_deploy.nn.neurons import Qcfs
from tests.build import rng

ort = pytest.importorskip("onnxruntime")
IMAGE = (2, 8, 8)


def images(shape: tuple[int, ...], n: int = 6) -> AnyArray:
    return rng(3).integers(0, 256, size=(n, *shape))


def ours(graph: Graph, x: AnyArray) -> AnyArray:
    stimuli = [Stimulus(values=v[np.newaxis], is_constant=True) for v in x]
    return evaluate(graph, stimuli, 1)[:, 0]


def theirs(path: Path, x: AnyArray) -> AnyArray:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: (x / 255).astype(np.float32)}
    found: AnyArray = session.run(None, feed)[0].reshape(len(x), -1)
    return found


def export(
    path: Path, model: nn.Module, shape: tuple[int, ...], **options: Any
) -> Path:
    """Write a module as PyTorch does, the size of the batch left open."""
    model.eval()
    example = (torch.rand(2, *shape),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if options.get("dynamo"):
            dynamic: Any = {"dynamic_shapes": ({0: torch.export.Dim("n")},)}
        else:
            dynamic = {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
        torch.onnx.export(
            model, example, str(path), verbose=False, **options, **dynamic
        )
    return path


class Residual(nn.Module):
    """Sums, functions and shapes that a sequence does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = torch.relu(self.norm(self.first(x * 2 - 1)))
        b = torch.relu(self.second(a) + a)
        output: torch.Tensor = self.fc(b.mean((2, 3)))
        return output


class Autoencoder(nn.Module):
    """Layers that spread: transposed, resized, padded, concatenated; chains of them."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.BatchNorm2d(4))
        self.up = nn.ConvTranspose2d(4, 4, 3, 2, padding=1, output_padding=1, groups=2)
        self.near = nn.Upsample(scale_factor=2)
        self.skip = nn.Conv2d(2, 3, 1)
        self.last = nn.Conv2d(11, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pad = nn.functional.pad
        a = torch.relu(self.down(pad(x, (0, 1, 1, 0))))
        b = torch.cat([self.up(a), 0.5 * self.near(a), self.skip(x)], 1)
        output: torch.Tensor = self.last(pad(b, (1, 0, 0, 2))).flatten(1)
        return output


def normed(model: nn.Module) -> nn.Module:
    """Give normalizations statistics and factors that do something."""
    torch.manual_seed(1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            for name in ("running_var", "weight"):
                getattr(layer, name).data.uniform_(0.5, 1.5)
            for name in ("running_mean", "bias"):
                getattr(layer, name).data.normal_(0, 0.25)
    return model


def networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(0)
    return {
        "convolutions": (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, stride=2, padding=1),
                nn.BatchNorm2d(4),
                nn.ReLU(),
                nn.Conv2d(4, 6, 3, padding=2, dilation=2, bias=False),
                nn.ReLU6(),
                nn.AvgPool2d(2),
                nn.Dropout(),
                nn.Flatten(),
                nn.Linear(24, 5),
            ),
            IMAGE,
        ),
        "qcfs": (
            nn.Sequential(
                nn.Conv2d(2, 4, 3),
                nn.BatchNorm2d(4),
                Qcfs(4, 1.5),
                nn.Flatten(),
                nn.Linear(144, 8),
                Qcfs(8, 0.7),
                nn.Linear(8, 3),
            ),
            IMAGE,
        ),
        "lines": (
            nn.Sequential(
                nn.Conv1d(2, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)
            ),
            (2, 8),
        ),
        "rows": (
            nn.Sequential(
                nn.Linear(7, 5, bias=False),
                nn.BatchNorm1d(5),
                nn.ReLU(),
                nn.Linear(5, 3),
            ),
            (7,),
        ),
        "residual": (Residual(), IMAGE),
        "autoencoder": (Autoencoder(), IMAGE),
    }


@pytest.mark.parametrize(
    ("name", "dynamo"),
    [
        *((name, False) for name in networks()),
        pytest.param("residual", True, marks=pytest.mark.slow),
    ],
)
def test_outputs_are_those_of_onnx_runtime(
    tmp_path: Path, name: str, dynamo: bool
) -> None:
    if dynamo:
        pytest.importorskip("onnxscript")
    model, shape = networks()[name]
    path = export(tmp_path / "net.onnx", normed(model), shape, dynamo=dynamo)

    graph = read_onnx(path)

    x = images(shape)
    expected = theirs(path, x)
    found = ours(graph, x.reshape(len(x), *graph.input.shape))
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


def test_qcfs_is_found_in_its_steps(tmp_path: Path) -> None:
    model, shape = networks()["qcfs"]

    graph = read_onnx(export(tmp_path / "net.onnx", model, shape))

    first, second = graph.nodes_of(QcfsLayer)
    assert (first.levels, second.levels) == (4, 8)
    assert (first.threshold, second.threshold) == pytest.approx((1.5, 0.7))


def build(
    path: Path,
    *nodes: Any,
    shape: tuple[Any, ...] = ("n", 4),
    outputs: tuple[str, ...] = ("y",),
    opset: int = 17,
    **weights: Any,
) -> Path:
    """Write a model from operators; ``x`` goes in."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, ("n", None))
            for n in outputs
        ],
        [
            numpy_helper.from_array(np.asarray(w, np.float32), n)
            for n, w in weights.items()
        ],
    )
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def op(kind: str, *inputs: str, to: str = "y", **attributes: Any) -> Any:
    return helper.make_node(
        kind, list(inputs), [to], name=f"/{to}/{kind}", **attributes
    )


MATRIX = rng(1).normal(size=(4, 3))


def test_operators_that_other_exporters_write(tmp_path: Path) -> None:
    path = build(
        tmp_path / "net.onnx",
        op("Sub", "x", "half", to="centered"),
        op("Div", "centered", "half", to="scaled"),
        op("MatMul", "scaled", "w", to="product"),
        op("Add", "b", "product", to="sum"),
        op("Mul", "sum", "factors", to="gained"),
        op("Clip", "gained", "zero", "", to="positive"),
        op("Gemm", "positive", "v", "c", alpha=0.5, beta=2.0, transB=1),
        op("Softmax", "x", to="unused"),
        w=MATRIX,
        b=[0.1, -0.2, 0.3],
        v=MATRIX[:2],
        c=[0.1, 0.2],
        half=0.5,
        factors=[1.0, 2.0, 0.5],
        zero=0.0,
    )
    x = images((4,))

    graph = read_onnx(path)

    np.testing.assert_allclose(ours(graph, x), theirs(path, x), rtol=1e-5)
    assert (graph.training.input_scale, graph.training.input_offset) == (2, -1)


def test_files_of_old_operator_sets_are_converted(tmp_path: Path) -> None:
    path = build(
        tmp_path / "net.onnx",
        op("Gemm", "x", "w", "b", to="first"),
        op("Clip", "first", to="cut", min=0.0, max=2.0),
        op("Dropout", "cut", to="kept", ratio=0.5),
        op("Gemm", "kept", "v", "b"),
        opset=9,
        w=MATRIX,
        v=MATRIX[:3],
        b=[0.1, -0.2, 0.3],
    )
    x = images((4,))

    np.testing.assert_allclose(ours(read_onnx(path), x), theirs(path, x), rtol=1e-5)


CASES: dict[str, tuple[list[Any], str]] = {
    "an unknown operator": (
        [op("Gemm", "x", "w", to="a"), op("Erf", "a")],
        "y: ONNX's Erf cannot be deployed; use Conv",
    ),
    "a softmax inside": (
        [op("Softmax", "x", to="a"), op("Gemm", "a", "w")],
        "a: ONNX's Softmax cannot be deployed but behind the outputs; use Conv",
    ),
    "a softmax over the batch": (
        [op("Gemm", "x", "w", to="a"), op("Softmax", "a", axis=0)],
        "y: ONNX's Softmax cannot be deployed; use Conv",
    ),
    "a leak of a ReLU": (
        [op("Gemm", "x", "w", to="a"), op("LeakyRelu", "a")],
        "y: ONNX's LeakyRelu cannot be deployed",
    ),
    "a computed weight": (
        [op("Transpose", "x", to="t"), op("MatMul", "x", "t")],
        "y: its input 2 is computed, only stored weights",
    ),
    "a cut to something else": (
        [op("Gemm", "x", "w", to="a"), op("Clip", "a", "one", to="y")],
        "y: cuts 1 x \\+ 0 to 1 ... inf; only a ReLU",
    ),
    "a floor alone": (
        [op("Gemm", "x", "w", to="a"), op("Floor", "a")],
        "y: rounds 1 x \\+ 0 down",
    ),
    "two floors": (
        [op("Gemm", "x", "w", to="a"), op("Floor", "a", to="b"), op("Floor", "b")],
        "y: a second floor",
    ),
    "a constant divided": (
        [op("Gemm", "x", "w", to="a"), op("Div", "one", "a")],
        "y: ONNX's Div of a constant and a value",
    ),
    "a factor of 0": (
        [op("Gemm", "x", "w", to="a"), op("Mul", "a", "zero")],
        "y: a factor of 0",
    ),
    "a mean over features": (
        [op("Gemm", "x", "w", to="a"), op("ReduceMean", "a", axes=[1])],
        "y: the mean over the axes \\[1\\]",
    ),
    "no layer that fits": (
        [op("Gemm", "x", "w", to="a"), op("Relu", "a", to="r"), op("Gemm", "r", "w")],
        "not a valid ONNX model",
    ),
    "weights that are no number": (
        [op("Gemm", "x", "bad")],
        "y: weight holds 3 values that are no finite number",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_has_no_counterpart_is_refused_by_name(tmp_path: Path, case: str) -> None:
    nodes, message = CASES[case]
    weights: dict[str, Any] = {"w": MATRIX, "v": MATRIX[:3], "one": 1.0, "zero": 0.0}
    bad = np.where(np.arange(12).reshape(4, 3) < 3, np.nan, 1.0)
    path = build(tmp_path / "net.onnx", *nodes, **weights, bad=bad)

    with pytest.raises(ModelError, match=message):
        read_onnx(path)


class ChannelsLast(nn.Module):
    """A network as Keras has it; ``end`` says how its map becomes a row."""

    def __init__(self, end: str) -> None:
        super().__init__()
        self.end = end
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Linear(4 if end == "mean" else 4 * 24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first((x * 2 - 1).permute(0, 3, 1, 2)))
        x = x.permute(0, 2, 3, 1)
        y = self.second(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = torch.relu(y + x)
        rows = {
            "flatten": lambda: x.flatten(1),
            "reshape": lambda: x.reshape(-1, 96),
            "mean": lambda: x.mean((1, 2)),
        }
        output: torch.Tensor = self.last(rows[self.end]())
        return output.softmax(1)


@pytest.mark.parametrize("end", ["flatten", "reshape", "mean"])
def test_exports_with_channels_last(
    tmp_path: Path, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    path = export(tmp_path / "net.onnx", ChannelsLast(end), (6, 8, 3))
    x = images((6, 8, 3))

    graph = read_onnx(path)

    assert graph.input.shape == (3, 6, 8)
    assert "come last in the file" in caplog.text
    assert "Softmax behind the outputs is dropped" in caplog.text
    found = ours(graph, np.moveaxis(x, -1, 1))
    shares = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, theirs(path, x), rtol=1e-4)


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_what_leaves_the_largest_output_the_largest_is_dropped_and_said(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    gemm = op("Gemm", "x", "w", to="a")
    bare = read_onnx(build(tmp_path / "bare.onnx", op("Gemm", "x", "w"), w=MATRIX))
    assert not caplog.text

    graph = read_onnx(build(tmp_path / "net.onnx", gemm, op(kind, "a"), w=MATRIX))

    assert f"{kind} behind the outputs is dropped" in caplog.text
    x = images((4,))
    np.testing.assert_array_equal(ours(graph, x), ours(bare, x))


def test_channels_last_are_refused_where_they_would_be_mixed_up(tmp_path: Path) -> None:
    class Mixed(ChannelsLast):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.first(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            return torch.relu(y.reshape(-1, 4, 6, 4))

    path = export(tmp_path / "net.onnx", Mixed("flatten"), (6, 8, 3))

    with pytest.raises(ModelError, match=r"turns \(4, 4, 6\) into \(4, 6, 4\)|last"):
        read_onnx(path)


def test_outputs_have_names_and_inputs_a_shape(tmp_path: Path) -> None:
    path, gemm = tmp_path / "net.onnx", op("Gemm", "x", "w")
    second = op("Relu", "y", to="z")

    both = read_onnx(build(path, gemm, second, outputs=("y", "z"), w=MATRIX))
    assert [head.name for head in both.heads] == ["y", "z"]
    with pytest.raises(ModelError, match=r"has shape \(n, width\); give a batch"):
        read_onnx(build(path, gemm, shape=("n", "width"), w=MATRIX))


def test_broken_files_are_refused(tmp_path: Path) -> None:
    path = build(tmp_path / "net.onnx", op("Gemm", "x", "w"), w=MATRIX)
    whole = path.read_bytes()

    for n in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:n])
        with pytest.raises(ModelError, match="not a valid ONNX model"):
            read_onnx(path)
    with pytest.raises(ModelError, match="no such file"):
        read_onnx(tmp_path / "missing.onnx")


def external(path: Path, location: str, shape: tuple[int, ...] = (4, 3)) -> Path:
    build(path, op("Gemm", "x", "w"), w=MATRIX)
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.ClearField("dims")
    tensor.dims.extend(shape)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_in_other_files_are_read_from_the_folder_only(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(np.float32(MATRIX).tobytes())
    (tmp_path / "secret.bin").write_bytes(np.float32(MATRIX).tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    path = folder / "net.onnx"

    graph = read_onnx(external(path, "w.bin"))

    weight: Any = graph.output.weight  # type: ignore[attr-defined]
    np.testing.assert_allclose(weight, MATRIX.T, rtol=1e-6)
    for location in ("../secret.bin", "/etc/passwd", "link.bin", "w/../../secret.bin"):
        with pytest.raises(ModelError, match="outside of the model's folder"):
            read_onnx(external(path, location))
    with pytest.raises(ModelError, match=r"'gone.bin', which is missing"):
        read_onnx(external(path, "gone.bin"))


def test_weights_that_declare_more_than_there_is_are_refused(tmp_path: Path) -> None:
    path = external(tmp_path / "net.onnx", "w.bin", (10**5, 10**5))

    with pytest.raises(ModelError, match=r"declares shape \(100000, 100000\)"):
        read_onnx(path)
    model = onnx.load(build(path, op("Gemm", "x", "w"), w=MATRIX))
    model.graph.initializer[0].dims[:] = [400, 300]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="not a valid ONNX model"):
        read_onnx(path)


def test_relus_get_the_percentile_of_what_they_give(tmp_path: Path) -> None:
    model, shape = networks()["convolutions"]
    graph = read_onnx(export(tmp_path / "net.onnx", normed(model), shape))
    x = images(shape, n=50)

    balanced = balance(graph, x.astype(np.uint8), percentile=99.0)

    (relu,) = needs_balance(graph)
    with torch.no_grad():
        first = nn.Sequential(*list(model.children())[:3])
        values = first(torch.as_tensor(x / 255, dtype=torch.float32))
    positive = values[values > 0].double().numpy()
    wanted = np.quantile(positive, 0.99, method="higher")
    assert balanced.node(relu.name).maximum == pytest.approx(wanted, rel=1e-5)  # type: ignore[attr-defined]
    assert balanced.used_inputs.tolist() == sorted(input_hashes(x).tolist())
    assert not needs_balance(balanced)


def test_balancing_on_nothing_useful_is_refused(tmp_path: Path) -> None:
    dead = nn.Linear(4, 3)
    nn.init.constant_(dead.bias, -100)
    model = nn.Sequential(dead, nn.ReLU(), nn.Linear(3, 2))
    graph = read_onnx(export(tmp_path / "net.onnx", model, (4,)))
    x = images((4,), 3) / 255

    with pytest.raises(ModelError, match="gives nothing over 0 on the 3 inputs"):
        balance(graph, x)
    with pytest.raises(ModelError, match="a percentile of 0"):
        balance(graph, x, percentile=0)
    with pytest.raises(ModelError, match=r"inputs of shape \(3, 3\) to balance on"):
        balance(graph, x[:, :3])
