"""The column of NIR: Euler steps in NumPy, weights and poolings of PyTorch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from torch.nn import functional

from snn_deploy.arrays import AnyArray, Shape
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.importers.nir.reader import read_nir
from snn_deploy.importers.options import ReadOptions
from snn_deploy.ir.neurons import Reset
from tests.importers.nir_truth import DT, in_norse, ours, row, trains, written
from tests.importers.test_nir import (
    affine,
    conv,
    cuba,
    fire,
    flatten,
    lif,
    recurrent,
    sum_pool,
    weights,
)
from tests.importers.test_several_files import (
    test_nir_of_two_inputs_is_what_its_equations_say,
)
from tests.support.table import Case

Drive = Callable[[torch.Tensor], torch.Tensor]
THRESHOLD = np.float32(0.06)  # of lif()
FACTORS = np.linspace(0.5, 1.5, 5, dtype=np.float32)


def euler(drive: AnyArray, leak: float = 0.0, reset: float = 0.0) -> AnyArray:
    """Return the spikes of ``lif()`` neurons for what reaches them."""
    voltage, spikes = np.full(drive.shape[1:], leak), []
    for now in drive:
        voltage = voltage + 0.1 * (leak - voltage + now)
        spikes.append(voltage > THRESHOLD)
        voltage = np.where(spikes[-1], reset, voltage)
    return np.array(spikes).reshape(len(drive), -1)


def check(
    folder: Path,
    graph: nir.NIRGraph,
    shape: Shape,
    truth: Callable[[AnyArray], AnyArray],
    reset: Reset = Reset.HARD,
) -> None:
    """Assert that a file gives the same in ours, and can be compiled."""
    path, x = written(folder / "net.nir", graph), trains(shape)
    expected = truth(x)
    assert expected.min() < expected.max()
    np.testing.assert_allclose(ours(path, x, reset), expected, rtol=1e-5)
    network = read_nir(path, ReadOptions(dt=DT, reset=reset, timesteps=len(x)))
    compile_model(network, read_target("loihi-sim"))


def weighted(shape: Shape, layer: Any, drive: Drive, out: Shape) -> Case:
    """Return the case of a layer before leaky neurons."""

    def truth(x: AnyArray) -> AnyArray:
        values = torch.as_tensor(x, dtype=torch.float64)
        return euler(drive(values).numpy())

    return lambda folder: check(folder, row(shape, layer, lif(*out)), shape, truth)


def tensor(values: Any) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def in_norse_too(*layers: nir.NIRNode) -> Case:
    graph = row((6,), affine(6, 5), *layers)
    return lambda folder: check(folder, graph, (6,), lambda x: in_norse(graph, x))


def convolution(groups: int, dilation: int, n_out: int) -> Case:
    layer = conv(
        (8, 8),
        2,
        n_out,
        weight=weights(n_out, 2 // groups, 3, 3),
        groups=groups,
        dilation=dilation,
    )

    def drive(x: torch.Tensor) -> torch.Tensor:
        parameters = tensor(layer.weight), tensor(layer.bias)
        return functional.conv2d(
            x, *parameters, padding=1, dilation=dilation, groups=groups
        )

    size = 8 - 2 * (dilation - 1)
    return weighted((2, 8, 8), layer, drive, (n_out, size, size))


def line() -> Case:
    weight, bias = weights(3, 2, 3), weights(3, 1).reshape(-1)
    layer = nir.Conv1d(9, weight, 1, 0, 1, 1, bias)
    return weighted(
        (2, 9),
        layer,
        lambda x: functional.conv1d(x, tensor(weight), tensor(bias)),
        (3, 7),
    )


def flattened(folder: Path) -> None:
    layer = affine(32, 5)
    graph = row((2, 4, 4), flatten(2, 4, 4), layer, lif(5))
    weight = np.asarray(layer.weight, float)

    def truth(x: AnyArray) -> AnyArray:
        return euler(x.reshape(len(x), -1) @ weight.T + layer.bias)

    check(folder, graph, (2, 4, 4), truth)


def mean_pool() -> nir.AvgPool2d:
    pair = np.array([2, 2])
    return nir.AvgPool2d(kernel_size=pair, stride=pair, padding=np.array([0, 0]))


def looped(folder: Path) -> None:
    graph = recurrent(nested=False)
    check(folder, graph, (6,), lambda x: in_norse(graph, x))


def drive_of(x: AnyArray) -> AnyArray:
    layer = affine(6, 5)
    drive: AnyArray = x @ np.asarray(layer.weight, float).T + layer.bias
    return drive


def integrated(folder: Path) -> None:
    one = np.ones(5)
    graph = row((6,), affine(6, 5), nir.LI(tau=10 * DT * one, r=one, v_leak=0 * one))

    def truth(x: AnyArray) -> AnyArray:
        voltage, rows = np.zeros(5), []
        for now in drive_of(x):
            voltage = voltage + 0.1 * (now - voltage)
            rows.append(voltage)
        return np.array(rows)

    check(folder, graph, (6,), truth)


def elsewhere(folder: Path) -> None:
    one = np.ones(5, np.float32)
    graph = row((6,), affine(6, 5), lif(5, v_leak=0.02 * one, v_reset=-0.03 * one))
    leak, reset = (float(np.float32(v)) for v in (0.02, -0.03))
    check(folder, graph, (6,), lambda x: euler(drive_of(x), leak, reset))


def softly(folder: Path) -> None:
    graph = row((6,), affine(6, 5), fire(5))
    threshold = float(0.7 * np.ones(1, np.float32)[0])

    def truth(x: AnyArray) -> AnyArray:
        voltage, rows = np.zeros(5), []
        for now in drive_of(x):
            voltage = voltage + now
            rows.append(voltage > threshold)
            voltage = voltage - threshold * rows[-1]
        return np.array(rows)

    check(folder, graph, (6,), truth, Reset.SOFT)


def delayed(folder: Path) -> None:
    late = np.array([2, 0, 5, 1, 0, 3])
    graph = row((6,), nir.Delay(delay=late * DT), affine(6, 5), lif(5))

    def truth(x: AnyArray) -> AnyArray:
        moved = np.zeros_like(x)
        for neuron, delay in enumerate(late):
            moved[delay:, neuron] = x[: len(x) - delay, neuron]
        return euler(drive_of(moved))

    check(folder, graph, (6,), truth)


def several(folder: Path) -> None:
    test_nir_of_two_inputs_is_what_its_equations_say("loop", 0, folder)
    graph = read_nir(folder / "two.nir", ReadOptions(dt=1e-3, reset=Reset.HARD))
    compile_model(graph, read_target("loihi-sim"))


CASES: dict[str, Case] = {
    "several inputs": several,
    "Linear": in_norse_too(lif(5)),
    "Conv1d": line(),
    "Conv2d": convolution(groups=1, dilation=1, n_out=3),
    "Conv2d, grouped and dilated": convolution(groups=2, dilation=2, n_out=4),
    "Conv2d, depthwise": convolution(groups=2, dilation=1, n_out=2),
    "AvgPool2d": weighted(
        (2, 8, 8), mean_pool(), lambda x: functional.avg_pool2d(x, 2), (2, 4, 4)
    ),
    "sum pooling": weighted(
        (2, 8, 8), sum_pool(2), lambda x: 4 * functional.avg_pool2d(x, 2), (2, 4, 4)
    ),
    "Flatten": flattened,
    "integrate-and-fire": in_norse_too(fire(5)),
    "leaky integrate-and-fire": in_norse_too(lif(5)),
    "LIF with synaptic current": in_norse_too(cuba(5)),
    "recurrent neurons": looped,
    "leaky integrator as read-out": integrated,
    "hard reset": in_norse_too(lif(5)),
    "hard reset to another voltage than 0": elsewhere,
    "soft reset": softly,
    "decay of each channel": in_norse_too(lif(5, tau=10 * DT * FACTORS)),
    "threshold of each channel": in_norse_too(lif(5, v_threshold=0.1 * FACTORS)),
    "delays": delayed,
}
