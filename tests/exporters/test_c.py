"""Networks as C: outputs, spikes and stops of all timesteps are those of the engine."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn_deploy.arrays import IntArray
from snn_deploy.artifact import pack
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.calibrate import calibrate
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.oracle import gaps
from snn_deploy.cutoff.rules.rule import Settings
from snn_deploy.errors import CalibrationError, FitError
from snn_deploy.exporters.c.folder import Limits
from snn_deploy.exporters.c.vector import drawn_stimuli
from snn_deploy.exporters.c.vector import run as run_reference
from snn_deploy.files.writing import packaged_folder
from snn_deploy.front.exporting import decision_of, export_c
from snn_deploy.front.network import Network
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.graph import Functional, Training
from snn_deploy.ir.heads import Head, HeadKind
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Encoding, Stimulus
from tests.build import dense, integers, population, rng, trains
from tests.conformance.networks import ROOMY, Case, cases
from tests.conformance.tally import examples
from tests.exporters.compiled_c import (
    CHECKED,
    COMPILERS,
    Exported,
    Given,
    assert_equal,
    build,
    engine_gives,
    export,
    one_core_each,
    run,
    stops_at,
)

pytestmark = pytest.mark.skipif(not COMPILERS, reason="neither gcc nor clang is here")


def drawn(n: int) -> list[Exported]:
    """Return random networks, the same in every run, with random thresholds."""
    found: list[Exported] = []

    @examples(n, shrinks=False)
    @given(case=cases(n_stimuli=3, max_timesteps=10), data=st.data())
    def collect(case: Case, data: st.DataObject) -> None:
        graph = retime(case.graph, ROOMY)
        functional = data.draw(st.sampled_from(Functional))
        training = replace(graph.training, functional=functional)
        rng = np.random.default_rng(len(found))
        size = rng.choice([0, 1, 1000, 1 << 20])
        betas = rng.integers(-1, 5, case.n_timesteps) * float(size)
        betas[rng.random(case.n_timesteps) < 0.3] = np.inf
        found.append(
            Exported(
                graph=replace(graph, training=training),
                stimuli=case.stimuli,
                decision=stops_at(betas),
            )
        )

    collect()
    return found[:n]


def check(networks: list[Exported], folder: Path, *command: str) -> None:
    program = build(networks, folder, *command)
    for number, (network, found) in enumerate(
        zip(networks, run(program, networks), strict=True)
    ):
        assert_equal(found, engine_gives(network), f"network {number}")


def test_random_networks_give_what_the_engine_gives(tmp_path: Path) -> None:
    check(drawn(6), tmp_path, COMPILERS[0], "-O1", *CHECKED)


@dataclass(frozen=True, kw_only=True)
class Many:
    """Random networks in one folder, and what the engine gives of them."""

    networks: list[Exported]
    wanted: list[Given]
    folder: Path


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Many:
    networks = drawn(200)
    folder = tmp_path_factory.mktemp("many")
    return Many(
        networks=networks,
        wanted=[engine_gives(network) for network in networks],
        folder=folder,
    )


@pytest.mark.slow
@pytest.mark.parametrize("level", ["-O2", "-Os"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_200_random_networks_give_what_the_engine_gives(
    many: Many, compiler: str, level: str
) -> None:
    program = build(many.networks, many.folder, compiler, level, *CHECKED)

    found = run(program, many.networks)

    for number, pair in enumerate(zip(found, many.wanted, strict=True)):
        assert_equal(*pair, f"network {number}")


MODELS = (
    "mnist_counts",
    "mnist_lif",
    "mnist_netx",
    "mnist_qcfs",
    "nmnist_lif",
    "cifar10_small",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_trained_network_gives_what_the_engine_gives(
    tmp_path: Path, name: str
) -> None:
    model = load_model(packaged_folder("models") / name / "model.pt")
    graph = compile_model(model, read_target("loihi-sim")).graph
    stimuli = drawn_stimuli(graph, 4)
    scores = engine_gives(network_of(graph, stimuli, np.inf)).scores
    beta = float(np.median(gaps(scores)[:, :-1]))
    networks = [network_of(graph, stimuli, beta)]

    wanted = engine_gives(networks[0])
    for compiler, level in product(COMPILERS, ("-O2", "-Os")):
        program = build(networks, tmp_path, compiler, level, *CHECKED)
        (found,) = run(program, networks)
        assert_equal(found, wanted, f"{name} {compiler} {level}")
    assert len(np.unique(wanted.timesteps)) > 1


@pytest.mark.slow
def test_one_pass_of_graded_spikes_gives_what_the_engine_gives(tmp_path: Path) -> None:
    model = load_model(packaged_folder("models") / "mnist_qcfs" / "model.pt")
    graph = compile_model(model, read_target("loihi-sim"), one_pass=True).graph
    assert graph.largest_spike(graph.populations[0].name) > 1

    networks = [network_of(graph, drawn_stimuli(graph, 5), np.inf)]

    check(networks, tmp_path, COMPILERS[0], "-O1", *CHECKED)


def network_of(
    graph: QuantizedGraph, stimuli: Sequence[Stimulus], beta: float
) -> Exported:
    betas = np.full(graph.training.timesteps, beta)
    return Exported(graph=graph, stimuli=stimuli, decision=stops_at(betas))


N_TIMESTEPS = 6
RULES = (
    Settings(rule="risk", budget=0.3),
    Settings(rule="risk", budget=0.3, poll=2),
    Settings(rule="topk", budget=0.3),
    Settings(rule="fixed", at=4),
    Settings(rule="retry", at=2, budget=0.3),
    Settings(rule="certain"),
    Settings(rule="certain", poll=2),
)


def voter(functional: Functional = Functional.LAST) -> QuantizedGraph:
    """Return a network in which the lead grows by little in each timestep."""
    weights = 2 * rng(3).integers(-3, 20, (3, 5))
    out = population("out", (3,), spikes=False, voltage_decay=np.array(0))
    training = Training(
        timesteps=N_TIMESTEPS, encoding=Encoding.EVENTS, functional=functional
    )
    return integers(
        [out], [dense("input", "out", weights)], shape=(5,), training=training
    )


def evidence(graph: QuantizedGraph, scores: IntArray) -> Evidence:
    return Evidence(
        graph=graph,
        scores=scores,
        labels=scores[:, -1].argmax(axis=1),
        network_sha256="",
        inputs_sha256="",
        input_hashes=np.arange(len(scores)),
    )


def test_every_rule_on_the_gap_stops_where_the_host_does(tmp_path: Path) -> None:
    graph = voter()
    stimuli = trains(60, N_TIMESTEPS, (5,))
    seen = evidence(graph, run_reference(graph, stimuli, never).scores)
    networks = [
        Exported(
            graph=graph,
            stimuli=stimuli,
            decision=decision_of(calibrate(seen, settings), N_TIMESTEPS),
        )
        for settings in RULES
    ]

    program = build(networks, tmp_path, COMPILERS[0], "-O0", *CHECKED)

    for network, found in zip(networks, run(program, networks), strict=True):
        assert_equal(found, engine_gives(network), network.decision.words)
        assert 1 < found.timesteps.mean() < N_TIMESTEPS, network.decision.words


@pytest.mark.parametrize(
    "settings",
    [
        Settings(rule="confidence"),
        Settings(rule="spikecp"),
        Settings(rule="risk", score="entropy"),
    ],
)
def test_rules_that_need_a_softmax_are_refused(settings: Settings) -> None:
    graph = voter()
    scores = run_reference(graph, trains(60, N_TIMESTEPS, (5,)), never).scores
    found = calibrate(evidence(graph, scores), settings)

    with pytest.raises(CalibrationError, match=f"rule {settings.rule} .* a softmax"):
        decision_of(found, N_TIMESTEPS)


HOSTILE = (
    "*/ #error",
    "2",
    "n",
    "N",
    "layers",
    "??/",
    '"',
    "gr\u00fc\u00dfe",
    "int",
    "input_to_n",
)


def test_names_of_strangers_are_no_code(tmp_path: Path) -> None:
    """Each name is one in C, and nothing of it leaves a comment."""
    layers = [population(name, (2,)) for name in HOSTILE]
    ends = ["input", *HOSTILE]
    weights = [[40, -2], [20, 60]]
    wires = [dense(a, b, weights, exponent=3) for a, b in pairwise(ends)]
    network = Exported(
        graph=integers(layers, wires, shape=(2,), training=voter().training),
        stimuli=trains(2, N_TIMESTEPS, (2,)),
        decision=stops_at(np.full(N_TIMESTEPS, np.inf)),
    )

    check([network], tmp_path, COMPILERS[0], "-O0", *CHECKED)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            Limits(flash=100),
            r"integers: needs [\d,]+ bytes of flash, 100 are allowed; .*->out 15 bytes",
        ),
        (
            Limits(ram=40),
            r"integers: needs [\d,]+ bytes of RAM, 40 are allowed; .*out 12 bytes",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    tmp_path: Path, limits: Limits, message: str
) -> None:
    folder = tmp_path / "out"
    network = Exported(
        graph=voter(),
        stimuli=trains(1, N_TIMESTEPS, (5,)),
        decision=stops_at(np.ones(N_TIMESTEPS)),
    )

    with pytest.raises(FitError, match=message):
        export(network, folder, limits)

    assert not folder.exists()


def test_a_network_in_python_writes_the_same_folder(tmp_path: Path) -> None:
    artifact = pack(one_core_each(retime(voter(), ROOMY)))
    export_c(artifact, tmp_path / "one")

    sizes = Network(artifact).to_c(tmp_path / "two", ram=100)

    assert sizes.state == 44
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_the_readme_says_what_outputs_stand_for(tmp_path: Path) -> None:
    heads = (
        Head(name="digit", n_outputs=2, kind=HeadKind.CLASS),
        Head(name="angle", n_outputs=1, kind=HeadKind.VALUES, scale=0.5, is_mean=True),
    )
    graph = voter()
    training = Training(
        timesteps=N_TIMESTEPS,
        encoding=Encoding.DIRECT,
        functional=Functional.LAST,
        input_low=-1.5,
        heads=heads,
    )
    graph = replace(graph, training=training)

    export(network_of(graph, trains(1, N_TIMESTEPS, (5,)), np.inf), tmp_path)

    told = (tmp_path / "README.md").read_text()
    assert "Outputs 0 to 1 (digit): a class, the largest of them." in told
    assert "Outputs 2 to 2 (angle): values, 0.5 times the output in the" in told
    assert "divided by the timesteps so far" in told
    assert "take the largest of a class yourself" in told
    assert "What data hold from -1.5 to 1 is 0 to 255." in told
    assert "{{" not in "".join(path.read_text() for path in tmp_path.iterdir())


CALLER = """
#include "snn.h"
static snn_net net;
static snn_input input[SNN_TIMESTEPS * SNN_INPUTS];
int main() {
    int32_t timesteps;
    snn_reset(&net);
    while (!snn_is_settled(&net)) { snn_step(&net, input); }
    return snn_decide(&net, input, &timesteps) != snn_answer(&net);
}
"""


def one_folder(folder: Path) -> None:
    export(network_of(voter(), trains(1, N_TIMESTEPS, (5,)), np.inf), folder)


@pytest.mark.skipif(not shutil.which("g++"), reason="g++ is not here")
def test_a_program_in_cpp_calls_the_network(tmp_path: Path) -> None:
    one_folder(tmp_path)
    (tmp_path / "caller.cpp").write_text(CALLER)

    for command in (
        [COMPILERS[0], "-std=c99", "-c", "snn.c"],
        ["g++", "-Wall", "-Wextra", "-Werror", "caller.cpp", "snn.o", "-o", "caller"],
        ["./caller"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True)


@pytest.mark.skipif(not shutil.which("make"), reason="make is not here")
def test_make_size_is_that_of_the_compiler_asked_for(tmp_path: Path) -> None:
    one_folder(tmp_path)
    make = ["make", "-s", "-C", str(tmp_path), f"CC={COMPILERS[0]}"]

    subprocess.run([*make, "check"], check=True)
    small, large = (
        subprocess.run(
            [*make, "size", f"CFLAGS={flags}"],
            capture_output=True, text=True, check=True,
        ).stdout
        for flags in ("-std=c99 -Os", "-std=c99 -O3")
    )  # fmt: skip

    assert small != large
