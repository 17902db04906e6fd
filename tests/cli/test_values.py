"""The commands, on a network whose outputs are values."""

import json
from pathlib import Path

import numpy as np
import pytest

import snn_deploy as sd
from snn_deploy.arrays import FloatArray
from snn_deploy.artifact import pack
from snn_deploy.compiler.pipeline import compile_model
from tests.build import chain, lif, linear, simulator
from tests.cli.conftest import Command


@pytest.fixture(scope="module")
def network() -> sd.Network:
    graph = chain(linear("fc1", 6, 8), lif("a", (8,)), linear("fc2", 8, 2))
    return sd.Network(pack(compile_model(graph, simulator())), graph)


@pytest.fixture(scope="module")
def x() -> FloatArray:
    return np.random.default_rng(0).integers(0, 256, (8, 6)) / 255


@pytest.fixture(scope="module")
def wanted(network: sd.Network, x: FloatArray) -> FloatArray:
    return np.array([network(one).values for one in x]) + 0.01


def test_commands_print_units_beside_integers(
    command: Command,
    network: sd.Network,
    x: FloatArray,
    wanted: FloatArray,
    tmp_path: Path,
) -> None:
    path, data = tmp_path / "net.snn", tmp_path / "data.npz"
    network.save(path)
    np.savez(data, x=x, y=wanted)
    asked = ("run", path, "--data", data)

    found = json.loads(command(*asked, "--json").out)
    table, watched = command(*asked).out, command(*asked, "--watch").out

    np.testing.assert_allclose(found["values"], network(x[0]).values)
    assert (found["prediction"], found["label"]) == (None, None)
    np.testing.assert_allclose(found["targets"], wanted[0])
    shown = " ".join(f"{value:.6g}" for value in found["values"])
    integers = " ".join(map(str, found["scores"][-1]))
    assert f"outputs {integers}, values and no class" in table
    assert f"{shown} (should be " in table
    assert f"outputs {integers}, in the network's units {shown}" in watched
    profiled = command("profile", path, "--data", data, "-o", tmp_path / "p").out
    assert " MSE " in profiled
    assert "accuracy" not in profiled
    refused = command("calibrate", path, "--data", data).error()
    assert "y holds values" in refused
