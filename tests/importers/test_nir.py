"""read_nir: what each primitive computes, or why it is refused."""

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from snn_deploy.ir.neurons import Reset
from tests.build import rng
from tests.importers.nir_truth import DT, in_norse, ours, row, trains, written


def weights(*shape: int, seed: int = 1) -> Any:
    values = rng(seed).normal(size=shape)
    return (values / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def lif(*shape: int, **changes: Any) -> nir.LIF:
    one = np.ones(shape, np.float32)
    settings = {
        "tau": 10 * DT * one,
        "r": one,
        "v_leak": 0 * one,
        "v_threshold": np.float32(0.06) * one,
        "v_reset": 0 * one,
        **changes,
    }
    return nir.LIF(**settings)


def cuba(*shape: int, **changes: Any) -> nir.CubaLIF:
    one = np.ones(shape, np.float32)
    settings = {
        "tau_mem": 10 * DT * one,
        "tau_syn": 4 * DT * one,
        "r": 2 * one,
        "v_leak": 0 * one,
        "v_threshold": np.float32(0.2) * one,
        "v_reset": 0 * one,
        "w_in": np.float32(1.5) * one,
        **changes,
    }
    return nir.CubaLIF(**settings)


def fire(*shape: int) -> nir.IF:
    one = np.ones(shape, np.float32)
    return nir.IF(r=one / DT, v_threshold=0.7 * one, v_reset=0 * one)


def conv(shape: tuple[int, int], n_in: int, n_out: int, **changes: Any) -> nir.Conv2d:
    settings: dict[str, Any] = {
        "input_shape": shape,
        "weight": weights(n_out, n_in, 3, 3),
        "stride": 1,
        "padding": 1,
        "dilation": 1,
        "groups": 1,
        "bias": 0.1 * weights(n_out, 1).reshape(-1),
        **changes,
    }
    return nir.Conv2d(**settings)


def affine(n_in: int, n_out: int, seed: int = 3) -> nir.Affine:
    bias = 0.1 * weights(n_out, 1, seed=seed + 1).reshape(-1)
    return nir.Affine(weight=weights(n_out, n_in, seed=seed), bias=bias)


def flatten(*shape: int) -> nir.Flatten:  # Norse counts the axis of the batch
    return nir.Flatten({"input": np.array(shape)}, start_dim=-len(shape), end_dim=-1)


def sum_pool(size: int) -> nir.SumPool2d:
    pair = np.array([size, size])
    return nir.SumPool2d(kernel_size=pair, stride=pair, padding=np.array([0, 0]))


NORSE: dict[str, nir.NIRGraph] = {
    "Affine, LIF": row((6,), affine(6, 5), lif(5), affine(5, 4), lif(4)),
    "Linear, CubaLIF": row((6,), nir.Linear(weights(5, 6)), cuba(5)),
    "IF": row((6,), affine(6, 5), fire(5), affine(5, 3), fire(3)),
    "Conv2d, SumPool2d, Flatten": row(
        (2, 8, 8),
        conv((8, 8), 2, 4, stride=2, dilation=1),
        lif(4, 4, 4),
        sum_pool(2),
        lif(4, 2, 2),
        flatten(4, 2, 2),
        affine(16, 5),
        lif(5),
    ),
    "Conv2d with a dilation": row(
        (2, 8, 8), conv((8, 8), 2, 3, padding=2, dilation=2), lif(3, 8, 8)
    ),
}


@pytest.mark.parametrize("name", NORSE)
def test_spikes_are_those_of_norse(name: str, tmp_path: Path) -> None:
    graph = NORSE[name]
    x = trains(tuple(graph.nodes["input"].input_type["input"]))

    found = ours(written(tmp_path / "a.nir", graph), x)

    expected = in_norse(graph, x)
    np.testing.assert_array_equal(found, expected)
    assert 0 < expected.sum() < expected.size


def recurrent(nested: bool) -> nir.NIRGraph:
    inner = {"lif": lif(5), "w_rec": nir.Linear(weights(5, 5, seed=7))}
    loop = [("lif", "w_rec"), ("w_rec", "lif")]
    ends = {
        "input": nir.Input({"input": np.array([6])}),
        "fc": affine(6, 5),
        "output": nir.Output({"output": np.array([5])}),
    }
    if not nested:
        edges = [("input", "fc"), ("fc", "lif"), *loop, ("lif", "output")]
        return nir.NIRGraph({**ends, **inner}, edges)
    ports = {
        "input": nir.Input({"input": np.array([5])}),
        "output": nir.Output({"output": np.array([5])}),
    }
    edges = [("input", "lif"), *loop, ("lif", "output")]
    ends["rec"] = nir.NIRGraph({**ports, **inner}, edges)
    return nir.NIRGraph(ends, [("input", "fc"), ("fc", "rec"), ("rec", "output")])


@pytest.mark.parametrize("nested", [False, True])
def test_loops_take_one_timestep(tmp_path: Path, nested: bool) -> None:
    graph = recurrent(nested)
    x = trains((6,))
    fc, w_rec = graph.nodes["fc"], recurrent(False).nodes["w_rec"]

    found = ours(written(tmp_path / "a.nir", graph), x)

    voltage, spikes = np.zeros(5), np.zeros(5)
    for now, row_found in zip(x, found, strict=True):
        drive = fc.weight @ now + fc.bias + w_rec.weight @ spikes
        voltage = voltage + 0.1 * (drive - voltage)
        spikes = (voltage > np.float32(0.06)).astype(float)
        voltage = voltage * (1 - spikes)
        np.testing.assert_array_equal(row_found, spikes)
    assert 0 < found.sum() < found.size


def test_nested_loops_run_in_norse_as_here(tmp_path: Path) -> None:
    graph, x = recurrent(False), trains((6,))

    found = ours(written(tmp_path / "a.nir", graph), x)

    np.testing.assert_array_equal(found, in_norse(graph, x))


def test_conv1d_and_average_pooling_are_those_of_pytorch(tmp_path: Path) -> None:
    import torch
    from torch.nn.functional import avg_pool2d, conv1d

    first = nir.Conv1d(
        input_shape=9,
        weight=weights(4, 1, 3),
        stride=2,
        padding=1,
        dilation=1,
        groups=2,
        bias=weights(4, 1).reshape(-1),
    )
    x = trains((2, 9))
    pair = np.array([2, 2])
    pool = nir.AvgPool2d(kernel_size=pair, stride=pair, padding=np.array([1, 0]))

    lines = ours(written(tmp_path / "a.nir", row((2, 9), first)), x)
    pooled = ours(written(tmp_path / "b.nir", row((1, 6, 6), pool)), trains((1, 6, 6)))

    values = torch.as_tensor(x, dtype=torch.float64)
    weight, bias = (torch.as_tensor(a).double() for a in (first.weight, first.bias))
    expected = conv1d(values, weight, bias, stride=2, padding=1, groups=2)
    np.testing.assert_allclose(lines, expected.flatten(1).numpy(), atol=1e-12)
    images = torch.as_tensor(trains((1, 6, 6)), dtype=torch.float64)
    means = avg_pool2d(images, 2, 2, (1, 0)).flatten(1).numpy()
    np.testing.assert_allclose(pooled, means, atol=1e-12)


def test_integrators_threshold_and_reset_voltage_follow_their_equations(
    tmp_path: Path,
) -> None:
    one = np.ones(3, np.float32)
    x = trains((4,))
    first = affine(4, 3)
    drive = x @ np.asarray(first.weight, float).T + first.bias
    spiking = lif(3, v_leak=0.02 * one, v_reset=-0.03 * one)
    leaky = nir.CubaLI(
        tau_mem=5 * DT * one,
        tau_syn=2 * DT * one,
        r=2 * one,
        v_leak=np.float32(0.5) * one,
        w_in=3 * one,
    )
    layers = {
        "I": nir.I(r=one),
        "LI": nir.LI(tau=5 * DT * one, r=3 * one, v_leak=0 * one),
        "CubaLI": leaky,
        "Threshold": nir.Threshold(threshold=0.3 * one),
        "LIF": spiking,
    }

    found = {
        name: ours(written(tmp_path / f"{name}.nir", row((4,), first, layer)), x)
        for name, layer in layers.items()
    }

    np.testing.assert_allclose(found["I"], DT * drive.cumsum(0), rtol=1e-6)
    np.testing.assert_array_equal(found["Threshold"], drive > np.float32(0.3))
    v, u, i, w = np.zeros(3), np.full(3, 0.5), np.zeros(3), np.full(3, 0.02)
    for t in range(len(x)):
        v = v + (3 * drive[t] - v) / 5
        i = i + (3 * drive[t] - i) / 2
        u = u + (0.5 - u + 2 * i) / 5
        w = w + (0.02 - w + drive[t]) / 10
        np.testing.assert_allclose(found["LI"][t], v, rtol=1e-5)
        np.testing.assert_allclose(found["CubaLI"][t], u, rtol=1e-5)
        np.testing.assert_array_equal(found["LIF"][t], w > 0.06)
        w = np.where(w > 0.06, -0.03, w)
    assert found["LIF"].any()


@pytest.mark.parametrize("reset", Reset)
def test_the_reset_is_the_one_that_is_given(tmp_path: Path, reset: Reset) -> None:
    weight = nir.Linear(np.array([[0.4]]))
    path = written(tmp_path / "a.nir", row((1,), weight, fire(1)))

    found = ours(path, np.ones((8, 1), np.int64), reset)[:, 0].tolist()

    # by 0.4 each timestep: a hard reset forgets the 0.1 over the threshold
    expected = {
        Reset.HARD: [0, 1, 0, 1, 0, 1, 0, 1],
        Reset.SOFT: [0, 1, 0, 1, 0, 1, 1, 0],
    }
    assert found == expected[reset]


def test_delays_are_those_of_axons_and_edges(tmp_path: Path) -> None:
    late = nir.Delay(delay=np.array([2 * DT, 0, 5 * DT]))
    same = nir.Delay(delay=np.full(3, 3 * DT))
    identity = nir.Linear(np.eye(3))
    x = trains((3,))

    own = ours(written(tmp_path / "a.nir", row((3,), late, identity)), x)
    all_ = ours(written(tmp_path / "b.nir", row((3,), identity, same, lif(3))), x)

    for neuron, delay in enumerate((2, 0, 5)):
        expected = np.concatenate([np.zeros(delay), x[: len(x) - delay, neuron]])
        np.testing.assert_array_equal(own[:, neuron], expected)
    early = ours(written(tmp_path / "c.nir", row((3,), identity, lif(3))), x)
    np.testing.assert_array_equal(all_[3:], early[:-3])


def test_scales_become_weights(tmp_path: Path) -> None:
    factors = np.array([2.0, -1.0, 0.5, 3.0])
    before, behind = nir.Scale(scale=factors), nir.Scale(scale=factors[:3])
    x = trains((4,))
    first = affine(4, 3)

    found = ours(written(tmp_path / "a.nir", row((4,), before, first, behind)), x)
    alone = ours(written(tmp_path / "b.nir", row((4,), before, fire(4))), x)

    expected = ((x * factors) @ first.weight.T + first.bias) * factors[:3]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert alone[:, 3].tolist() == x[:, 3].tolist()
    assert not alone[:, 1].any()
