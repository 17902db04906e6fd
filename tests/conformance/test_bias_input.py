"""Networks of lava-dl whose input is a bias: from the file to an early stop."""

import io
import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest

import snn_deploy as sd
from snn_deploy.arrays import AnyArray, IntArray
from snn_deploy.backends.registry import open_backend
from snn_deploy.cli import main
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.monitor import collect_scores
from snn_deploy.data.data import check_data
from snn_deploy.data.datasets import load_split
from snn_deploy.errors import ModelError
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.stimuli import Encoding
from tests.build import rng, simulator
from tests.exporters.compiled_c import COMPILERS
from tests.importers.test_lava_dl import NEURON, dense, write

N_IN, N_OUT, N_TIMESTEPS = 6, 3, 8
SCALE, OFFSET = 30, 12
THRESHOLD, LOST, UNIT = 20, 128, 4096  # of NEURON


def small(folder: Path) -> Path:
    """Write a network of neurons with a bias, and three outputs that they reach."""
    start = {"type": "input", "shape": [N_IN], "neuron": NEURON}
    weight = 2.0 * rng(3).integers(-6, 7, (N_OUT, N_IN))
    end = dense(N_IN, N_OUT, weight=weight)
    layers = [{**start, "weight": [SCALE], "bias": [OFFSET]}, end]
    return write(folder / "net.net", layers)


def values(n: int) -> AnyArray:
    x: AnyArray = rng(2).uniform(-1, 1, (n, N_IN))
    return x


def by_hand(path: Path, bias: IntArray) -> IntArray:
    """Return the counts of the outputs after each timestep, in plain integers."""
    weights = load_model(path).node("1_dense").weight  # type: ignore[attr-defined]
    entered, voltage = [0] * N_IN, [0] * N_OUT
    current, counts, rows = [0] * N_OUT, [0] * N_OUT, []

    def kept(value: int, lost: int) -> int:
        part = abs(value) * (UNIT - lost) // UNIT
        return part if value >= 0 else -part

    for _ in range(N_TIMESTEPS):
        sent = []
        for i in range(N_IN):
            entered[i] = kept(entered[i], LOST) + 64 * int(bias[i])
            sent.append(entered[i] > 64 * THRESHOLD)
            entered[i] = 0 if sent[i] else entered[i]
        for k in range(N_OUT):
            total = sum(int(w) for w, s in zip(weights[k], sent, strict=True) if s)
            current[k] = kept(current[k], 1024) + 64 * total
            voltage[k] = kept(voltage[k], LOST) + current[k]
            if voltage[k] > 64 * THRESHOLD:
                voltage[k], counts[k] = 0, counts[k] + 1
        rows.append([*counts])
    return np.array(rows)


@pytest.mark.parametrize("name", ["x", "bias"])
def test_values_and_mantissas_give_what_plain_integers_give(
    tmp_path: Path, name: str
) -> None:
    path, x = small(tmp_path), values(20)
    mantissas = np.rint(x * SCALE + OFFSET).astype(np.int64)
    network = compile_model(load_model(path), simulator())
    training = network.graph.training
    given = {"x": x, "bias": mantissas}[name]
    data = check_data(Path(name), {name: given}, (N_IN,), training)

    program = open_backend("cpu").load(network)
    found = collect_scores(program, network, data.stimuli())

    assert training.encoding is Encoding.BIAS
    assert (training.input_scale, training.input_offset) == (SCALE, OFFSET)
    expected = np.stack([by_hand(path, bias) for bias in mantissas])
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(expected[:, -1], axis=0)) > 5
    assert len(np.unique(data.hashes)) == len(data)


def test_from_the_file_to_an_early_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, x = small(tmp_path), values(400)
    y = np.array([by_hand(path, np.rint(v * SCALE + OFFSET))[-1].argmax() for v in x])
    np.savez(tmp_path / "calibration.npz", x=x[:200], y=y[:200])
    np.savez(tmp_path / "test.npz", x=x[200:], y=y[200:])
    net, test = tmp_path / "net.snn", tmp_path / "test.npz"

    def called(*arguments: object) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) in (None, 0)
        return capsys.readouterr().out

    called("compile", path, "--target", "loihi-sim", "-o", net)
    budget = "--data", tmp_path / "calibration.npz", "--budget", 0.05
    called("calibrate", net, *budget)
    folder = tmp_path / "profile"
    called("profile", net, "--data", test, "-o", folder, "--cross-check", 0)
    summary = json.loads((folder / "summary.json").read_text())
    served = called("serve", net, "--data", test).splitlines()
    ran = json.loads(called("run", net, "--data", test, "--index", 7, "--json"))
    few = "--limit", 30, "--lava", 0
    said = called("verify", net, "--against", path, "--data", test, *few)
    piped = io.BytesIO()
    np.save(piped, x[207])
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(piped.getvalue())))
    monkeypatch.setattr(sys, "stdin", stdin)
    (first,) = called("serve", net, "--data", "-").splitlines()

    labels = [json.loads(line)["label"] for line in served]
    stops = [json.loads(line)["timesteps"] for line in served]
    assert summary["with_cutoff"]["mean_timesteps"] == pytest.approx(np.mean(stops))
    assert labels == y[200:].tolist()
    assert 1 <= np.mean(stops) < N_TIMESTEPS
    assert ran["timesteps"] == json.loads(first)["timesteps"] == stops[7]
    answer = sd.load(net)(x[207])
    assert (answer.timesteps, answer.prediction) == (stops[7], ran["prediction"])
    assert "the integers are exactly what the model compiles to" in said
    if COMPILERS:
        called("export-c", net, "-o", tmp_path / "c", "--data", test)
        subprocess.run(["make", "-C", tmp_path / "c", "check"], check=True)


def test_an_encoding_that_is_asked_for_is_taken(tmp_path: Path) -> None:
    assert load_model(small(tmp_path), encoding="events").training.encoding is (
        Encoding.EVENTS
    )
    plain = write(tmp_path / "plain.net", [dense(N_IN, N_OUT)])
    with pytest.raises(ModelError, match="no layer takes its bias from the data"):
        load_model(plain, encoding="bias")


def test_lava_dls_own_network_reads_its_digits(tmp_path: Path) -> None:
    try:
        files = distribution("lava-dl").files or []
    except PackageNotFoundError:
        pytest.skip("lava-dl is not installed")
    (name,) = (file for file in files if file.name == "mnist.net")
    network = compile_model(load_model(str(name.locate())), simulator())
    part = load_split("mnist5k").test
    x = (np.asarray(part.x, np.float64) / 255 - 0.5) / 0.5
    arrays = {"x": x[:300].reshape(-1, 784)}
    data = check_data(Path("x"), arrays, (784,), network.graph.training)

    program = open_backend("cpu").load(network)
    scores = collect_scores(program, network, data.stimuli())

    right = (scores.argmax(axis=-1) == part.y[:300, np.newaxis]).mean(axis=0)
    assert right[[3, 15]].min() > 0.99
    assert right[0] < 0.95
