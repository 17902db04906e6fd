"""Regression: outputs in the trained network's units, and how far they are off."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import snn_deploy as sd
from snn_deploy.arrays import FloatArray
from snn_deploy.backends.registry import open_backend
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.convert import write_graph, write_integers
from snn_deploy.cutoff.monitor import collect_scores
from snn_deploy.data.data import Data
from snn_deploy.errors import CalibrationError, DataError
from snn_deploy.ir.floating import accumulate, evaluate
from snn_deploy.ir.graph import Functional, Graph
from snn_deploy.ir.stimuli import Stimulus, to_gray
from snn_deploy.nn.neurons import Qcfs
from snn_deploy.profile.profile import Schedule, profile_inputs
from snn_deploy.profile.rivals import fair
from snn_deploy.profile.sweep import Bench
from snn_deploy.profile.sweep_file import Sweep, Varied
from snn_deploy.report.units import number
from tests.build import TRAINING, chain, integrator, lif, linear, simulator

N, N_IN, T = 20, 12, 8


class Looped(nn.Module):
    """Goes through all timesteps, and makes one answer of them."""

    def __init__(self, answer: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(N_IN, 16), nn.Linear(16, 2)
        self.answer = answer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        voltage, outputs = torch.zeros(len(x), 16), []
        for _ in range(T):
            voltage = voltage + self.first(x)
            spikes = (voltage > 0.5).to(x.dtype)
            voltage = voltage - 0.5 * spikes
            outputs.append(self.last(spikes))
        return self.answer(torch.stack(outputs))


@pytest.fixture(scope="module")
def x() -> FloatArray:
    return np.random.default_rng(0).integers(0, 256, (N, N_IN)) / 255


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(N_IN, 16), Qcfs(8, 1.0), nn.Linear(16, 2)).double()


@pytest.fixture(scope="module")
def network(module: nn.Module) -> sd.Network:
    return sd.compile(module, input_shape=N_IN, timesteps=32)


@pytest.fixture(scope="module")
def wanted(module: nn.Module, x: FloatArray) -> FloatArray:
    found: FloatArray = module(torch.tensor(x)).detach().numpy()
    return found


def stimuli(x: FloatArray) -> list[Stimulus]:
    return [Stimulus(values=g[np.newaxis], is_constant=True) for g in to_gray(x)[0]]


def in_float(graph: Graph, x: FloatArray) -> FloatArray:
    """Return what the float graph answers, by its head."""
    (head,) = graph.heads
    last = accumulate(evaluate(graph, stimuli(x)), graph.training.functional)[:, -1]
    return last * head.scale / (graph.training.timesteps if head.is_mean else 1)


def on_chip(graph: Graph, x: FloatArray, **options: bool) -> FloatArray:
    """Return what the compiled graph answers, in the same units."""
    mapped = compile_model(graph, simulator(), **options)  # type: ignore[arg-type]
    program = open_backend("cpu").load(mapped)
    scores = collect_scores(program, mapped, enumerate(stimuli(x)))
    return mapped.graph.in_units(scores[:, -1], mapped.graph.training.timesteps)


def assert_close(found: FloatArray, expected: FloatArray, share: float) -> None:
    assert np.abs(found - expected).max() < share * np.ptp(expected)


@pytest.mark.parametrize(
    "answer",
    [
        lambda outputs: outputs.mean(0),
        lambda outputs: outputs.sum(0),
        lambda outputs: 0.5 * outputs.sum(0),
        lambda outputs: outputs.sum(0) / T,
        lambda outputs: 10 * outputs.mean(0),
    ],
    ids=["mean", "sum", "half a sum", "sum over T", "ten means"],
)
def test_a_forward_says_its_units(
    x: FloatArray, answer: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    looped = Looped(answer).double()
    graph = sd.compile(looped, input_shape=N_IN).graph
    assert graph is not None

    expected = looped(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(in_float(graph, x), expected, rtol=1e-6)
    assert_close(on_chip(graph, x), expected, 0.05)


def test_a_conventional_network_is_the_mean_of_its_timesteps(
    network: sd.Network, x: FloatArray, wanted: FloatArray
) -> None:
    found = np.array([network(one).values for one in x])

    assert_close(found, wanted, 0.1)
    assert network.graph is not None
    graph = replace(
        network.graph, training=replace(network.graph.training, timesteps=8)
    )
    assert_close(on_chip(graph, x, one_pass=True), wanted, 0.03)


def test_the_user_says_that_one_timestep_is_summed_or_averaged(x: FloatArray) -> None:
    module = nn.Sequential(nn.Linear(N_IN, 2))
    graphs = {
        how: sd.compile(module, input_shape=N_IN, timesteps=4, functional=how).graph
        for how in ("sum", "mean")
    }
    total, mean = (in_float(graph, x) for graph in graphs.values() if graph)

    np.testing.assert_allclose(total, 4 * mean)
    with pytest.raises(sd.errors.ModelError, match="'mean', but forward returns the s"):
        sd.compile(Looped(lambda o: o.sum(0)), input_shape=N_IN, functional="mean")


def read_outs() -> list[Graph]:
    last = replace(TRAINING, functional=Functional.LAST)
    hidden = linear("fc1", N_IN, 8), lif("hidden", (8,))
    leaky = integrator("leaky", (2,), voltage_decay=np.array(0.25))
    worth = lif("worth", (2,), spike_value=0.7)
    return [
        chain(*hidden, linear("fc2", 8, 2), leaky, training=last),
        chain(*hidden, linear("fc2", 8, 2), worth),
        chain(*hidden, linear("fc2", 8, 2)),
    ]


@pytest.mark.parametrize("is_last", [True, False], ids=["spikes", "voltages"])
@pytest.mark.parametrize("functional", ["sum", "mean"])
def test_one_pass_keeps_the_units(
    x: FloatArray, functional: str, is_last: bool
) -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(N_IN, 16), Qcfs(8, 1.0)]
    if not is_last:
        layers.append(nn.Linear(16, 2))
    module = nn.Sequential(*layers).double()
    graph = sd.compile(
        module, input_shape=N_IN, timesteps=16, functional=functional
    ).graph
    assert graph is not None
    expected = module(torch.tensor(x)).detach().numpy()
    if functional == "sum":
        expected = 16 * expected

    assert_close(on_chip(graph, x, one_pass=True), expected, 0.13)
    assert_close(on_chip(graph, x), expected, 0.13)


@pytest.mark.parametrize("graph", read_outs(), ids=lambda graph: graph.output.name)
def test_every_read_out_knows_its_unit(
    graph: Graph, x: FloatArray, tmp_path: Path
) -> None:
    expected = in_float(graph, x)
    assert expected.any()
    assert_close(
        on_chip(graph, x), expected, 0.4 if graph.output.name == "worth" else 0.05
    )

    integers = compile_model(graph, simulator()).graph
    write_integers(integers, tmp_path / "integers.nir")
    if graph.output.name != "worth":  # NIR has no word for that
        write_graph(graph, tmp_path / "float.nir")
    for path in tmp_path.iterdir():
        again = sd.load_model(path)
        np.testing.assert_allclose(on_chip(again, x), on_chip(graph, x), rtol=1e-9)


def test_a_profile_says_how_far_values_are_off(
    network: sd.Network, x: FloatArray, wanted: FloatArray, tmp_path: Path
) -> None:
    y = wanted + 0.1
    profiled = network.profile(x, y, progress=False)

    found = np.array([network(one).values for one in x])
    summary = profiled.summary
    means = summary["all_timesteps"]
    np.testing.assert_allclose(means["mean_squared_error"], ((found - y) ** 2).mean())
    np.testing.assert_allclose(means["mean_absolute_error"], np.abs(found - y).mean())
    of_each = profiled.rows.column("squared_error")
    np.testing.assert_allclose(of_each, ((found - y) ** 2).mean(axis=1))
    at = summary["mean_squared_error_at_timestep"]
    np.testing.assert_allclose(at[-1], means["mean_squared_error"])
    assert at[0] > at[-1]
    assert (means["accuracy"], summary["with_cutoff"]) == (None, None)
    assert "mean squared error" in repr(profiled)
    page = profiled.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"a mean squared error of {number(at[-1])}" in page
    assert "Error against timesteps" in page
    assert "accuracy unknown" not in page
    assert ">squared error<" in page  # of each input
    one_pass = summary["one_pass"]["mean_squared_error"]
    assert (Schedule.ONE_PASS in fair(profiled.profile)) == (one_pass <= at[-1])


def test_an_early_stop_of_values_is_refused(
    network: sd.Network, x: FloatArray, wanted: FloatArray
) -> None:
    with pytest.raises(
        CalibrationError, match="y holds values, and an early stop needs"
    ):
        network.calibrate(x, wanted, progress=False)


def test_verify_says_how_far_each_form_is_off(
    network: sd.Network, x: FloatArray, wanted: FloatArray
) -> None:
    verified = network.verify(x, wanted, progress=False)

    found = np.array([network(one).values for one in x])
    chip = verified.errors[-1]
    assert (chip.form, verified.is_faithful, verified.forms) == ("chip", True, ())
    np.testing.assert_allclose(chip.mean_squared_error, ((found - wanted) ** 2).mean())
    assert network.graph is not None
    floats = verified.errors[0].mean_squared_error
    assert floats == pytest.approx(chip.mean_squared_error, rel=0.2)


def test_the_engine_the_reference_and_lava_give_the_same_values(
    network: sd.Network, x: FloatArray, wanted: FloatArray, other_backend: str
) -> None:
    data = Data(
        x=x[:2],
        y=None,
        training=network.artifact.network.graph.training,
        targets=wanted[:2],
    )
    columns = ("squared_error", "absolute_error")
    errors = []
    for name in ("cpu", other_backend):
        rows = profile_inputs(
            network.artifact, open_backend(name), data, cutoff=None
        ).rows
        errors.append([rows.column(column).tolist() for column in columns])

    assert all(found == errors[0] for found in errors)


def test_a_sweep_of_values_compares_errors(
    module: nn.Module, x: FloatArray, wanted: FloatArray, tmp_path: Path
) -> None:
    sd.save(module, tmp_path / "model.pt", input_shape=N_IN, timesteps=8)
    np.savez(tmp_path / "data.npz", x=x, y=wanted)
    sweep = Sweep(
        model=tmp_path / "model.pt",
        calibration=tmp_path / "data.npz",
        data=tmp_path / "data.npz",
        vary=Varied(timesteps=(4, 32)),
    )
    bench = Bench(sweep)

    few, many = (bench.measure(point) for point in sweep.points)

    assert (few["refusal"], few["accuracy"]) == ("", None)
    assert 0 < many["mean_squared_error"] < few["mean_squared_error"]


def test_values_behind_a_sigmoid_are_refused(x: FloatArray) -> None:
    module = nn.Sequential(nn.Linear(N_IN, 1), nn.Sigmoid())
    network = sd.compile(module, input_shape=N_IN, timesteps=4)

    with pytest.raises(DataError, match="without the Sigmoid behind its outputs"):
        network.profile(x, np.full(N, 0.5), progress=False)
