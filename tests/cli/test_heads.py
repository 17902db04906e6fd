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
from snn_deploy.errors import ArtifactError, CalibrationError, ModelError
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
    network: sd.Network, inputs: tuple[FloatArray, IntArray]
) -> None:
    x, y = inputs
    digit = network.answering("digit")
    digit.calibrate(x, y, budget=0.02, progress=False)
    calibration = digit.calibration
    assert calibration is not None
    data = digit.profile(x[:3], y[:3], progress=False).data
    names = ["cpu", "reference"]
    try:
        import lava.proc  # noqa: F401

        names.append("lava")
    except ImportError:
        pass
    found = []
    for name in names:
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
