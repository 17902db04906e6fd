"""Write compiled networks to ``.net`` files, as lava-dl's netx reads them.

Layers are numbered groups behind the input. The threshold, the decays and ``refDelay``
are scalars, as netx passes them on; biases and the threshold are in units of the
synaptic sum. Weights are (out, in, height, width, 1) and not flipped, shapes
(channel, height, width), the biases of single neurons of a map (width, height,
channel). Delays stand in the layer that receives, a matrix as large as its weights:
lists netx takes for those of targets or of sources, as their length fits.

The group ``simulation`` says how long an input lasts. netx does not read it, nor what
our reader finds there beside: how values become spikes, how outputs the answer, and
what they stand for, in which units.

On the chip a spike takes a timestep from layer to layer, and layers run from the first
timestep on. Their biases act before the input has come. netx's resets, one layer after
another (``reset_interval``), undo that, but not for spikes that are under way for more
than a timestep or come back to their own layer: such networks are refused, if a bias
could cause spikes there.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray, IntArray, Shape, n_neurons, spread
from snn_deploy.errors import ModelError
from snn_deploy.exporters.on_grid import heads_on_grid
from snn_deploy.files.writing import write_whole
from snn_deploy.fixedpoint import INPUT_SHIFT, shift
from snn_deploy.ir.codec import encode
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.synapses import ConvSynapses, Synapses

NEVER = (1 << 18) - 1  # the threshold of neurons that are read out by their voltage


def write_lava_dl(network: QuantizedGraph, path: Path) -> None:
    """Write ``network``, which netx's neurons can compute, to ``path``.

    Raises
    ------
    ModelError
        If netx would compute something else, listing every reason.
    """
    import h5py

    layers = _in_a_row(network.in_local_time())
    problems = [p for layer in layers for p in _problems(layer)] + [*_fill(layers)]
    if problems:
        lines = "\n  ".join(problems)
        raise ModelError(f"{path}: netx would compute something else, for\n  {lines}")

    def write(temporary: Path) -> None:
        with h5py.File(temporary, "w") as file:
            _fill_group(file, _content(network, layers))

    write_whole(path, write)


class _NetxLayer:
    """A population with what arrives at it."""

    def __init__(self, network: QuantizedGraph, population: Population) -> None:
        arrivals = network.projections_into(population)
        self.population = population
        self.forward = [p for p in arrivals if p.source != population.name]
        self.loops = [p for p in arrivals if p.source == population.name]
        self.bias = shift(population.bias_mantissa, population.bias_exponent)

    @property
    def name(self) -> str:
        return self.population.name

    @property
    def synapses(self) -> Synapses:
        return self.forward[0].synapses

    @property
    def is_late(self) -> bool:
        return any(p.longest_delay for p in self.forward)


def _in_a_row(network: QuantizedGraph) -> list[_NetxLayer]:
    """Return the layers from the input to the output.

    Raises
    ------
    ModelError
        If they are no row.
    """
    layers = [_NetxLayer(network, p) for p in network.order]
    before = network.source.name
    for layer in layers:
        if [p.source for p in layer.forward] != [before]:
            raise ModelError(
                f"{layer.name}: does not receive the spikes of {before} alone, a .net "
                "file that netx runs has one layer behind another; train without "
                "branches"
            )
        before = layer.name
    if before != network.output:
        raise ModelError(
            f"{network.output}: is read out, but {before} follows; leave out what the "
            "output does not need"
        )
    return layers


def _problems(layer: _NetxLayer) -> Iterator[str]:
    """Yield what netx would read, or clip, otherwise than it is meant."""
    name, synapses = layer.name, layer.synapses
    if layer.population.takes_bias:
        yield (
            f"{name}: takes its bias from the data, which the host of netx writes; "
            "keep the .net file that the network was read from"
        )
    if isinstance(synapses, ConvSynapses):
        if any(synapses.cropped):
            yield f"{name}: pads unevenly; train with the same padding on both sides"
    elif len(layer.population.shape) > 1:
        yield (
            f"{name}: maps of neurons behind single synapses; use a convolution, or "
            "neurons in a row"
        )
    elif not synapses.weights.any():
        yield f"{name}: all weights are 0, by which netx divides; train it"
    for projection in (*layer.forward, *layer.loops):
        yield from _misread(name, projection.synapses)


def _misread(name: str, synapses: Synapses) -> Iterator[str]:
    """Yield the weights that are others in netx, or in Lava's processes."""
    low, high = int(synapses.weights.min(initial=0)), int(synapses.weights.max())
    if low < 0 < high and np.any(synapses.weights % 2):
        yield (
            f"{name}: odd weights beside others of another sign, of which netx drops "
            "the last bit; export it with even weights"
        )
    # netx shifts the lowest to -256 then, which Lava clips to -255
    is_power_of_2 = low < 0 and -low & (-low - 1) == 0
    if high <= 0 and is_power_of_2 and not isinstance(synapses, ConvSynapses):
        yield (
            f"{name}: weights down to {low} and none over 0, of which netx clips the "
            "lowest; train it with a positive weight, or the lowest no power of 2"
        )


def _fill(layers: Sequence[_NetxLayer]) -> Iterator[str]:
    """Yield where spikes that a bias causes before the input outlast the resets."""
    biased = ""  # the latest layer up to the sender that can spike by itself
    for layer in layers:
        if layer.is_late and biased:
            yield (
                f"{layer.name}: what it receives is delayed, and the bias of {biased} "
                "can cause spikes before the input has come; train without one of them"
            )
        if layer.bias.max() > 0:
            biased = layer.name
        if layer.loops and biased:
            yield (
                f"{layer.name}: sends to itself, and the bias of {biased} can cause "
                "spikes before the input has come; train without one of them"
            )


def _content(network: QuantizedGraph, layers: Sequence[_NetxLayer]) -> dict[str, Any]:
    """Return the groups of the file, as dictionaries."""
    source, training = network.source, network.training
    found: list[dict[str, Any]] = [{"type": "input", "shape": np.array(source.shape)}]
    shape = source.shape
    for layer in layers:
        if len(shape) > 1 and not isinstance(layer.synapses, ConvSynapses):
            found.append({"type": "flatten", "shape": np.array([n_neurons(shape)])})
        found.append(_group(layer, shape))
        shape = layer.population.shape
    simulation = {
        "Ts": 1,
        "tSample": training.timesteps,
        "encoding": training.encoding.value,
        "largestCount": training.largest_count,
        "functional": training.functional.value,
        "inputLow": training.input_low,
        "inputHigh": training.input_high,
        "heads": json.dumps(encode(heads_on_grid(network), {})),
        "answers": training.answers,
    }
    return {"layer": dict(enumerate(found)), "simulation": simulation}


def _group(layer: _NetxLayer, shape: Shape) -> dict[str, Any]:
    """Return a layer that receives spikes of this shape."""
    population, synapses = layer.population, layer.synapses
    content: dict[str, Any] = {"shape": np.array(population.shape)}
    if isinstance(synapses, ConvSynapses):
        content |= {
            "type": "conv",
            "inChannels": shape[0],
            "outChannels": population.shape[0],
            "kernelSize": np.array(synapses.kernel),
            "stride": np.array(synapses.stride),
            "padding": np.array(synapses.padding),
            "dilation": np.array(synapses.dilation),
            "groups": synapses.groups,
            "weight": synapses.weights[..., np.newaxis].astype(np.int16),
        }
    else:
        content |= {
            "type": "dense_rec" if layer.loops else "dense",
            "inFeatures": n_neurons(shape),
            "outFeatures": population.shape[0],
            "weight": synapses.dense(shape).astype(np.int16),
        }
    if layer.loops:
        weights = layer.loops[0].synapses.dense(population.shape)
        content["weight_rec"] = weights.astype(np.int16)
    if layer.is_late:
        content["delay"] = _delays(layer.forward[0], shape, population.size)
    if layer.bias.any():
        content["bias"] = _bias(layer)
    return {**content, "neuron": _neuron(population)}


def _delays(projection: Projection, shape: Shape, n_out: int) -> IntArray:
    late = projection.delay + spread(projection.axon_delay, shape)
    return np.tile(late, (n_out, 1))


def _bias(layer: _NetxLayer) -> AnyArray:
    """Return one bias for each channel, or neuron: (width, height, channel)."""
    population = layer.population
    whole = np.broadcast_to(layer.bias >> INPUT_SHIFT, population.shape)
    channels = whole.reshape(len(whole), -1)
    if np.all(channels == channels[:, :1]):
        return channels[:, 0]
    return whole.T


def _neuron(population: Population) -> dict[str, Any]:
    return {
        "type": "CUBA",
        "iDecay": int(population.current_decay.flat[0]) + 1,
        "vDecay": int(population.voltage_decay.flat[0]),
        "vThMant": int(population.threshold.flat[0]) if population.spikes else NEVER,
        "refDelay": 1,
        "wgtExp": 0,
        "gradedSpike": 0,
    }


def _fill_group(group: Any, content: dict[Any, Any]) -> None:
    for key, value in content.items():
        if isinstance(value, dict):
            _fill_group(group.create_group(str(key)), value)
        else:
            group[str(key)] = value
