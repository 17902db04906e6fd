"""recording: raw inputs in, what every neuron does out, aligned or in chip time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.artifact import pack, write_artifact
from snn_deploy.cli import main
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.reference import Simulation
from tests.build import RATE, chain, conv, lif, linear, rng, simulator, trains


@pytest.fixture(scope="module")
def network() -> MappedNetwork:
    from snn_deploy.ir.nodes import Flatten

    model = chain(
        conv("conv", (1, 4, 4), 2),
        lif("a", (2, 4, 4)),
        Flatten(name="flat", shape=(2, 4, 4)),
        linear("fc", 32, 3),
        training=RATE,
    )
    return compile_model(model, simulator())


@pytest.fixture
def folder(network: MappedNetwork, tmp_path: Path) -> Path:
    write_artifact(pack(network), tmp_path / "net.snn")
    return tmp_path


def run(
    folder: Path,
    *options: str,
    quantities: str = "spikes,current,voltage",
    **arrays: Any,
) -> dict[str, Any]:
    """Record through the command line and return the trace."""
    np.savez(folder / "data.npz", **arrays)
    data = str(folder / "data.npz")
    command = ["run", str(folder / "net.snn"), "--data", data, "--record"]
    output = ["-o", str(folder / "trace.npz")]
    assert main([*command, quantities, *output, *options]) == 0
    return dict(np.load(folder / "trace.npz", allow_pickle=False))


def test_rows_are_the_local_timesteps_of_each_layer(
    network: MappedNetwork, folder: Path
) -> None:
    stimuli = trains(2, 9, (1, 4, 4))

    trace = run(folder, spikes=np.stack([s.values for s in stimuli]))

    assert trace["a/spikes"].shape == (2, 9, 2, 4, 4)
    assert trace["fc_sum/voltage"].shape == (2, 9, 3)
    simulation = Simulation(network.graph, stimuli, n_timesteps=9)
    for chip_timestep in range(1, 12):
        simulation.step()
        for name, state in simulation.states.items():
            row = chip_timestep - network.graph.population(name).offset - 1
            if row < 9:
                for quantity in ("spikes", "current", "voltage"):
                    recorded = trace[f"{name}/{quantity}"][:, row].reshape(2, -1)
                    np.testing.assert_array_equal(recorded, getattr(state, quantity))


@pytest.mark.parametrize(
    ("arrays", "options"),
    [
        ({"spikes": trains(30, 9, (1, 4, 4))}, ()),
        ({"spikes": trains(3, 9, (1, 4, 4))}, ("--chip-time", "--timesteps", "12")),
        ({"x": [rng(4).random((1, 4, 4)) for _ in range(3)]}, ()),
    ],
)
def test_spikes_alone_are_the_engines(
    folder: Path, arrays: dict[str, Any], options: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pytest.importorskip("snn_deploy.backends.engine._engine")
    values: dict[str, Any] = {
        name: np.stack([getattr(item, "values", item) for item in found])
        for name, found in arrays.items()
    }
    wanted = run(folder, "--backend", "reference", *options, **values)
    from snn_deploy.backends.engine import cpu

    monkeypatch.delattr(cpu, "reference_recordings")
    found = run(folder, *options, quantities="spikes", **values)

    assert found.keys() == {name for name in wanted if name.endswith("/spikes")}
    for name, spikes in found.items():
        np.testing.assert_array_equal(spikes, wanted[name])
    assert found["a/spikes"].any()


def test_chip_time_shows_each_layer_later(folder: Path) -> None:
    spikes = trains(1, 9, (1, 4, 4))[0].values[np.newaxis]

    aligned = run(folder, spikes=spikes)
    chip = run(folder, "--chip-time", spikes=spikes)

    assert chip["a/spikes"].shape[1] == 9 + 2
    np.testing.assert_array_equal(chip["a/spikes"][:, 1:10], aligned["a/spikes"])
    np.testing.assert_array_equal(
        chip["fc_sum/voltage"][:, 2:11], aligned["fc_sum/voltage"]
    )
    assert not chip["a/spikes"][:, 0].any()


def test_reset_every_returns_each_layer_to_rest(folder: Path) -> None:
    once = trains(1, 4, (1, 4, 4))[0].values
    twice = np.concatenate([once, once])[np.newaxis]

    trace = run(folder, "--reset-every", "4", spikes=twice)

    for rows in trace.values():
        np.testing.assert_array_equal(rows[:, :4], rows[:, 4:])


def test_graded_spikes_and_one_input_of_several(folder: Path) -> None:
    spikes = rng().integers(-1000, 1000, (3, 5, 1, 4, 4))

    all_inputs = run(folder, spikes=spikes)
    second = run(folder, "--index", "1", spikes=spikes)

    assert second["a/current"].shape[0] == 1
    np.testing.assert_array_equal(second["a/current"][0], all_inputs["a/current"][1])


@pytest.mark.parametrize("backend", ["reference", "lava"])
def test_backends_record_the_same(folder: Path, backend: str) -> None:
    if backend == "lava":
        pytest.importorskip("lava", reason="lava is not installed")
    spikes = trains(1, 7, (1, 4, 4))[0].values[np.newaxis]

    mine = run(folder, "--backend", "cpu", spikes=spikes)
    other = run(folder, "--backend", backend, spikes=spikes)

    assert mine.keys() == other.keys()
    for name in mine:
        np.testing.assert_array_equal(mine[name], other[name])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"spikes": np.zeros((1, 5, 3, 3))}, "spikes has shape (1, 5, 3, 3), needed"),
        (
            {"spikes": np.full((1, 5, 4, 4), 0.5)},
            "spikes must hold integers of 24 bits",
        ),
        ({"spikes": np.full((1, 5, 4, 4), 1 << 24)}, "integers of 24 bits"),
        ({"bias": np.zeros((1, 4, 4))}, "has a bias, but no layer of chain takes one"),
        ({"spikes": np.zeros((0, 5, 4, 4))}, "holds no timesteps"),
    ],
)
def test_raw_inputs_that_do_not_fit_are_refused(
    folder: Path,
    arrays: dict[str, Any],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez(folder / "data.npz", **arrays)
    command = ["run", str(folder / "net.snn"), "--data", str(folder / "data.npz")]

    status = main([*command, "--record", "spikes", "-o", str(folder / "trace.npz")])

    assert status == 1
    assert message in capsys.readouterr().err
    assert not (folder / "trace.npz").exists()


def test_an_unknown_quantity_is_wrong_usage(folder: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", "net.snn", "--data", "x.npz", "--record", "weights"])

    assert caught.value.code == 2
