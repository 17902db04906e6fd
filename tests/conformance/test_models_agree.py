"""The trained models give the same on cpu and on Lava, at every timestep."""

from pathlib import Path

import pytest

from snn_deploy.artifact import read_artifact
from snn_deploy.backends.lava.backend import LavaBackend
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.data.data import read_data
from tests.conformance.replay import MODELS, check, record


def test_trained_models_give_the_same_on_cpu_and_lava(tmp_path: Path) -> None:
    pytest.importorskip("lava", reason="lava is not installed", exc_type=ImportError)
    record(tmp_path)

    lines = check(tmp_path)

    assert len(lines) == len(MODELS)


def test_lava_executes_nothing_after_the_timestep_that_the_monitor_names(
    tmp_path: Path,
) -> None:
    pytest.importorskip("lava", reason="lava is not installed", exc_type=ImportError)
    record(tmp_path)
    network = read_artifact(tmp_path / "mnist_counts.snn").network
    graph = network.graph
    data = read_data(tmp_path / "digits.npz", graph.source.shape, graph.training)
    program = LavaBackend().load(network)
    stopped = []
    try:
        for index in range(10):
            (result,) = run_inputs(
                program, network, [(index, data.stimulus(index))], risk(1)
            )
            stopped.append(result.timesteps)
            assert program.session is not None
            executed = {n for _, n in program.session.executed}
            assert executed == {result.timesteps + graph.depth}
    finally:
        program.close()
    assert len(set(stopped)) > 1  # some later than others
