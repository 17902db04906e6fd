"""read_lava_dl: layers that lava-dl's own loader drops, and odd forms of the others."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from snn_deploy.arrays import AnyArray, IntArray
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.errors import ModelError
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.stimuli import Stimulus
from tests.build import rng, simulator
from tests.importers.test_lava_dl import NEURON, dense, entrance, write
from tests.recording import record_reference

SHAPE = (2, 6, 6)


def spiking(sums: AnyArray, threshold: int = 20, refractory: int = 1) -> IntArray:
    """Return the spikes for synaptic sums ``(n_timesteps, ...)``, in plain integers.

    ``refractory`` counts down behind a spike, as in nengo-loihi's emulator.
    """
    current, voltage = np.zeros_like(sums[0], int), np.zeros_like(sums[0], int)
    waiting = np.zeros_like(voltage)
    spikes = []
    for total in sums.astype(int):
        current = np.sign(current) * (np.abs(current) * (4096 - 1024) // 4096)
        current = current + 64 * total
        voltage = np.sign(voltage) * (np.abs(voltage) * (4096 - 128) // 4096) + current
        voltage[waiting > 0] = 0
        spikes.append((voltage > 64 * threshold).astype(int))
        voltage = voltage * (1 - spikes[-1])
        waiting[spikes[-1] > 0] = refractory
        waiting = np.maximum(waiting - 1, 0)
    return np.array(spikes)


def conv(n_in: int, n_out: int, seed: int = 1, **changes: Any) -> dict[str, Any]:
    layer = {
        "type": "conv",
        "shape": [n_out, 6, 6],
        "inChannels": n_in,
        "outChannels": n_out,
        "kernelSize": [3, 3],
        "stride": [1, 1],
        "padding": [1, 1],
        "dilation": [1, 1],
        "groups": 1,
        "weight": 2.0 * rng(seed).integers(-6, 9, (n_out, n_in, 3, 3, 1)),
        "neuron": NEURON,
    }
    return {**layer, **changes}


def pool(**changes: Any) -> dict[str, Any]:
    layer = {
        "type": "pool",
        "shape": [2, 3, 3],
        "kernelSize": [2, 2],
        "stride": [2, 2],
        "padding": [0, 0],
        "dilation": [1, 1],
        "weight": np.full((1, 1, 2, 2), 16.0),
        "neuron": NEURON,
    }
    return {**layer, **changes}


def images(n_timesteps: int = 20) -> IntArray:
    return (rng(3).random((n_timesteps, *SHAPE)) < 0.4).astype(np.int64)


def found(path: Path, x: IntArray, layer: str, quantity: str = "spikes") -> IntArray:
    """Return what a layer does, once compiled, at its own timesteps."""
    network = compile_model(load_model(path), simulator()).graph
    assert network.changes == ()
    stimulus = Stimulus(values=x, is_constant=False)
    rows = record_reference(network, stimulus, (quantity,), n_timesteps=len(x))
    offset = network.population(layer).offset
    mine: IntArray = rows[layer, quantity][offset : offset + len(x)]
    return mine


def convolved(x: AnyArray, weight: AnyArray) -> AnyArray:
    kernel = torch.as_tensor(weight[..., 0])
    return conv2d(torch.as_tensor(x, dtype=torch.float64), kernel, padding=1).numpy()


START = {"type": "input", "shape": list(SHAPE)}


def test_pool_weights_each_value_of_a_window(tmp_path: Path) -> None:
    path = write(tmp_path / "net.net", [START, pool()])
    x = images()

    windows = x.reshape(len(x), 2, 3, 2, 3, 2)
    expected = spiking(16 * windows.sum((3, 5)))
    np.testing.assert_array_equal(found(path, x, "1"), expected.reshape(len(x), -1))
    assert expected.any()
    scalar = pool(weight=16.0, kernelSize=2, stride=np.array([2]), padding=0)
    again = write(tmp_path / "again.net", [START, scalar])
    np.testing.assert_array_equal(found(again, x, "1"), found(path, x, "1"))


def test_concat_joins_channels_for_a_convolution_and_rows_for_a_dense_layer(
    tmp_path: Path,
) -> None:
    first, second = conv(2, 3, seed=1), conv(5, 2, seed=2)
    joined = {"type": "concat", "shape": [5, 6, 6], "layers": [0]}
    end = {"type": "concat", "shape": [5, 6, 6], "layers": np.array([3, 1])}
    flat = {"type": "flatten", "shape": [180, 1, 1]}
    last = dense(180, 4, weight=2.0 * rng(4).integers(-15, 16, (4, 180)))
    layers = [START, first, joined, second, end, flat, last]
    # concat 4 names the layer before it itself: 3, then 1
    path = write(tmp_path / "net.net", layers)
    x = images()

    one = spiking(convolved(x, first["weight"]))
    two = spiking(convolved(np.concatenate([one, x], axis=1), second["weight"]))
    both = np.concatenate([two, one], axis=1).reshape(len(x), -1)
    expected = spiking(both @ last["weight"].T)
    np.testing.assert_array_equal(found(path, x, "6"), expected)
    assert 0 < expected.sum() < expected.size


def test_a_missing_input_layer_follows_from_the_first_weights(tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.net", [dense(6, 4), dense(4, 3)])
    maps = write(tmp_path / "maps.net", [conv(2, 3)])
    bare = write(tmp_path / "bare.net", [{"type": "input"}, conv(2, 3)])
    far = write(tmp_path / "far.net", [conv(2, 3, stride=[2, 2], shape=[3, 3, 3])])

    assert load_model(rows).input.shape == (6,)
    assert load_model(maps).input.shape == SHAPE
    assert load_model(bare).input.shape == SHAPE
    with pytest.raises(ModelError, match="0: the first layer is of type 'conv' and"):
        load_model(far)


def test_shapes_in_the_order_width_height_channel(tmp_path: Path) -> None:
    turned = {"type": "input", "shape": [5, 6, 2]}
    path = write(tmp_path / "net.net", [turned, conv(2, 3, shape=[5, 6, 3])])

    graph = load_model(path)

    assert graph.input.shape == (2, 6, 5)
    assert graph.output.output_shape == (3, 6, 5)


def test_numbers_stored_as_arrays_and_weights_without_a_trailing_axis(
    tmp_path: Path,
) -> None:
    layer = conv(2, 3)
    odd = {
        **layer,
        "weight": layer["weight"][..., 0],
        "groups": np.array([1]),
        "stride": np.int64(1),
        "padding": np.array([1]),
        "dilation": 1,
        "neuron": {k: v if k == "type" else np.array([v]) for k, v in NEURON.items()},
    }
    x = images()

    plain = found(write(tmp_path / "a.net", [START, layer]), x, "1")

    np.testing.assert_array_equal(
        found(write(tmp_path / "b.net", [START, odd]), x, "1"), plain
    )


@pytest.mark.parametrize("delay", [1, 2, 3, 7])
def test_neurons_rest_until_the_refractory_delay_is_over(
    tmp_path: Path, delay: int
) -> None:
    weight = 2.0 * rng(1).integers(-15, 40, (4, 6))
    layer = dense(6, 4, weight=weight, neuron={**NEURON, "refDelay": delay})
    x = (rng(2).random((40, 6)) < 0.5).astype(np.int64)

    mine = found(write(tmp_path / "net.net", [entrance(6), layer]), x, "1")

    expected = spiking(x @ weight.T, refractory=delay)
    np.testing.assert_array_equal(mine, expected)
    assert 20 < expected.sum() <= 4 * 40 / delay + 4


def test_an_exponent_of_the_weights_multiplies_them(tmp_path: Path) -> None:
    layer = dense(6, 4, weight=rng(1).integers(-30, 60, (4, 6)) * 2.0)
    scaled = dense(6, 4, weight=layer["weight"], neuron={**NEURON, "wgtExp": 3})
    x = (rng(2).random((20, 6)) < 0.3).astype(np.int64)

    mine = found(write(tmp_path / "net.net", [entrance(6), scaled]), x, "1")

    np.testing.assert_array_equal(mine, spiking(8 * x @ layer["weight"].T))


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "complex weights": (
        [entrance(3), dense(3, 2, weight={"real": np.ones(6), "imag": np.ones(6)})],
        "1: complex weights, of resonating neurons",
    ),
    "a resonator": (
        [entrance(3), dense(3, 2, neuron={**NEURON, "type": "RF_PHASE"})],
        "1: neurons of type 'RF_PHASE' cannot be deployed",
    ),
    "sizes that differ": (
        [entrance(4), dense(3, 2)],
        "1: 6 weights from 4 to 2 neurons",
    ),
    "a shape that differs": (
        [START, conv(2, 3, shape=[3, 5, 6])],
        r"1: its shape says \(3, 5, 6\), its convolution gives \(3, 6, 6\)",
    ),
    "five axes": (
        [START, conv(2, 3, weight=np.ones((3, 2, 3, 3, 2)))],
        r"conv: a weight of shape \(3, 2, 3, 3, 2\)",
    ),
    "weights of each channel": (
        [START, pool(weight=np.ones((2, 1, 2, 2)))],
        r"1_pool: a weight of shape \(2, 1, 2, 2\) for windows of \(2, 2\)",
    ),
    "a join of what comes later": (
        [START, {"type": "concat", "shape": [4, 6, 6], "layers": [5]}],
        r"1: joins the layers \[0, 5\]; only those before it",
    ),
    "a join that is larger": (
        [START, {"type": "concat", "shape": [5, 6, 6], "layers": [0]}],
        r"1: joins the layers \[0\] of 72 values, its shape says 180",
    ),
    "windows larger than the map": (
        [START, pool(kernelSize=[10**6, 10**6])],
        r"1_pool: windows of \(1000000, 1000000\) on maps of \(2, 6, 6\)",
    ),
    "a long row with neurons": (
        [{"type": "input", "shape": [1, 1, 10**8], "neuron": NEURON}],
        "0_transform: 100000000 values in a row, each with a neuron, of which 16777216",
    ),
    "biases of another size": (
        [entrance(3), dense(3, 2, bias=np.ones(5))],
        r"1: 5 biases for neurons of shape \(2,\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_exact_is_refused_with_its_layer(
    tmp_path: Path, case: str
) -> None:
    layers, message = REFUSED[case]

    with pytest.raises(ModelError, match=message):
        load_model(write(tmp_path / "net.net", layers))


def test_files_that_lie_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "net.net", [entrance(3), dense(3, 2), dense(2, 2)])
    with h5py.File(path, "r+") as file:
        del file["layer/1"]
    with pytest.raises(ModelError, match="layer 1 is missing"):
        load_model(path)
    with h5py.File(path, "r+") as file:
        file["layer/1"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(ModelError, match="/layer/1: a link to somewhere else"):
        load_model(path)
    with h5py.File(path, "r+") as file:
        del file["layer/1"]
        file.create_dataset("layer/1/weight", (10**9, 10), "f4", chunks=(1000, 10))
    with pytest.raises(ModelError, match=r"shape \(1000000000, 10\), which makes 4000"):
        load_model(path)
