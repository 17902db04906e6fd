"""What saturates and wraps is said by compile and counted by run and profile."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from snn_deploy.artifact import pack, write_artifact
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.ir.graph import Training
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding, Stimulus
from tests.build import chain, integrator, linear, simulator
from tests.cli.conftest import Command
from tests.compiler.test_scales import integrate_and_fire, weighted

T = 1500


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network whose inhibition saturates, and two inputs."""
    folder = tmp_path_factory.mktemp("limits")
    graph = chain(
        weighted("fc", np.array([[2.0, -1.937]])),
        integrate_and_fire("a", 1),
        weighted("out", np.array([[1.0], [-1.0]])),
        integrator("sum", (2,)),
        training=Training(timesteps=T, encoding=Encoding.EVENTS),
    )
    network = compile_model(graph, simulator())
    write_artifact(pack(network), folder / "net.snn")
    values = np.zeros((2, T, 2), np.int32)
    values[0, :700, 1] = values[0, 700:, 0] = values[1, :100, 0] = 1
    np.savez(folder / "data.npz", spikes=values, y=np.zeros(2, np.int64))
    return folder


@pytest.fixture(scope="module")
def n_saturations(folder: Path) -> int:
    """Return how often the reference saturates on the first input."""
    from snn_deploy.artifact import read_artifact

    graph = read_artifact(folder / "net.snn").network.graph
    with np.load(folder / "data.npz") as data:
        values = data["spikes"][0]
    simulation = Simulation(graph, [Stimulus(values=values, is_constant=False)])
    for _ in range(T):
        simulation.step()
    n = int(simulation.states["a"].saturations[0])
    assert n > 10
    return n


def test_inspect_lists_what_can_saturate(command: Command, folder: Path) -> None:
    result = command("inspect", folder / "net.snn")

    assert "saturate voltage" in result.out


def test_run_says_how_often_voltages_saturated(
    command: Command, folder: Path, n_saturations: int
) -> None:
    arguments = ("run", folder / "net.snn", "--data", folder / "data.npz")

    shown = " ".join(command(*arguments).out.split())
    found = json.loads(command(*arguments, "--json").out)
    watched = " ".join(command(*arguments, "--watch").out.split())

    said = f"a voltage saturated {n_saturations} times"
    assert said in shown
    assert (found["saturations"], found["wraps"]) == (n_saturations, 0)
    assert said in watched


def test_run_says_nothing_where_nothing_saturated(
    command: Command, folder: Path
) -> None:
    arguments = ("run", folder / "net.snn", "--data", folder / "data.npz", "--index", 1)

    assert "saturated" not in command(*arguments).out


def test_recording_says_which_layer_saturated(
    command: Command, folder: Path, n_saturations: int, tmp_path: Path
) -> None:
    data, trace = folder / "data.npz", tmp_path / "trace.npz"

    result = command(
        "run", folder / "net.snn", "--data", data, "--record", "spikes", "-o", trace
    )

    said = f"a: a voltage saturated {n_saturations} times"
    assert said in " ".join(result.err.split())
    with np.load(trace) as found:
        assert {name.split("/")[1] for name in found} == {"spikes"}


def test_recording_of_raw_counts_says_that_currents_wrapped(
    command: Command, tmp_path: Path
) -> None:
    training = Training(timesteps=10, encoding=Encoding.EVENTS)
    graph = chain(linear("fc", 64, 4), integrate_and_fire("a", 4), training=training)
    write_artifact(pack(compile_model(graph, simulator())), tmp_path / "net.snn")
    said: dict[int, str] = {}

    for most in (1, 4000):
        values = np.full((1, 10, 64), most)
        np.savez(tmp_path / "raw.npz", spikes=values)
        options = ("--data", tmp_path / "raw.npz", "-o", tmp_path / "trace.npz")
        arguments = ("run", tmp_path / "net.snn", "--record", "spikes", *options)
        said[most] = " ".join(command(*arguments).err.split())

    assert "wrapped" not in said[1]
    assert re.search(r"a: .*a current wrapped [\d,]+ times", said[4000])


def test_profile_counts_saturations_of_each_input(
    command: Command, folder: Path, n_saturations: int, tmp_path: Path
) -> None:
    options = ("--data", folder / "data.npz", "-o", tmp_path, "--cross-check", 0)

    result = command("profile", folder / "net.snn", *options)

    assert result.status == 0
    rows: list[dict[str, Any]] = pq.read_table(tmp_path / "inputs.parquet").to_pylist()
    assert [row["saturations"] for row in rows] == [n_saturations, 0]
    assert [row["wraps"] for row in rows] == [0, 0]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["limits"] == {
        "n_inputs": 1,
        "saturations": n_saturations,
        "wraps": 0,
        "layers": ["a"],
    }
    for name in ("serial", "streamed"):
        mean = summary["schedules"][name]["mean_saturations"]
        assert mean == n_saturations / 2
    said = f"a voltage saturated {n_saturations} times in 1 of 2 inputs"
    assert said in " ".join(result.out.split())
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert said[1:] in report  # with a capital there
