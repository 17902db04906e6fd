"""monitor: every rule stops a machine where it stops the outputs of a full run."""

from functools import cache

import numpy as np
import pytest

from snn_deploy.arrays import BoolArray, IntArray
from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends.protocol import Program
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.calibrate import calibrate
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.monitor import collect_scores, run_inputs, watch_input
from snn_deploy.cutoff.oracle import gaps
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.cutoff.rules.rule import Settings, rules
from snn_deploy.cutoff.thresholds import stops
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import load_split
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model

N = 120


@cache
def loaded(name: str) -> tuple[Artifact, Program, Evidence, Data]:
    graph = load_model(packaged_folder("models") / name / "model.pt")
    artifact = pack(compile_model(graph, read_target("loihi-sim")))
    program = open_backend("cpu").load(artifact.network)
    part = load_split("mnist5k").calibration
    data = Data(x=part.x[:N], y=part.y[:N], training=graph.training)
    seen = Evidence(
        scores=collect_scores(program, artifact.network, data.stimuli()),
        labels=data.y,
        graph=artifact.network.graph,
        network_sha256=artifact.sha256,
        inputs_sha256=data.sha256,
    )
    return artifact, program, seen, data


@pytest.mark.parametrize("poll", [1, 3])
@pytest.mark.parametrize("rule", rules())
@pytest.mark.parametrize("name", ["mnist_counts", "mnist_lif"])
def test_a_rule_stops_the_engine_where_it_stops_in_python(
    name: str, rule: str, poll: int
) -> None:
    artifact, program, seen, data = loaded(name)
    settings = Settings(rule=rule, at=2, budget=0.05, poll=poll)
    found = calibrate(seen, settings)

    results = list(run_inputs(program, artifact.network, data.stimuli(), found.cutoff))

    in_python = stops(seen.scores, found.cutoff)
    assert [r.timesteps for r in results] == in_python.tolist()
    assert found.taken(in_python).mean() == found.mean_timesteps
    depth = artifact.network.graph.depth
    for result, scores in zip(results, seen.scores, strict=True):
        np.testing.assert_array_equal(result.scores, scores[: result.timesteps])
        assert result.chip_timesteps == result.timesteps + depth
        assert result.activity.n_chip_timesteps == result.chip_timesteps


def test_a_rule_of_ones_own_is_a_function() -> None:
    artifact, program, seen, data = loaded("mnist_counts")

    def leads_twice(scores: IntArray, timestep: int) -> BoolArray:
        first = scores.max(axis=-1)
        leads: BoolArray = (first >= 2) & (first >= 2 * (first - gaps(scores)))
        return leads

    results = run_inputs(program, artifact.network, data.stimuli(), leads_twice)

    expected = stops(seen.scores, leads_twice)
    assert [r.timesteps for r in results] == expected.tolist()
    assert 1 < np.mean(expected) < 16


def test_watching_shows_the_outputs_until_the_stop() -> None:
    artifact, program, seen, data = loaded("mnist_counts")
    expected = stops(seen.scores, risk(2))

    for index in (0, 1, 5):
        shown = list(
            watch_input(program, artifact.network, data.stimulus(index), risk(2))
        )

        assert len(shown) == expected[index]
        np.testing.assert_array_equal(shown, seen.scores[index, : len(shown)])


def test_watching_may_end_before_the_input_does() -> None:
    artifact, program, seen, data = loaded("mnist_counts")
    watched = watch_input(program, artifact.network, data.stimulus(0), never)

    first = next(watched)
    watched.close()

    np.testing.assert_array_equal(first, seen.scores[0, 0])
