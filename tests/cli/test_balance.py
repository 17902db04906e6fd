"""compile --balance-on: what a conversion costs, and inputs that are used up by it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.build import rng
from tests.cli.conftest import Command

N, N_IN, N_HIDDEN, N_OUT = 120, 12, 40, 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a perceptron, and inputs labelled with its own answers."""
    draw = rng(4)
    weights = {
        "first": draw.normal(size=(N_IN, N_HIDDEN)) / np.sqrt(N_IN),
        "second": draw.normal(size=(N_HIDDEN, N_OUT)) / np.sqrt(N_HIDDEN),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "second"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", N_IN])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", N_OUT])],
        [
            numpy_helper.from_array(value.astype(np.float32), name)
            for name, value in weights.items()
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset), tmp_path / "net.onnx")
    x = draw.integers(0, 256, (N, N_IN)).astype(np.uint8)
    y = (np.maximum(x / 255 @ weights["first"], 0) @ weights["second"]).argmax(axis=1)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    np.savez(tmp_path / "bare.npz", x=x)
    return tmp_path


def test_gap_is_printed_by_timesteps_and_falls(command: Command, folder: Path) -> None:
    result = command(
        "compile", folder / "net.onnx", "--target", "loihi-sim", "--timesteps", 16,
        "--balance-on", folder / "data.npz", "-o", folder / "net.snn",
    )  # fmt: skip

    assert result.status == 0
    first, *rows = (
        line for line in result.out.splitlines() if line.startswith(("conv", "  T"))
    )
    shares = {int(row.split()[1]): float(row.split()[2][:-1]) for row in rows}
    assert f"{N} inputs of {folder / 'data.npz'}: 100.0% right before" in first
    assert list(shares) == [1, 2, 4, 8, 16]
    assert shares[16] > 90
    assert shares[16] > shares[1]


def test_without_labels_there_is_no_gap(command: Command, folder: Path) -> None:
    result = command(
        "compile", folder / "net.onnx", "--target", "loihi-sim", "--timesteps", 4,
        "--balance-on", folder / "bare.npz", "-o", folder / "net.snn",
    )  # fmt: skip

    assert result.status == 0
    assert "right before" not in result.out


def test_inputs_of_the_conversion_do_not_calibrate(
    command: Command, folder: Path
) -> None:
    command(
        "compile", folder / "net.onnx", "--target", "loihi-sim", "--timesteps", 4,
        "--balance-on", folder / "data.npz", "-o", folder / "net.snn",
    )  # fmt: skip
    before = (folder / "net.snn").read_bytes()

    result = command("calibrate", folder / "net.snn", "--data", folder / "data.npz")

    assert (
        f"{N} of {N} calibration inputs are exact copies of ones used to train"
        in result.error()
    )
    assert (folder / "net.snn").read_bytes() == before


def test_relus_without_inputs_to_balance_on_are_refused(
    command: Command, folder: Path
) -> None:
    result = command(
        "compile", folder / "net.onnx", "--target", "loihi-sim", "--timesteps", 4
    )

    assert "--balance-on" in result.error()
