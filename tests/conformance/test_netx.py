"""netx in Lava's simulator spikes as our engine does, and Lava by our processes.

Starting Lava takes a second for each network, so these run with ``--run-slow``; what a
file says is compared integer by integer in ``tests/exporters/test_lava_dl.py``.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import IntArray
from snn_deploy.backends.engine.cpu import CpuProgram
from snn_deploy.backends.lava.backend import LavaBackend
from snn_deploy.backends.lava.compat import import_netx
from snn_deploy.backends.protocol import Program
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.compiler.retarget import retarget
from snn_deploy.convert import write_integers
from snn_deploy.cutoff.monitor import collect_scores
from snn_deploy.data.datasets import load_split
from snn_deploy.errors import BackendError
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.stimuli import Stimulus, encode
from tests.conformance.netx_networks import TARGET, netx_network, netx_stimuli

pytestmark = pytest.mark.slow
EXAMPLE = Path(__file__).parents[2] / "examples" / "run_netx.py"


@pytest.fixture(scope="module")
def example() -> Any:
    """Return the example that users start from."""
    try:
        import_netx()
    except BackendError as error:
        pytest.skip(str(error))
    spec = importlib.util.spec_from_file_location("run_netx", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spikes_of(
    program: Program, network: MappedNetwork, stimuli: Sequence[Stimulus]
) -> IntArray:
    """Return the spikes of the outputs, ``(n, n_timesteps, n_out)``."""
    counts = collect_scores(program, network, enumerate(stimuli))
    return np.diff(counts, axis=1, prepend=0)


def frames(stimuli: Sequence[Stimulus], n_timesteps: int) -> IntArray:
    """Return what the inputs send, ``(n, n_timesteps, shape...)``."""
    times = range(1, n_timesteps + 1)
    return np.stack([np.stack([one.at(t) for t in times]) for one in stimuli])


def check_same(
    network: MappedNetwork,
    stimuli: Sequence[Stimulus],
    folder: Path,
    example: Any,
) -> IntArray:
    """Compare all three, and return the spikes."""
    x = frames(stimuli, network.graph.training.timesteps)
    write_integers(network.graph, folder / "net.net")
    lava = LavaBackend().load(network)

    wanted = spikes_of(CpuProgram(network), network, stimuli)

    np.testing.assert_array_equal(example.run_netx(folder / "net.net", x), wanted)
    try:
        np.testing.assert_array_equal(spikes_of(lava, network, stimuli), wanted)
    finally:
        lava.close()
    return wanted


def digits(n: int) -> tuple[MappedNetwork, list[Stimulus], IntArray]:
    """Return the reference network, digits of all classes, and their labels."""
    model = load_model(packaged_folder("models") / "mnist_netx" / "model.pt")
    test, training = load_split("mnist5k").test, model.training
    stimuli = [
        encode(x, training.encoding, training.timesteps, index=index)
        for index, x in enumerate(test.x[:: len(test.x) // n][:n])
    ]
    labels = test.y[:: len(test.y) // n][:n]
    return compile_model(model, TARGET), stimuli, labels


def test_netx_gives_the_spikes_of_50_digits(tmp_path: Path, example: Any) -> None:
    network, stimuli, labels = digits(50)

    spikes = check_same(network, stimuli, tmp_path, example)

    assert spikes.shape == (50, 8, 10)
    assert (spikes.sum(axis=1).argmax(axis=1) == labels).sum() >= 45


@pytest.mark.parametrize("seed", range(30))
def test_netx_gives_the_spikes_of_random_networks(
    seed: int, tmp_path: Path, example: Any
) -> None:
    network = retarget(retime(netx_network(seed), TARGET), TARGET)
    stimuli = netx_stimuli(network.graph, 3, seed)

    check_same(network, stimuli, tmp_path, example)


def test_the_host_can_stop_early_and_reset_the_layers_itself(
    tmp_path: Path, example: Any
) -> None:
    network, stimuli, _ = digits(50)
    write_integers(network.graph, tmp_path / "net.net")
    totals = spikes_of(CpuProgram(network), network, stimuli).cumsum(axis=1)
    leads = np.diff(np.sort(totals, axis=2)[..., -2:], axis=2)[..., 0]
    stops = ((leads > 1) | (np.arange(8) == 7)).argmax(axis=1) + 1
    chosen = np.argsort(stops)[[-1, 0, -2, 1, -3]]  # late and early ones in turn
    x = frames([stimuli[index] for index in chosen], 8)

    counts, found = example.run_until(tmp_path / "net.net", x, 1)

    np.testing.assert_array_equal(found, stops[chosen])
    np.testing.assert_array_equal(counts, totals[chosen, stops[chosen] - 1])
    assert len({*found.tolist()}) > 1


def test_most_random_networks_spike() -> None:
    n_alive = 0
    for seed in range(30):
        network = retarget(retime(netx_network(seed), TARGET), TARGET)
        stimuli = netx_stimuli(network.graph, 3, seed)
        n_alive += bool(spikes_of(CpuProgram(network), network, stimuli).any())

    assert n_alive >= 22
