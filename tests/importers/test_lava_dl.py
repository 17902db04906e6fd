"""read_lava_dl: networks of lava-dl, layer by layer, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snn_deploy.arrays import IntArray
from snn_deploy.backends.registry import open_backend
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.monitor import collect_scores
from snn_deploy.errors import FitError, ModelError, PassError
from snn_deploy.importers.registry import load_model, load_shapes
from snn_deploy.ir.stimuli import Stimulus
from tests.build import rng, simulator
from tests.recording import record_reference

NEURON = {"type": "LOIHI", "iDecay": 1024, "vDecay": 128, "vThMant": 20, "refDelay": 1}


SIMULATION = {"Ts": 1, "tSample": 8}


def write(
    path: Path,
    layers: list[dict[str, Any]],
    simulation: dict[str, Any] | None = SIMULATION,
) -> Path:
    """Write a file as lava-dl does; nested dictionaries become groups.

    The group ``simulation`` is of SLAYER's old files; lava-dl writes none.
    """

    def fill(group: Any, content: dict[str, Any]) -> None:
        for key, value in content.items():
            if isinstance(value, dict):
                fill(group.create_group(key), value)
            elif isinstance(value, str):
                group.create_dataset(key, data=np.array([value], "S10"))
            else:
                group.create_dataset(key, data=value)

    with h5py.File(path, "w") as file:
        for number, layer in enumerate(layers):
            fill(file.create_group(f"layer/{number}"), layer)
        if simulation is not None:
            fill(file.create_group("simulation"), simulation)
    return path


def dense(n_in: int, n_out: int, **changes: Any) -> dict[str, Any]:
    weight = 2.0 * rng(n_in).integers(-20, 60, (n_out, n_in))
    layer = {
        "type": "dense",
        "shape": [n_out, 1, 1],
        "inFeatures": n_in,
        "outFeatures": n_out,
        "weight": weight,
        "neuron": NEURON,
    }
    return {**layer, **changes}


def entrance(n: int) -> dict[str, Any]:
    return {"type": "input", "shape": [1, 1, n]}


def by_hand(
    spikes: Any, weights: Any, recurrent: Any, bias: Any, delay: Any
) -> list[list[int]]:
    """Return the spikes of one dense layer, neuron by neuron, in plain integers."""
    n_out, n_timesteps = len(weights), len(spikes)
    current, voltage = [0] * n_out, [0] * n_out
    fired: list[list[int]] = []
    for t in range(n_timesteps):
        now = []
        for i in range(n_out):
            total = sum(
                int(w) * int(s) for w, s in zip(weights[i], spikes[t], strict=True)
            )
            for j in range(n_out):
                at = t - 1 - int(delay[j])
                total += int(recurrent[i][j]) * (fired[at][j] if at >= 0 else 0)
            kept = abs(current[i]) * (4096 - 1024) // 4096
            current[i] = (kept if current[i] >= 0 else -kept) + 64 * total
            kept = abs(voltage[i]) * (4096 - 128) // 4096
            voltage[i] = (kept if voltage[i] >= 0 else -kept) + current[i]
            voltage[i] += 64 * int(bias[i])
            now.append(int(voltage[i] > 64 * 20))
            voltage[i] = 0 if now[i] else voltage[i]
        fired.append(now)
    return fired


def test_recurrent_layer_with_biases_and_axonal_delays(tmp_path: Path) -> None:
    recurrent = 2.0 * rng(5).integers(-30, 10, (4, 4))
    bias, delay = np.array([3.0, -2.0, 0.0, 5.0]), np.array([0.0, 2.0, 5.0, 1.0])
    layer = dense(6, 4, type="dense_rec", weight_rec=recurrent, bias=bias, delay=delay)
    path = write(tmp_path / "net.net", [entrance(6), layer, dense(4, 3)])
    spikes = (rng(1).random((30, 6)) < 0.3).astype(np.int64)

    network = compile_model(load_model(path), simulator()).graph
    found = record_reference(
        network, Stimulus(values=spikes, is_constant=False), ("spikes",), n_timesteps=30
    )

    offset = network.population("1").offset
    mine = found["1", "spikes"][offset : offset + 30]
    expected = by_hand(spikes, layer["weight"], recurrent, bias, delay)
    np.testing.assert_array_equal(mine, expected)
    assert mine.any()
    assert network.changes == ()


def test_average_at_the_end_adds_up_its_groups(tmp_path: Path) -> None:
    path = write(
        tmp_path / "net.net",
        [entrance(6), dense(6, 4), {"type": "average", "shape": [2, 1, 1]}],
    )

    graph = load_model(path)

    weight = graph.node("2").weight  # type: ignore[attr-defined]
    np.testing.assert_array_equal(weight, [[1, 1, 0, 0], [0, 0, 1, 1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: n.update(type="SDNN"), "1: neurons of type 'SDNN' cannot be"),
        (lambda n: n.update(refDelay=0), "1: refDelay is 0; it is a whole number from"),
        (lambda n: n.update(refDelay=65), "1: refDelay is 65; it is a whole number"),
        (lambda n: n.update(refDelay=1.5), "1: refDelay is 1.5; it is a whole number"),
        (lambda n: n.update(wgtExp=-1), "1: wgtExp is -1; only 0 to 7 is exact"),
        (lambda n: n.update(wgtExp=float("inf")), "1: wgtExp is inf; only 0 to 7"),
        (lambda n: n.update(weight_exp=2), "1: weight_exp is 2, only 0 can be"),
        (lambda n: n.update(gradedSpike=True), "1: gradedSpike is 1, only 0 can be"),
        (lambda n: n.update(vDecay=5000), "1: voltage_decay is 1.2"),
    ],
)
def test_neurons_that_cannot_be_honoured_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    neuron = dict(NEURON)
    change(neuron)
    path = write(tmp_path / "net.net", [entrance(3), dense(3, 2, neuron=neuron)])

    with pytest.raises(ModelError, match=message):
        load_model(path)


@pytest.mark.parametrize("kind", ["convT", "unpool", "dense_comp", "pixels"])
def test_layers_that_lava_dl_drops_are_refused(tmp_path: Path, kind: str) -> None:
    path = write(
        tmp_path / "net.net", [entrance(3), {"type": kind, "shape": [1, 1, 3]}]
    )

    with pytest.raises(ModelError, match=f"1: layers of type '{kind}'"):
        load_model(path)


def test_weights_and_delays_over_the_limits_are_errors_not_clips(
    tmp_path: Path,
) -> None:
    heavy = dense(3, 2, weight=np.array([[301.0, 2, 2], [2, 2, 2]]))
    late = dense(3, 2, delay=np.array([0.0, 63.0]))
    odd = dense(3, 2, weight=np.array([[2.5, 2, 2], [2, 2, 2]]))
    files = {
        name: write(tmp_path / f"{name}.net", [entrance(3), layer, dense(2, 2)])
        for name, layer in (("heavy", heavy), ("late", late), ("odd", odd))
    }

    with pytest.raises(PassError, match=r"1_dense: 1 weights such as 301 lie outside"):
        compile_model(load_model(files["heavy"]), simulator())
    with pytest.raises(ModelError, match=r"1: 1 weights are no integers, such as 2.5"):
        load_model(files["odd"])
    with pytest.raises(FitError, match="needs a delay of 63, loihi-sim allows 62"):
        compile_model(load_model(files["late"]), simulator())


def test_timesteps_stand_in_for_the_group_that_lava_dl_does_not_write(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "net.net", [entrance(3), dense(3, 2)], simulation=None)

    assert load_model(path, timesteps=24).training.timesteps == 24
    assert load_shapes(path).node("1").output_shape == (2,)
    with pytest.raises(ModelError, match=r"does not say how many .* give --timesteps"):
        load_model(path)


@pytest.mark.parametrize(
    ("neuron", "decays", "is_summed"),
    [
        ({**NEURON, "vThMant": 2**18 - 1}, (1024, 128), True),
        (
            {**NEURON, "vThMant": 2**18 - 1, "iDecay": 4096, "vDecay": 0},
            (4096, 0),
            False,
        ),
        (None, (0, 4096), False),  # slayer's Affine without dynamics
    ],
)
def test_a_readout_that_never_spikes_is_read_out_as_voltages(
    tmp_path: Path,
    neuron: dict[str, Any] | None,
    decays: tuple[int, int],
    is_summed: bool,
) -> None:
    layer = dense(6, 4, neuron=neuron)
    if neuron is None:
        del layer["neuron"]
    path = write(tmp_path / "net.net", [entrance(6), layer])
    spikes = (rng(1).random((8, 6)) < 0.3).astype(np.int64)

    network = compile_model(load_model(path), simulator())

    voltages = never_spiking(spikes @ layer["weight"].astype(int).T, *decays)
    stimulus = Stimulus(values=spikes, is_constant=False)
    found = record_reference(network.graph, stimulus, ("voltage",), n_timesteps=8)
    np.testing.assert_array_equal(found["1", "voltage"][-8:], voltages)
    program = open_backend("cpu").load(network)
    scores = collect_scores(program, network, [(0, stimulus)])
    expected = np.cumsum(voltages, axis=0) if is_summed else voltages
    np.testing.assert_array_equal(scores[0], expected)


def never_spiking(sums: IntArray, current_decay: int, voltage_decay: int) -> IntArray:
    """Return the voltages of a layer without a threshold, in plain integers."""
    rows = []
    current = voltage = np.zeros_like(sums[0])
    for total in sums:
        current = kept(current, current_decay) + 64 * total
        voltage = kept(voltage, voltage_decay) + current
        rows.append(voltage)
    return np.array(rows)


def kept(values: IntArray, decay: int) -> IntArray:
    left: IntArray = np.sign(values) * (np.abs(values) * (4096 - decay) // 4096)
    return left


def test_a_readout_in_the_middle_is_refused(tmp_path: Path) -> None:
    silent = dense(6, 4, neuron={**NEURON, "vThMant": 2**18 - 1})
    path = write(tmp_path / "net.net", [entrance(6), silent, dense(4, 3)])

    with pytest.raises(ModelError, match="2_dense: takes the spikes of 1"):
        load_model(path)


@pytest.mark.parametrize("kind", ["RF_PHASE", "ADRF_IZ", "ALIF", "SDELTA"])
def test_other_neurons_are_refused_by_their_type(tmp_path: Path, kind: str) -> None:
    layer = dense(4, 3, neuron={"type": kind, "sinDecay": 1, "cosDecay": 1})
    layer["weight"] = {"real": np.ones((3, 4)), "imag": np.ones((3, 4))}

    for layers in ([layer], [entrance(4), layer]):
        path = write(tmp_path / "net.net", layers)
        with pytest.raises(ModelError, match=f"neurons of type '{kind}' cannot be"):
            load_model(path)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.net").write_text("no network")
    (tmp_path / "empty.net").write_bytes(b"")

    for path in tmp_path.iterdir():
        with pytest.raises(ModelError, match="not an HDF5 file, or cut short"):
            load_model(path)
    with h5py.File(tmp_path / "other.net", "w") as file:
        file["data"] = 1
    with pytest.raises(ModelError, match="not a network of lava-dl"):
        load_model(tmp_path / "other.net")
    with pytest.raises(ModelError, match="no such file"):
        load_model(tmp_path / "missing.net")
