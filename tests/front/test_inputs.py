"""Counts and values that change every timestep: the same on all backends."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import snn_deploy as sd
from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.backends.registry import open_backend
from snn_deploy.cli import main
from snn_deploy.errors import (
    BackendError,
    CalibrationError,
    DataError,
    FitError,
    ModelError,
    PassError,
)
from snn_deploy.front.inputs import as_data
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Stimulus

snntorch = pytest.importorskip("snntorch")
utils = pytest.importorskip("snntorch.utils")

N, T, N_IN, N_OUT = 3, 6, 8, 3
OPTIONS: dict[str, Any] = {"input_shape": (N_IN,), "timesteps": T}
COUNTS = np.random.default_rng(0).poisson(1.2, (N, T, N_IN)).astype(np.uint8)
MOST = int(COUNTS.max())
MOVING = np.random.default_rng(1).integers(0, 256, (N, T, N_IN), dtype=np.uint8)
FORMS: dict[str, tuple[AnyArray, dict[str, Any]]] = {
    "counts": (COUNTS, {"encoding": "events", "largest_count": MOST}),
    "bytes": (MOVING, {"encoding": "direct"}),
    "floats": ((MOVING / 255).astype(np.float32), {"encoding": "direct"}),
    "signed": ((MOVING / 255 * 5 - 2).astype(np.float32), {"input_range": (-2, 3)}),
    "signed bytes": (MOVING.view(np.int8), {"input_range": (-128 / 64, 127 / 64)}),
}
UNITS = {"bytes": 255, "signed bytes": 64}


def module() -> nn.Module:
    """Return neurons that spike often, with weights that the chip has, too."""
    torch.manual_seed(0)
    first, last = nn.Linear(N_IN, 6, bias=False), nn.Linear(6, N_OUT, bias=False)
    neurons = snntorch.Leaky(beta=1.0, threshold=1.0, init_hidden=True)
    for layer in (first, last):
        with torch.no_grad():
            layer.weight.copy_(torch.randint(-3, 8, layer.weight.shape) / 8)
            layer.weight[0, 0] = 1.0
    return nn.Sequential(first, neurons, last).eval()


def compiled(form: str) -> tuple[AnyArray, sd.Network]:
    x, options = FORMS[form]
    return x, sd.compile(module(), **OPTIONS, **options)


def from_framework(values: AnyArray) -> FloatArray:
    """Return the running sum of the outputs of the module itself."""
    net = module()
    utils.reset(net)
    with torch.no_grad():
        inputs = torch.from_numpy(values.astype(np.float32))
        outputs = [net(inputs[:, t]).numpy() for t in range(T)]
    return np.cumsum(np.stack(outputs), axis=0)


def from_reference(network: MappedNetwork, stimuli: list[Stimulus]) -> list[IntArray]:
    simulation, depth = Simulation(network.graph, stimuli), network.graph.depth
    found = []
    for timestep in range(1, depth + T + 1):
        simulation.step()
        if timestep > depth:
            found.append(simulation.readout())
    return found


@pytest.mark.parametrize("form", FORMS)
def test_graded_sequences_are_the_same_on_all_backends_and_in_the_framework(
    form: str,
) -> None:
    x, net = compiled(form)
    network = net.artifact.network
    data = as_data(x, None, network.graph)
    stimuli = [stimulus for _, stimulus in data.stimuli()]
    expected = from_reference(network, stimuli)

    assert all(not stimulus.is_constant for stimulus in stimuli)
    assert max(stimulus.largest for stimulus in stimuli) > 1
    theirs = from_framework(x / UNITS.get(form, 1))
    assert net.graph is not None
    ours = np.cumsum(evaluate(net.graph, stimuli), axis=1).swapaxes(0, 1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    if "signed" not in form:  # the chip rounds the bias
        unit = expected[0][0, 0] / theirs[0, 0, 0]
        np.testing.assert_allclose(expected, theirs * unit, rtol=1e-6)
    for name in ("cpu", "lava"):
        try:
            program = open_backend(name).load(network)
        except BackendError as error:
            pytest.skip(str(error))
        found = []
        for stimulus in stimuli:
            session = program.start([stimulus])
            mine = []
            while (record := session.step()) is not None:
                mine.append(record.readout[0])
            found.append(mine)
            session.close()
        program.close()
        np.testing.assert_array_equal(np.swapaxes(found, 0, 1), expected)
    assert net.verify(x, progress=False).is_faithful


def test_the_command_line_takes_counts_and_sequences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form, (x, options) in FORMS.items():
        model, snn = tmp_path / f"{form}.pt", str(tmp_path / f"{form}.snn")
        sd.save(module(), model, **OPTIONS, **options)
        name = "spikes" if form == "counts" else "x"
        path = tmp_path / f"{form}.npz"
        np.savez(path, y=np.zeros(N, int), **{name: x})  # type: ignore[arg-type]

        assert main(["compile", str(model), "-o", snn]) == 0
        assert main(["run", snn, "--data", str(path)]) == 0
        assert main(["verify", snn, "--against", str(model), "--data", str(path)]) == 0
    capsys.readouterr()


def test_a_value_that_never_changes_is_stored_and_hashed_once() -> None:
    graph = compiled("bytes")[1].artifact.network.graph
    once = MOVING[:, 0]

    data = as_data(np.repeat(once[:, np.newaxis], T, axis=1), None, graph)

    assert data.stimulus(0).is_constant
    np.testing.assert_array_equal(data.hashes, as_data(once, None, graph).hashes)


def test_hashes_of_sequences_tell_all_timesteps_apart() -> None:
    graph = compiled("bytes")[1].artifact.network.graph
    other = MOVING.copy()
    other[:, -1, 0] ^= 1

    found = as_data(MOVING, None, graph).hashes

    assert not np.isin(found, as_data(other, None, graph).hashes).any()
    floats = as_data(FORMS["floats"][0], None, graph)
    np.testing.assert_array_equal(found, floats.hashes)


def test_sequences_that_were_trained_on_are_refused() -> None:
    net = sd.compile(module(), **OPTIONS, encoding="direct", training_inputs=MOVING)

    with pytest.raises(CalibrationError, match="train"):
        net.calibrate(MOVING, np.zeros(N, int), progress=False)


@pytest.mark.parametrize(
    ("x", "encoding", "words"),
    [
        (MOVING[:, :4], "direct", "x lasts 4 timesteps, the network 6; compile it"),
        (MOVING, "rate", "changes over 6 timesteps, and encoding 'rate' draws"),
        (MOVING[..., :4], "direct", r"\(n, 8\), or \(n, timesteps, 8\) where they"),
        (COUNTS, "events", f"counts up to {MOST}, the network takes 1; give largest_"),
        (MOVING.astype(int) - 9, "direct", "x has type int64; store floats from 0"),
        (
            MOVING.astype(int),
            "direct",
            "pixels are bytes, .* where 255 .* as floats",
        ),
        (MOVING > 9, "direct", "x has type bool; store floats from 0 to 1"),
        (MOVING.view(np.int8), "direct", r"need input_range=\(-128 / 127, 1\) at save"),
        (MOVING * 1.0, "direct", "input_range=.* of the training data; else scale x"),
    ],
)
def test_sequences_that_the_network_cannot_take_are_refused(
    x: AnyArray, encoding: str, words: str
) -> None:
    net = sd.compile(module(), **OPTIONS, encoding=encoding)

    with pytest.raises(DataError, match=words):
        net.profile(x, progress=False)


def test_values_of_their_own_range_are_rounded_and_told() -> None:
    net = sd.compile(module(), **OPTIONS, input_range=(-1, 1))
    graph = net.artifact.network.graph
    x = np.array([[-1, -0.5, 0, 1 / 255, 0.1, 0.25, 0.5, 1]])

    data = as_data(x, None, graph)

    levels = data.stimulus(0).values[0]
    np.testing.assert_array_equal(levels, np.rint((x[0] + 1) / 2 * 255))
    assert "5 of 8 values lie between the 256 levels" in data.remarks()[0]
    same = as_data((levels - 128).astype(np.int8)[np.newaxis], None, graph)
    assert same.hashes.tolist() == data.hashes.tolist()
    as_data(np.full((1, N_IN), -1 - 1e-7, np.float32), None, graph)
    with pytest.raises(DataError, match=r"from -1 to 2, the network takes -1 to 1; sa"):
        as_data(x + (x > 0.9), None, graph)


def test_ends_of_sequences_in_a_range_are_what_the_chip_gets_nothing_for() -> None:
    given = sd.compile(module(), **OPTIONS, input_range=(2, 3)).artifact.network.graph
    x = np.full((2, T, N_IN), 2.5)
    x[1, 4:] = np.nan

    data = as_data({"x": x, "lengths": [T, 4]}, None, given)

    assert data.stimulus(1).values[:4].all()
    assert not data.stimulus(1).values[4:].any()


def test_a_range_is_kept_and_multiplies_with_the_scale(tmp_path: Path) -> None:
    scales: list[float] = [2, 1] * (N_IN // 2)
    path = tmp_path / "net.pt"
    options = {**OPTIONS, "input_range": (-1, 1), "training_inputs": MOVING / 255}

    for scale in (2.0, scales):
        graph = sd.save(module(), path, **options, input_scale=scale, input_offset=0.5)
        assert sd.load_model(path).training == graph.training
        x = np.linspace(-1, 1, N_IN, dtype=np.float32)
        data = as_data(x[np.newaxis], None, sd.compile(graph).artifact.network.graph)
        shares = data.stimulus(0).values[0] / 255 * 2 - 1
        given = np.tile(shares * np.array(scale) + 0.5, (N, T, 1))
        found = np.cumsum(evaluate(graph, [data.stimulus(0)]), axis=1)[0]
        np.testing.assert_allclose(found, from_framework(given)[:, 0], rtol=1e-6)
    net = sd.compile(module(), **options)
    with pytest.raises(CalibrationError, match="train"):
        net.calibrate(MOVING / 255, np.zeros(N, int), progress=False)
    net.to_nir(tmp_path / "net.nir")
    assert sd.load_model(tmp_path / "net.nir").training.input_range == (-1, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_range": (1, 1)}, "input_range is 1 to 1; give"),
        ({"input_range": 3}, "input_range is 3; give two numbers"),
        ({"input_range": ("0", "2")}, r"input_range is \('0', '2'\); give two numbers"),
        (
            {"input_scale": "0.5"},
            "input_scale is '0.5'; give a number, or one for each",
        ),
        ({"input_offset": [None]}, r"input_offset is \[None\]; give a number, or"),
        ({"input_range": (0, np.inf)}, "input_scale is inf; give a finite number"),
        ({"input_range": (-1, 1), "encoding": "rate"}, "encoding 'rate' has none"),
    ],
)
def test_ranges_that_are_none_are_refused(options: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        sd.compile(module(), **OPTIONS, **options)


def test_counts_need_a_target_with_graded_spikes() -> None:
    options = {**OPTIONS, **FORMS["counts"][1]}

    with pytest.raises(
        FitError, match=f"counts up to {MOST} are graded spikes, .* clip"
    ):
        sd.compile(module(), "loihi1", **options)


def test_counts_are_for_events_of_a_byte() -> None:
    with pytest.raises(ModelError, match="and encoding 'direct' counts no events"):
        sd.compile(module(), **OPTIONS, largest_count=2)
    with pytest.raises(ModelError, match="largest_count is 256, allowed are 1 to 255"):
        sd.compile(module(), **OPTIONS, encoding="events", largest_count=256)


def test_a_saved_network_keeps_its_largest_count(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    graph = sd.save(module(), path, **OPTIONS, **FORMS["counts"][1])

    assert sd.load_model(path).training == graph.training
    with pytest.raises(ModelError, match=f"for counts up to {MOST}; save it again"):
        sd.load_model(path, largest_count=MOST + 1)


def test_exports_keep_the_largest_count(tmp_path: Path) -> None:
    layers = nn.Linear(N_IN, N_OUT), snntorch.Leaky(beta=1.0, init_hidden=True)
    net = sd.compile(nn.Sequential(*layers), **OPTIONS, **FORMS["counts"][1])

    net.to_nir(tmp_path / "net.nir")

    assert sd.load_model(tmp_path / "net.nir").training.largest_count == MOST


def test_max_pooling_of_counts_is_no_pooling_of_spikes() -> None:
    layers = nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, N_OUT)
    options: dict[str, Any] = {
        "input_shape": (1, 4, 4),
        "timesteps": T,
        "encoding": "events",
    }

    sd.compile(nn.Sequential(*layers), **options)
    with pytest.raises(PassError, match="is not the spike of any"):
        sd.compile(nn.Sequential(*layers), **options, largest_count=2)


IMAGES = np.random.default_rng(2).integers(0, 256, (3, 2, 5, 1), np.uint8)


def image_graph(n_channels: int) -> QuantizedGraph:
    layers = nn.Flatten(), nn.Linear(n_channels * 10, N_OUT)
    shape = (n_channels, 2, 5)
    net = sd.compile(nn.Sequential(*layers), input_shape=shape, timesteps=T)
    return net.artifact.network.graph


def test_images_of_one_channel_may_come_without_it() -> None:
    graph = image_graph(1)
    expected = as_data(np.moveaxis(IMAGES, -1, 1), None, graph)

    assert as_data(IMAGES[..., 0], None, graph).sha256 == expected.sha256


@pytest.mark.parametrize(
    ("x", "n_channels", "words"),
    [
        (IMAGES, 1, r"where they change, by np.moveaxis\(x, -1, -3\)"),
        (IMAGES.reshape(3, 10), 1, r"by x.reshape\(\*x.shape\[:-1\], 1, 2, 5\)"),
        (IMAGES[..., 0], 3, r"a single input, x\[np.newaxis\]"),
    ],
)
def test_images_in_another_order_are_refused_with_the_line(
    x: AnyArray, n_channels: int, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        as_data(x, None, image_graph(n_channels))


def test_labels_of_an_array_in_a_file_may_be_in_another(tmp_path: Path) -> None:
    labels, graph = np.array([0, 2, 1]), image_graph(1)
    np.save(tmp_path / "x.npy", IMAGES[..., 0])
    np.save(tmp_path / "y.npy", labels)

    for y in (labels, str(tmp_path / "y.npy")):
        found = as_data(tmp_path / "x.npy", y, graph)
        assert found.y is not None
        assert found.y.tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("encoding", "n_timesteps", "y"),
    [("direct", T, None), ("events", T, None), ("events", T - 2, np.arange(N))],
)
def test_timesteps_before_inputs_are_told_with_the_line(
    encoding: str, n_timesteps: int, y: AnyArray | None
) -> None:
    options = {**OPTIONS, "timesteps": n_timesteps}
    net = sd.compile(module(), **options, encoding=encoding)
    turned = np.swapaxes(MOVING > 9, 0, 1).astype(np.uint8)
    name = "x" if encoding == "direct" else "spikes"

    with pytest.raises(DataError, match=rf"give np.swapaxes\({name}, 0, 1\)"):
        net.profile(turned, y, progress=False)
    if n_timesteps == T:
        with pytest.raises(DataError, match=r"x\[:, 0\], or x.swapaxes\(0, 1\) to"):
            net(turned)


def test_timesteps_behind_features_are_told_with_the_line() -> None:
    net = sd.compile(module(), **OPTIONS)

    with pytest.raises(DataError, match=r"by np.moveaxis\(x, -1, 1\)"):
        net.profile(np.moveaxis(MOVING, 1, -1), progress=False)
