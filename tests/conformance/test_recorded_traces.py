"""Traces that others recorded: no spike, current or voltage may differ.

The files lie beside a checkout in ``shared/conformance``; its README tells their axes.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from snn_deploy.arrays import AnyArray, IntArray, Shape
from snn_deploy.backends.cpu import record_reference
from snn_deploy.importers import load_model
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.passes.quantize import quantize
from snn_deploy.passes.retime import retime
from snn_deploy.pipeline import to_spiking
from snn_deploy.spikes import Stimulus
from tests.build import simulator

SHARED = Path(__file__).parents[3] / "shared" / "conformance"
NEEDS_SHARED = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded traces are not beside this checkout"
)


def integers_of(path: Path) -> QuantizedGraph:
    """Return the network of a file as the chip runs it."""
    network = quantize(to_spiking(load_model(path)), simulator())
    assert network.changes == ()  # nothing was lost
    return retime(network, simulator())


def silence(shape: Shape, bias: AnyArray) -> Stimulus:
    """Return a stimulus of biases only; ``bias`` has the axes W, H, C."""
    values = np.zeros((1, *shape), np.int64)
    turned = bias.transpose(2, 1, 0).astype(np.int64)
    return Stimulus(values=values, is_constant=True, bias=turned)


def aligned(
    network: QuantizedGraph,
    stimulus: Stimulus,
    n_timesteps: int,
    quantities: Sequence[str] = ("spikes", "current", "voltage"),
    reset_every: int | None = None,
) -> dict[tuple[str, str], IntArray]:
    """Return what each population does at its local timesteps."""
    found = record_reference(
        network, stimulus, quantities, n_timesteps=n_timesteps, reset_every=reset_every
    )
    offsets = {p.name: p.offset for p in network.populations}
    return {key: rows[offsets[key[0]] :] for key, rows in found.items()}


@NEEDS_SHARED
def test_lava_tinynet() -> None:
    folder = SHARED / "lava_tinynet"
    network = integers_of(folder / "tiny.net")
    bias = np.load(folder / "input_bias.npy")

    found = aligned(network, silence((3, 16, 16), bias), 15)

    def rows(name: str) -> AnyArray:
        recorded: AnyArray = np.load(folder / f"{name}.npy")[0]
        turned: AnyArray = np.moveaxis(recorded, -1, 0).reshape(16, -1)
        return turned[1:]

    for layer, name in (("0", "input"), ("1", "layer1"), ("2", "output")):
        np.testing.assert_array_equal(found[layer, "spikes"][:15], rows(name))
    np.testing.assert_array_equal(found["1", "current"][:15], 64 * rows("current"))


@NEEDS_SHARED
def test_lava_pilotnet() -> None:
    folder = SHARED / "lava_pilotnet_lif"
    network = integers_of(folder / "network.net")
    traces = np.load(folder / "traces.npz", allow_pickle=False)
    stimulus = silence((3, 66, 200), traces["image"])

    found = aligned(network, stimulus, 24, reset_every=17)

    convolutions = [f"conv-{i}" for i in range(5)]
    recorded = ["input", *convolutions, "fc-0", "fc-1", "fc-2"]
    layers = ["0", "1", "2", "3", "4", "5", "7", "8", "9"]
    n_compared = 0
    for lag, (name, layer) in enumerate(zip(recorded, layers, strict=True)):
        fired = found[layer, "spikes"][: 24 - lag]
        for suffix, quantity in (("", "spikes"), ("-u", "current"), ("-v", "voltage")):
            if name + suffix not in traces:
                continue
            trace = traces[name + suffix].astype(np.int64)
            expected = trace.T.reshape(24, -1)[lag:]
            mine = found[layer, quantity][: 24 - lag]
            if quantity == "voltage":  # the hardware marks a spike with 128, not 0
                expected = np.where(fired > 0, mine, expected)
            np.testing.assert_array_equal(mine, expected, err_msg=name + suffix)
            n_compared += mine.size
    assert n_compared > 8_000_000


def lava_dl_file(name: str) -> Path:
    """Return a file of lava-dl's own tests, which its wheel installs."""
    for folder in os.environ.get("LAVA_DL_TESTS", "").split(os.pathsep):
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    spec = find_spec("lava.lib.dl.netx") if find_spec("lava") else None
    places = None if spec is None else spec.submodule_search_locations
    for place in places or ():
        root = Path(place).parents[3] / "tests" / "lava" / "lib" / "dl" / "netx" / "gts"
        if (root / name).is_file():
            return root / name
    pytest.skip("lava-dl is not installed: pip install --no-deps lava-dl")


def test_ntidigits_with_leaky_currents_and_axonal_delays() -> None:
    folder = lava_dl_file("ntidigits/ntidigits.net").parent
    network = integers_of(folder / "ntidigits.net")
    spikes = np.load(folder / "input.npy").T.astype(np.int64)
    output = np.load(folder / "output.npy").T

    found = aligned(
        network, Stimulus(values=spikes, is_constant=False), 3000, ("spikes",)
    )

    # the recording starts 4 timesteps later: 3 layers and the input's own connection
    np.testing.assert_array_equal(found["4", "spikes"][: 3000 - 4], output[4:])
