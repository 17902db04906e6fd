"""The column of lava-dl: plain integers, neuron by neuron."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import conv2d

from snn_deploy.arrays import AnyArray
from snn_deploy.importers.registry import load_model
from tests.build import rng
from tests.importers.test_lava_dl import NEURON, by_hand, dense, entrance, write
from tests.importers.test_lava_dl_layers import (
    START,
    conv,
    convolved,
    found,
    images,
    pool,
    spiking,
)
from tests.support.table import Case


def check(
    folder: Path, layers: list[dict[str, Any]], x: AnyArray, expected: AnyArray
) -> None:
    """Assert that the last layer of a file, compiled, spikes like this."""
    path = write(folder / "net.net", layers)
    mine = found(path, x, str(len(layers) - 1))
    np.testing.assert_array_equal(mine, expected.reshape(len(x), -1))
    assert 0 < expected.sum() < expected.size


def trains(n: int) -> AnyArray:
    return (rng(1).random((30, n)) < 0.3).astype(np.int64)


def mixed(n_out: int, n_in: int) -> AnyArray:
    return 2.0 * rng(n_in).integers(-15, 20, (n_out, n_in))


def rows(folder: Path) -> None:
    x, weight = trains(6), mixed(4, 6)
    check(folder, [entrance(6), dense(6, 4, weight=weight)], x, spiking(x @ weight.T))


def resting(folder: Path) -> None:
    x, weight = trains(6), mixed(4, 6)
    layer = dense(6, 4, weight=weight, neuron={**NEURON, "refDelay": 2})
    check(folder, [entrance(6), layer], x, spiking(x @ weight.T, refractory=2))


def flattened(folder: Path) -> None:
    x, weight = images(30), mixed(4, 72)
    flat = {"type": "flatten", "shape": [72, 1, 1]}
    layers = [START, flat, dense(72, 4, weight=weight)]
    check(folder, layers, x, spiking(x.reshape(30, -1) @ weight.T))


def maps(folder: Path) -> None:
    x, layer = images(30), conv(2, 3)
    check(folder, [START, layer], x, spiking(convolved(x, layer["weight"])))


def grouped(n_out: int, dilation: int) -> Case:
    def case(folder: Path) -> None:
        x = images(30)
        layer = conv(
            2,
            n_out,
            groups=2,
            dilation=[dilation, dilation],
            padding=[dilation, dilation],
            weight=2.0 * rng(2).integers(-8, 12, (n_out, 1, 3, 3, 1)),
        )
        kernel = torch.as_tensor(layer["weight"][..., 0])
        values = torch.as_tensor(x, dtype=torch.float64)
        sums = conv2d(values, kernel, padding=dilation, dilation=dilation, groups=2)
        check(folder, [START, layer], x, spiking(sums.numpy()))

    return case


def pooled(folder: Path) -> None:
    x = images(30)
    sums = 16 * x.reshape(30, 2, 3, 2, 3, 2).sum((3, 5))
    check(folder, [START, pool()], x, spiking(sums))


def joined(folder: Path) -> None:
    x, first, second = images(30), conv(2, 3, seed=1), conv(5, 2, seed=2)
    both = {"type": "concat", "shape": [5, 6, 6], "layers": [0]}
    one = spiking(convolved(x, first["weight"]))
    sums = convolved(np.concatenate([one, x], axis=1), second["weight"])
    check(folder, [START, first, both, second], x, spiking(sums))


def looped(late: bool) -> Case:
    def case(folder: Path) -> None:
        x, weight, back = trains(6), mixed(4, 6), mixed(4, 4)
        delay = np.array([0.0, 2.0, 5.0, 1.0]) * late
        layer = dense(6, 4, type="dense_rec", weight=weight, weight_rec=back)
        layer["delay"] = delay
        spikes = np.array(by_hand(x, weight, back, np.zeros(4), delay))
        check(folder, [entrance(6), layer], x, spikes)

    return case


def refused(**layer: Any) -> Case:
    def case(folder: Path) -> None:
        layers = [entrance(3), {**dense(3, 2), **layer}]
        load_model(write(folder / "net.net", layers))

    return case


CASES: dict[str, Case] = {
    "Linear": rows,
    "Conv2d": maps,
    "Conv2d, grouped and dilated": grouped(n_out=4, dilation=2),
    "Conv2d, depthwise": grouped(n_out=2, dilation=1),
    "ConvTranspose2d": refused(type="convT"),
    "sum pooling": pooled,
    "Flatten": flattened,
    "concatenation": joined,
    "LIF with synaptic current": rows,
    "recurrent neurons": looped(late=False),
    "adaptive neurons": refused(neuron={**NEURON, "type": "ALIF"}),
    "hard reset": rows,
    "rest for a timestep after a spike": resting,
    "delays": looped(late=True),
}
