"""Traces that others recorded: no spike, current or voltage may differ.

The files lie beside a checkout in ``shared/conformance``; its README tells their axes.
"""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
import pytest

from snn_deploy.arrays import AnyArray, IntArray, Shape
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.pipeline import compile_model, to_spiking
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.floating import FloatRun
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Lif, Reset
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus
from tests.build import dense, integers, population, simulator
from tests.recording import record_reference

SHARED = Path(__file__).parents[3] / "shared" / "conformance"
NEEDS_SHARED = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded traces are not beside this checkout"
)


def integers_of(path: Path) -> QuantizedGraph:
    """Return the network of a file as the chip runs it."""
    network = quantize(to_spiking(load_model(path)), simulator())
    # nothing was lost; what limits of the registers could be met is said
    assert {change.kind for change in network.changes} <= {"saturate voltage"}
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
    try:
        installed = files("lava-dl") or []
    except PackageNotFoundError:
        pytest.skip("lava-dl is not installed: pip install --no-deps lava-dl")
    found = [path for path in installed if str(path).endswith(f"netx/gts/{name}")]
    return Path(str(found[0].locate()))


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


NIR_PAPER = SHARED / "nir_lif_paper"


def lif_of_the_paper() -> Graph:
    path = NIR_PAPER / "lif_norse.nir"
    return load_model(path, dt=1e-4, reset=Reset.HARD, timesteps=1000)


@NEEDS_SHARED
def test_nir_neuron_in_float_spikes_as_norse_and_the_exact_solution_do() -> None:
    graph = to_spiking(lif_of_the_paper())
    recorded = np.loadtxt(NIR_PAPER / "lif_norse.csv", delimiter=",")
    exact = np.loadtxt(NIR_PAPER / "lif_exact.csv", delimiter=",")
    spikes = recorded[:, :1].astype(np.int64)
    run = FloatRun(graph, [Stimulus(values=spikes, is_constant=False)])

    voltages, fired = [], []
    for _ in range(1000):
        run.step()
        voltages.append(float(run.voltage["1"][0, 0]))
        fired.append(float(run.sent[-1]["1"][0, 0]))

    np.testing.assert_array_equal(fired, recorded[:, 2])
    np.testing.assert_array_equal(fired, exact[:, 2])
    quiet = recorded[:, 2] == 0
    assert np.abs(np.array(voltages) - recorded[:, 1])[quiet].max() < 2.45e-8


@NEEDS_SHARED
@pytest.mark.parametrize("platform", ["cpu", "loihi"])
def test_nir_neuron_in_integers_is_the_published_run_of(platform: str) -> None:
    """The paper's own conversion: decay dt / tau * 4095 cut off, threshold 25."""
    spiking = to_spiking(lif_of_the_paper())
    neurons = spiking.nodes_of(Lif)[0]
    decay = int(neurons.voltage_decay.item() * 4095)
    gain = neurons.input_gain.item() / neurons.threshold.item()
    weight = np.rint(gain * 25)
    network = retime(
        integers(
            [
                population(
                    "lif",
                    (1,),
                    voltage_decay=np.array(decay),
                    threshold=np.array(25),
                )
            ],
            [dense("input", "lif", [[weight]])],
            shape=(1,),
        ),
        simulator(),
    )
    recorded = np.loadtxt(NIR_PAPER / f"lif_lava_{platform}_fixed.csv", delimiter=",")
    spikes = recorded[:, :1].astype(np.int64)

    found = record_reference(
        network,
        Stimulus(values=spikes, is_constant=False),
        ("spikes", "voltage"),
        n_timesteps=1000,
    )

    # in chip time: the recording sees a spike one timestep after its input as well
    fired = found["lif", "spikes"][:1000, 0]
    np.testing.assert_array_equal(fired, recorded[:, 2])
    voltages = found["lif", "voltage"][:1000, 0]
    expected = np.where(fired > 0, voltages, recorded[:, 1])  # 128 marks a spike
    np.testing.assert_array_equal(voltages, expected)


@NEEDS_SHARED
def test_compiled_nir_neuron_spikes_when_the_published_ones_do() -> None:
    network = compile_model(lif_of_the_paper(), simulator())
    recorded = np.loadtxt(NIR_PAPER / "lif_lava_loihi_fixed.csv", delimiter=",")
    spikes = recorded[:, :1].astype(np.int64)

    found = record_reference(
        network.graph,
        Stimulus(values=spikes, is_constant=False),
        ("spikes",),
        n_timesteps=1000,
    )

    np.testing.assert_array_equal(found["1", "spikes"][:1000, 0], recorded[:, 2])


@NEEDS_SHARED
def test_recurrent_nir_network_comes_in_with_its_loop() -> None:
    path = SHARED / "nir_braille_subtract" / "braille_noDelay_noBias_subtract.nir"

    graph = to_spiking(load_model(path, dt=1e-4, reset=Reset.SOFT, timesteps=10))

    delays = {(edge.source, edge.target): edge.delay for edge in graph.edges}
    assert delays["lif1.lif", "lif1.w_rec"] == 1
    assert graph.output.name == "lif2"
    network = compile_model(graph, simulator())
    assert network.graph.readout.shape == (7,)
