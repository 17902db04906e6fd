"""The chip that decides: its one spike is the host's answer at the host's timestep."""

from dataclasses import replace

import numpy as np
import pytest

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.lava.backend import LavaBackend
from snn_deploy.backends.lava.compat import import_lava
from snn_deploy.backends.protocol import Backend
from snn_deploy.backends.registry import open_backend
from snn_deploy.compiler.lower.decide import decide
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.compiler.retarget import retarget
from snn_deploy.cutoff.decision import GapCutoff, never
from snn_deploy.cutoff.monitor import collect_scores, run_inputs
from snn_deploy.cutoff.oracle import answers, gaps
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.cutoff.thresholds import stops
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import load_split
from snn_deploy.errors import BackendError
from snn_deploy.front.network import reference_model
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.graph import Functional, Training
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Encoding
from tests.build import dense, integers, population, rng, simulator, trains

N = 8  # inputs of a network
SEEDS = range(24)
MORE_SEEDS = range(24, 200)


def _drawn(seed: int) -> tuple[QuantizedGraph, FloatArray]:
    """Return a network of few neurons, and thresholds; small weights make ties."""
    draw = rng(seed)
    k, n_hidden = int(draw.integers(2, 7)), int(draw.integers(2, 9))
    n_timesteps, largest = int(draw.integers(2, 10)), int(draw.choice([4, 30, 254]))
    is_counted = bool(seed % 2)

    def weights(*shape: int) -> IntArray:
        return 2 * draw.integers(-largest // 2, largest // 2 + 1, shape)

    hidden = population("hidden", (n_hidden,), threshold=np.array(2), reset=Reset.SOFT)
    hidden = replace(hidden, reset_amount=np.array(100))
    changes = {
        "spikes": is_counted,
        "voltage_decay": np.array(0),
        "bias_mantissa": draw.integers(-9, 10, k),
        "bias_exponent": int(draw.integers(0, 8)),
        "initial_voltage": draw.integers(-200, 200, k),
    }
    if is_counted:
        most = int(draw.choice([1, 5]))
        changes |= {"max_spikes": most, "reset": Reset.SOFT}
        changes["reset_amount"] = np.array(64)
    exponent = int(draw.integers(-2, 3))
    functional = Functional.SUM if is_counted else Functional.LAST
    graph = integers(
        [hidden, population("out", (k,), **changes)],
        [
            dense("input", "hidden", weights(n_hidden, 5)),
            dense("hidden", "out", weights(k, n_hidden), exponent=exponent),
        ],
        shape=(5,),
        training=Training(
            timesteps=n_timesteps, encoding=Encoding.EVENTS, functional=functional
        ),
    )
    beta = (
        float(draw.choice([0, 1, 2])) if is_counted else float(draw.integers(0, 3000))
    )
    fall = int(draw.integers(0, 3)) if is_counted else 0
    return graph, beta + fall * np.arange(n_timesteps)[::-1]


def _compare(seed: int, backend: Backend, n: int = N) -> int:
    """Check the inputs of a network; return how many of them stop early."""
    graph, betas = _drawn(seed)
    target = simulator()
    before = retime(graph, target)
    stimuli = [*enumerate(trains(n, graph.training.timesteps, (5,), seed))]
    plain = retarget(before, target, goal="cores")
    cpu = open_backend("cpu")
    scores = collect_scores(cpu.load(plain), plain, stimuli)
    rule = GapCutoff(lambda t: float(betas[t - 1]))
    wanted = stops(scores, rule)
    answer = answers(scores)[np.arange(n), wanted - 1]

    decided = decide(before, betas, silences=seed % 3 == 0)
    network = retarget(decided, target, goal="cores")
    program = backend.load(network)
    try:
        found = [*run_inputs(program, network, stimuli, risk(0.0))]
        assert [r.timesteps for r in found] == wanted.tolist()
        assert [r.prediction for r in found] == answer.tolist()
        # it spikes once, whatever comes behind
        for result in run_inputs(program, network, stimuli, never):
            spikes = np.diff(result.scores, axis=0, prepend=0)
            at = int(wanted[result.index]) - 1
            assert np.argwhere(spikes).tolist() == [[at, answer[result.index]]]
            assert result.activity.saturations == 0
    finally:
        program.close()
    return int((wanted < graph.training.timesteps).sum())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_spike_is_the_answer_of_the_host(seed: int) -> None:
    _compare(seed, open_backend("cpu"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", MORE_SEEDS)
def test_more_networks(seed: int) -> None:
    _compare(seed, open_backend("cpu"))


def test_the_drawn_networks_stop_and_tie() -> None:
    """Else the tests above would prove little."""
    n_early = n_ties = n_late = 0
    for seed in SEEDS:
        graph, betas = _drawn(seed)
        network = retarget(retime(graph, simulator()), simulator(), goal="cores")
        stimuli = [*enumerate(trains(N, graph.training.timesteps, (5,), seed))]
        scores = collect_scores(open_backend("cpu").load(network), network, stimuli)
        settled = (gaps(scores) > betas)[:, :-1].any(axis=1)
        n_early += int(settled.sum())
        n_late += int((~settled).sum())
        n_ties += int((gaps(scores)[~settled, -1] == 0).sum())
    assert min(n_early, n_late) > 30
    assert n_ties > 10


@pytest.mark.parametrize("name", ["mnist_lif", "mnist_qcfs", "mnist_counts"])
def test_the_digits_of_trained_networks_are_decided_alike(name: str) -> None:
    network = compile_model(
        load_model(reference_model(name)), simulator(), optimize="cores"
    )
    part = load_split("mnist5k").test
    data = Data(x=part.x, y=part.y, training=network.graph.training)
    stimuli = [*data.stimuli()]
    cpu = open_backend("cpu")
    scores = collect_scores(cpu.load(network), network, stimuli)
    beta = float(np.quantile(gaps(scores)[:, 1], 0.3))
    wanted = stops(scores, risk(beta))
    betas = np.full(network.graph.training.timesteps, beta)
    decided = retarget(decide(network.graph, betas), simulator(), goal="cores")
    found = [*run_inputs(cpu.load(decided), decided, stimuli, risk(0.0))]
    assert [r.timesteps for r in found] == wanted.tolist()
    answer = answers(scores)[np.arange(len(scores)), wanted - 1]
    assert [r.prediction for r in found] == answer.tolist()
    assert len(np.unique(wanted)) > 3


@pytest.mark.parametrize("seed", [0, 1])
def test_the_reference_decides_alike(seed: int) -> None:
    _compare(seed, open_backend("reference"))


@pytest.mark.parametrize("seed", [2, 3])
def test_lava_decides_alike(seed: int) -> None:
    try:
        import_lava()
    except BackendError as error:
        pytest.skip(str(error))
    _compare(seed, LavaBackend(), n=2)
