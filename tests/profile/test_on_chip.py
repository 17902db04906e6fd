"""A network that decides by itself, from its calibration to what it costs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import snn_deploy as sd
from snn_deploy.backends.registry import open_backend
from snn_deploy.compiler.lower.decide import decide
from snn_deploy.cutoff.restarting import Restarting
from snn_deploy.cutoff.serve import serve
from snn_deploy.errors import ArtifactError, CalibrationError, FitError
from snn_deploy.front.inputs import as_data
from snn_deploy.front.network import Network
from snn_deploy.ir.graph import Functional
from snn_deploy.profile.calibrating import decided_on_chip
from snn_deploy.profile.profile import profile_inputs
from snn_deploy.profile.schedules import on_schedules, remarks
from snn_deploy.report.headline import headline
from tests.build import TRAINING, chain, integrator, lif, linear, rng
from tests.report.reading import words

SHAPE = (12,)
N = 300


@pytest.fixture(scope="module")
def network() -> Network:
    hidden = lif("hidden", (20,), threshold=np.array(0.4))
    model = chain(
        linear("w", 12, 20),
        hidden,
        linear("v", 20, 4),
        integrator("out", (4,)),
        training=replace(TRAINING, functional=Functional.LAST),
    )
    net = sd.compile(model)
    net.calibrate(*inputs(0), budget=0.05, progress=False)
    return net


def inputs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = rng(seed)
    y = draw.integers(0, 4, N)
    x = draw.uniform(0, 0.6, (N, 12))
    x[np.arange(N), 3 * y] += 0.4
    return x, y


def test_it_answers_like_the_host_and_is_read_once(network: Network) -> None:
    decided = network.on_chip()
    x, y = inputs(1)
    here = network.profile(x, y, progress=False).profile
    there = decided.profile(x, y, progress=False).profile
    for name in ("prediction", "timesteps"):
        wanted = here.rows.column(name).tolist()
        assert there.rows.column(name).tolist() == wanted
    assert len({*here.rows.column("timesteps").tolist()}) > 2
    assert (there.n_polls(there.rows.column("timesteps")) == 1).all()
    depths = [n.artifact.network.graph.depth for n in (network, decided)]
    assert depths[1] - depths[0] == 2
    # all timesteps give the same, so nothing can be said of what is lost
    assert (
        there.fixed_rows.column("prediction") == there.rows.column("prediction")
    ).all()
    assert there.at_fixed is None
    assert here.at_fixed is not None
    summary = decided.profile(x, y, progress=False).summary
    assert summary["accuracy_lost"] is None
    assert on_schedules(summary) == [
        line for line in remarks(summary) if "chip decides" in line
    ]


def test_the_report_does_not_say_that_nothing_is_lost(network: Network) -> None:
    x, y = inputs(1)
    found = network.on_chip().profile(x[:20], y[:20], progress=False)

    text = words(headline(found.profile, found.summary))

    assert "The chip decides, so that later timesteps change no answer" in text
    assert "Answers that differ" not in text
    assert " % against " not in text


def test_it_keeps_the_promise_and_its_file(network: Network, tmp_path: Path) -> None:
    decided = network.on_chip()
    before, after = network.calibration, decided.calibration
    assert before is not None
    assert after is not None
    assert after.lines[1] == before.lines[1]
    assert "on-chip" in after.lines[0]
    decided.save(tmp_path / "d.snn")
    again = sd.load(tmp_path / "d.snn")
    assert again.artifact.sha256 == decided.artifact.sha256
    assert again.calibration is not None
    assert again.calibration.found_by == "risk"


def test_silence_changes_no_answer_and_saves_spikes(network: Network) -> None:
    x, _ = inputs(2)
    found = []
    for silences in (False, True):
        profile = network.on_chip(silences=silences).profile(x, progress=False).profile
        found.append(profile.fixed_rows)
    plain, silent = found
    assert plain.column("prediction").tolist() == silent.column("prediction").tolist()
    spikes = [rows.column("spikes").mean() for rows in found]
    assert spikes[1] < spikes[0]


def test_what_it_is_not_for_is_refused(network: Network) -> None:
    x, y = inputs(3)
    decided = network.on_chip()
    with pytest.raises(CalibrationError, match="hold the rule risk already"):
        decided.calibrate(x, y, progress=False)
    with pytest.raises(ArtifactError, match="hold the rule risk"):
        decided.verify(x, model=network.graph, progress=False)
    with pytest.raises(CalibrationError, match="calibrate it"):
        sd.compile(network.graph).on_chip()
    assert decided.calibration is not None
    with pytest.raises(CalibrationError, match="the chip decides by itself: nobody"):
        decided.calibration.polled_every(2)


def test_a_stream_may_not_end_before_the_chip_decides(network: Network) -> None:
    artifact = network.on_chip().artifact
    graph, found = artifact.network.graph, artifact.calibration
    assert found is not None
    data = as_data(inputs(1)[0][:2], None, graph)
    shorter = replace(data, lengths=np.array([graph.training.timesteps, 2]))
    machine = Restarting(lambda: open_backend("cpu").load(artifact.network))
    decisions = serve(machine, artifact.network, found, [("a", data), ("b", shorter)])

    assert [next(decisions).index for _ in range(2)] == [0, 1]
    with pytest.raises(CalibrationError, match="an input lasts 2 timesteps"):
        next(decisions)
    machine.close()


def test_an_audit_that_could_lose_nothing_is_refused(network: Network) -> None:
    artifact = network.on_chip().artifact
    found = artifact.calibration
    assert found is not None
    data = as_data(*inputs(1), artifact.network.graph)
    cpu = open_backend("cpu")
    machine = Restarting(lambda: cpu.load(artifact.network))

    with pytest.raises(CalibrationError, match="audit the network it was made of"):
        next(serve(machine, artifact.network, found, [("a", data)], audit=0.5))
    with pytest.raises(CalibrationError, match="audit the network it was made of"):
        profile_inputs(
            artifact, cpu, data, cutoff=found.cutoff, calibration=found, audit=0.5
        )


def test_a_head_of_its_own_name_is_decided(network: Network) -> None:
    graph = network.artifact.network.graph
    head = replace(graph.head, name="digit")
    training = replace(graph.training, heads=(head,), answers="digit")
    named = replace(graph, training=training)

    decided = decide(named, np.full(graph.training.timesteps, 5.0))

    assert decided.head.n_outputs == 4


def test_rules_that_are_no_threshold_are_refused(network: Network) -> None:
    x, y = inputs(0)
    other = sd.compile(network.graph)
    other.calibrate(x, y, rule="risk", score="entropy", budget=0.05, progress=False)
    with pytest.raises(CalibrationError, match="no threshold on the gap"):
        other.on_chip()
    other.calibrate(x, y, rule="fixed", at=2, progress=False)
    with pytest.raises(FitError, match="infinite"):
        other.on_chip()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"voltage_decay": np.array(100)}, "it leaks"),
        ({"takes_bias": True}, "not the sum of its inputs"),
        ({"lowest_voltage": np.array(-300)}, "not the sum of its inputs"),
        (
            {"bias_mantissa": np.array(4000), "bias_exponent": 7},
            "over what a relay can",
        ),
        ({"initial_voltage": np.array(8_300_000)}, "reach the limits"),
    ],
)
def test_sums_that_are_not_exact_are_refused(
    network: Network, changes: dict[str, Any], message: str
) -> None:
    graph = network.artifact.network.graph
    readout = replace(graph.readout, **changes)
    populations = (*graph.populations[:-1], readout)
    other = replace(graph, populations=populations)
    with pytest.raises(FitError, match=message):
        decide(other, np.full(graph.training.timesteps, 5.0))


@pytest.mark.parametrize(
    ("betas", "message"),
    [
        ([np.inf, 3, 3, 3, 3, 3], "infinite"),
        ([5, 3, 2, 2, 2, 0], "not one"),
        ([-1, -1, -1, -1, -1, -1], "not one"),
        ([2**25] * 6, "fit"),
    ],
)
def test_thresholds_that_no_neuron_holds_are_refused(
    network: Network, betas: list[float], message: str
) -> None:
    with pytest.raises(FitError, match=message):
        decide(network.artifact.network.graph, np.array(betas, float))


def test_targets_without_graded_spikes_refuse_sums(network: Network) -> None:
    artifact = network.artifact
    precision = replace(artifact.network.target.precision, graded_spikes=False)
    target = replace(artifact.network.target, precision=precision)
    moved = replace(artifact, network=replace(artifact.network, target=target))
    with pytest.raises(FitError, match="no graded spikes"):
        decided_on_chip(moved)


def test_many_classes_are_refused_before_their_neurons_are_made() -> None:
    outputs = chain(
        linear("v", 12, 300),
        integrator("out", (300,)),
        training=replace(TRAINING, functional=Functional.LAST),
    )
    graph = sd.compile(outputs).artifact.network.graph
    with pytest.raises(FitError, match="89700 neurons"):
        decide(graph, np.full(graph.training.timesteps, 5.0))
