"""Networks with several outputs: each a head with its name, its kind, its measure."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import snn_deploy as sd
from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.artifact import answering
from snn_deploy.backends.registry import open_backend
from snn_deploy.cutoff.monitor import decide_inputs, run_inputs
from snn_deploy.cutoff.scores import scale_of
from snn_deploy.errors import ArtifactError, CalibrationError, ModelError
from snn_deploy.exporters.on_grid import heads_on_grid
from snn_deploy.ir.heads import HeadKind
from snn_deploy.nn.neurons import Qcfs
from tests.cli.conftest import Command

N, N_IN, N_CLASSES = 240, 12, 3
HEADS = {"where": "values", "digit": "class"}


class Two(nn.Module):
    """A trunk, three classes, and where something is."""

    def __init__(self, form: str = "tuple") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Linear(N_IN, N_IN, bias=False), Qcfs(8, 1.0))
        self.digit = nn.Linear(N_IN, N_CLASSES, bias=False)
        self.where = nn.Linear(N_IN, 2)
        with torch.no_grad():
            first: Any = self.trunk[0]
            first.weight.copy_(torch.eye(N_IN))
            self.digit.weight.copy_(torch.eye(N_CLASSES).repeat_interleave(4, 1) / 2)
        self.form = form

    def forward(self, x: torch.Tensor) -> Any:
        x = self.trunk(x)
        found = {"where": self.where(x), "digit": self.digit(x)}
        return found if self.form == "dict" else tuple(found.values())


@pytest.fixture(scope="module")
def inputs() -> tuple[FloatArray, IntArray]:
    draw = np.random.default_rng(0)
    y = draw.integers(0, N_CLASSES, N)
    x = 0.4 * draw.random((N, N_IN))
    x[np.arange(N)[:, np.newaxis], 4 * y[:, np.newaxis] + np.arange(4)] += 0.5
    return np.rint(x * 255) / 255, y


@pytest.fixture(scope="module")
def network() -> sd.Network:
    return sd.compile(Two(), input_shape=N_IN, timesteps=8, heads=HEADS)


def truths(x: FloatArray, y: IntArray) -> dict[str, AnyArray]:
    where, _ = Two().double()(torch.tensor(x))
    return {"where": where.detach().numpy(), "digit": y}


@pytest.mark.parametrize("form", ["tuple", "dict"])
def test_outputs_are_named_at_save(form: str, tmp_path: Path) -> None:
    sd.save(Two(form), tmp_path / "m.pt", input_shape=N_IN, timesteps=8, heads=HEADS)

    where, digit = sd.load_model(tmp_path / "m.pt").heads

    assert (where.name, where.n_outputs, where.kind) == ("where", 2, HeadKind.VALUES)
    assert (digit.name, digit.n_outputs, digit.kind) == ("digit", 3, HeadKind.CLASS)
    assert where.is_mean


def test_each_head_is_measured_by_its_own(
    network: sd.Network, inputs: tuple[FloatArray, IntArray]
) -> None:
    x, y = inputs
    digit = network.answering("digit")

    values = network.profile(x[:40], truths(*inputs)["where"][:40], progress=False)
    classes = digit.profile(x, y, progress=False)

    assert values.summary["all_timesteps"]["accuracy"] is None
    assert 0 < values.summary["all_timesteps"]["mean_squared_error"] < 0.01
    assert classes.summary["all_timesteps"]["accuracy"] > 0.9
    assert classes.summary["all_timesteps"]["mean_squared_error"] is None
    assert (len(network(x[0]).values), len(digit(x[0]).values)) == (2, 3)
    assert digit(x[0]).prediction == y[0]
    for net, truth in ((network, truths(*inputs)["where"]), (digit, y)):
        verified = net.verify(x[:10], truth[:10], progress=False)
        assert verified.is_faithful
        assert len(verified.errors) == 3 * (net is network)


def test_the_head_that_is_asked_decides_when_to_stop(
    network: sd.Network, inputs: tuple[FloatArray, IntArray], tmp_path: Path
) -> None:
    x, y = inputs
    with pytest.raises(CalibrationError, match="the head where gives values, and an"):
        network.calibrate(x, progress=False)
    digit = network.answering("digit")

    digit.calibrate(x, y, budget=0.02, progress=False)
    profiled = digit.profile(x, y, progress=False)

    early = profiled.summary["with_cutoff"]
    assert early["mean_timesteps"] < 8
    assert early["accuracy"] > 0.9
    digit.save(tmp_path / "net.snn")
    again = sd.load(tmp_path / "net.snn")
    assert again(x[0]) == digit(x[0])
    assert again.answering("where").calibration is None


def test_engine_reference_and_lava_stop_alike(
    network: sd.Network, inputs: tuple[FloatArray, IntArray], other_backend: str
) -> None:
    x, y = inputs
    digit = network.answering("digit")
    digit.calibrate(x, y, budget=0.02, progress=False)
    calibration = digit.calibration
    assert calibration is not None
    data = digit.profile(x[:3], y[:3], progress=False).data
    found = []
    for name in ("cpu", other_backend):
        mapped = digit.artifact.network
        program = open_backend(name).load(mapped)
        try:
            decided = decide_inputs(program, mapped, data.stimuli(), calibration.cutoff)
            counted = run_inputs(program, mapped, data.stimuli(), calibration.cutoff)
            found.append(
                [scores.tolist() for _, scores in decided]
                + [result.scores.tolist() for result in counted]
            )
        finally:
            program.close()

    assert all(each == found[0] for each in found)
    assert len(found[0][0]) < 8


def test_heads_that_do_not_fit_are_refused(network: sd.Network) -> None:
    options: dict[str, Any] = {"input_shape": N_IN, "timesteps": 8}
    with pytest.raises(ModelError, match=r"not return one tensor for each \(c\)"):
        sd.compile(Two(), heads=["a", "b", "c"], **options)
    with pytest.raises(ModelError, match="where: a head gives 'number'; choose from"):
        sd.compile(Two(), heads={"where": "number", "digit": "class"}, **options)
    with pytest.raises(
        ArtifactError, match="no head is called x; choose from where, d"
    ):
        answering(network.artifact, "x")


def test_commands_take_a_head(
    command: Command,
    network: sd.Network,
    inputs: tuple[FloatArray, IntArray],
    tmp_path: Path,
) -> None:
    path, data = tmp_path / "net.snn", tmp_path / "data.npz"
    network.save(path)
    given: dict[str, Any] = truths(*inputs)
    np.savez(data, x=inputs[0], **given)
    asked = ("--data", data)

    refused = command("calibrate", path, *asked).error()
    done = command("calibrate", path, *asked, "--head", "digit", "--budget", "0.05")
    digit = json.loads(command("run", path, *asked, "--json").out)
    where = command("run", path, *asked, "--json", "--head", "where")

    assert "the head where gives values" in refused
    assert done.status == 0, done.err
    assert (digit["prediction"], digit["label"]) == (inputs[1][0], inputs[1][0])
    assert digit["stopped_early"]
    assert "the cutoff looks at the head digit, so none is used for where" in where.err
    found = json.loads(where.out)
    assert (found["prediction"], len(found["targets"])) == (None, 2)
    assert not found["stopped_early"]


class Averaged(nn.Module):
    """All timesteps; each head makes its own answer of them."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Linear(N_IN, 8)
        self.digit, self.place = nn.Linear(8, N_CLASSES), nn.Linear(8, 2)
        self.answers = answers
        with torch.no_grad():
            self.trunk.weight.mul_(4)
            self.place.weight.div_(500)
            self.place.bias.div_(500)

    def forward(self, x: torch.Tensor) -> Any:
        mem, digits, places = 0.0, [], []
        for step in x:
            mem = 0.8 * mem + self.trunk(step)
            spikes = (mem > 1.0).to(x.dtype)
            mem = mem - spikes
            digits.append(self.digit(spikes))
            places.append(self.place(spikes))
        outputs = torch.stack(digits), torch.stack(places)
        return tuple(
            make(each) for make, each in zip(self.answers, outputs, strict=True)
        )


T = 20
KINDS = {"digit": "class", "place": "values"}
ANSWERS: dict[str, Any] = {
    "mean": (lambda o: o.mean(0), 1.0, True),
    "hundredfold mean": (lambda o: 100 * o.mean(0), 100.0, True),
    "sum": (lambda o: o.sum(0), 1.0, False),
    "thousandfold sum": (lambda o: 1000 * o.sum(0), 1000.0, False),
    "softmax": (lambda o: o.mean(0).softmax(-1), 1.0, True),
}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("mean", "mean"),
        ("mean", "sum"),
        ("sum", "thousandfold sum"),
        ("softmax", "hundredfold mean"),
    ],
)
def test_each_head_has_its_own_unit(first: str, second: str, tmp_path: Path) -> None:
    module = Averaged(ANSWERS[first][0], ANSWERS[second][0])
    graph = sd.save(
        module, tmp_path / "m.pt", input_shape=N_IN, timesteps=T, heads=KINDS
    )
    x = np.random.default_rng(0).integers(0, 256, (6, T, N_IN)) / 255
    with torch.no_grad():
        _, place = module(torch.tensor(x.swapaxes(0, 1), dtype=torch.float32))

    net = sd.compile(graph).answering("place")

    for head, answer in zip(graph.heads, (first, second), strict=True):
        assert (head.scale, head.is_mean) == ANSWERS[answer][1:]
    found = np.array([net(one).values for one in x])
    error = np.abs(found - place.numpy()).max() / np.abs(place.numpy()).max()
    assert error < 0.1  # of spikes; a unit of the digits is as large as its weights
    profiled = net.profile(x, place.numpy(), progress=False)
    squared = ((found - place.numpy()) ** 2).mean()
    whole = profiled.summary["all_timesteps"]
    assert whole["mean_squared_error"] == pytest.approx(squared, rel=1e-4)
    network = net.artifact.network.graph
    units = np.unique(network.readout.scale) * 64  # of the synaptic sum
    on_grid = [head.scale for head in heads_on_grid(network)]
    expected = [units[-1] * graph.heads[0].scale, units[0] * graph.heads[1].scale]
    assert on_grid == pytest.approx(expected, rel=1e-12)


def test_softmaxes_of_rules_are_of_the_head_that_answers() -> None:
    module = Averaged(ANSWERS["sum"][0], ANSWERS["thousandfold sum"][0])
    kinds = {"digit": "class", "place": "class"}
    net = sd.compile(module, input_shape=N_IN, timesteps=T, heads=kinds)

    scales = {
        name: scale_of(net.answering(name).artifact.network.graph) for name in KINDS
    }

    scale = np.ravel(net.artifact.network.graph.readout.scale)
    assert scales == {"digit": scale[0], "place": 1000 * scale[-1]}


def test_heads_of_different_timesteps_are_refused(tmp_path: Path) -> None:
    module = Averaged(ANSWERS["sum"][0], lambda o: o[-1])

    with pytest.raises(ModelError, match="are the last and the sum of all timesteps"):
        sd.save(module, tmp_path / "m.pt", input_shape=N_IN, timesteps=T, heads=KINDS)
