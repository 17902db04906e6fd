"""Read the ``.net`` files of lava-dl: networks that are chip integers already.

Layers are numbered groups of an HDF5 file and become layers of the same names. Shapes
are (channel, height, width), weights (out, in, height, width, 1) and not flipped,
stride and padding (height, width); flattening keeps that order. Neurons of type LOIHI
or CUBA: ``iDecay`` and ``vDecay`` of 4096 are lost per timestep, ``vThMant`` and the
bias, which is added to the voltage, are in units of the synaptic sum, the reset is hard
and a spike needs ``v > threshold``. ``delay`` is that of a layer's own axons, one for
each neuron; a matrix with a row for each neuron, all rows alike, delays what the layer
receives, as in netx. A recurrent weight acts one timestep later. An input layer with
neurons takes ``x * weight + bias`` of the data as the bias of its neurons, which the
host writes; or, with another encoding, spikes times the weight. Without an input layer
the first weights tell the shape. ``pool`` weights each value of a window alike.
``concat`` puts what the layers with these numbers give behind one another, after the
layer before it unless that is among them. ``average``, as the last layer, becomes a sum
over each group: the same answer. ``refDelay`` is after how many timesteps a neuron may
spike again; until then its voltage stays 0, as in nengo-loihi's emulator.
A layer without a neuron, or with the threshold 2**18 - 1 (slayer's ``Affine``), never
spikes: its voltage is read out, at the end if it adds up without a leak, else summed
over time. lava-dl's own files do not say how long an input lasts, nor, without neurons
in the input layer, how it becomes spikes; the group ``simulation``, where there is one,
says the first, and in our own files the second, and which outputs are the answer, in
which units.
Other layers, other neurons and a negative ``wgtExp`` are refused: Lava's loader looks
at none, and what the chip would drop of a weight is not what Lava drops of a sum.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import FloatArray, Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.importers.hdf5 import read_hdf5
from snn_deploy.importers.joining import noted_heads
from snn_deploy.importers.lava_dl.layers import (
    check_type,
    convolutions,
    each,
    first_shape,
    fully_connected,
    input_shape,
    pooling,
    read_neurons,
    recurrent,
    scalar,
    sizes,
)
from snn_deploy.importers.options import NO_OPTIONS, ReadOptions
from snn_deploy.ir.graph import Edge, Functional, Graph, Training
from snn_deploy.ir.neurons import Integrator, Lif, Neuron
from snn_deploy.ir.nodes import Conv2d, Flatten, Input, Linear, Node
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.names import free_name, shown

INPUT_NAME = "input"
UNIT = 64  # as which lava-dl takes 1, where an input layer names no weight


def read_lava_dl(path: Path, options: ReadOptions = NO_OPTIONS) -> Graph:
    """Return the network in the ``.net`` file at ``path``.

    ``timesteps`` is how many an input lasts, if the file does not say; ``encoding`` is
    that of the input, in place of what the file says, or of events (or bias, where the
    input layer has neurons).

    Raises
    ------
    ModelError
        If the file is missing or of another kind, holds a layer or a parameter that has
        no counterpart, or does not say how long an input lasts and nothing else does.
    """
    content, timesteps = read_hdf5(path), options.timesteps
    layers = content.get("layer")
    try:
        if not isinstance(layers, dict) or not layers:
            raise KeyError("layer")
        reader = _LavaDlLayers(shown(path.stem), layers)
        for number in range(len(layers)):
            reader.layer(str(number))
        simulation = content.get("simulation", {})
        if "tSample" in simulation:
            timesteps = int(scalar(simulation["tSample"]))
        usual = Encoding.EVENTS if reader.bias_of is None else Encoding.BIAS
        encoding = Encoding(options.encoding or simulation.get("encoding", usual.value))
        scale = float(encoding.unit), 0.0  # weights are those of the integers
        if encoding is Encoding.BIAS and reader.bias_of is not None:
            scale = reader.bias_of
        events = encoding is Encoding.EVENTS
        count = int(scalar(simulation.get("largestCount", 1))) if events else 1
        functional = simulation.get("functional")
        functional = None if functional is None else Functional(functional)
        ends = 0.0, 1.0
        if encoding is Encoding.DIRECT and "inputLow" in simulation:
            ends = scalar(simulation["inputLow"]), scalar(simulation["inputHigh"])
        answers = str(simulation.get("answers", ""))
    except (
        KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError
    ) as error:  # fmt: skip
        raise ModelError(
            f"{path}: not a network of lava-dl, or damaged ({error}); export it again "
            "with export_hdf5"
        ) from error
    if timesteps is None:
        raise ModelError(
            f"{path}: does not say how many timesteps an input lasts; give --timesteps"
        )
    training = Training(
        timesteps=timesteps,
        encoding=encoding,
        input_scale=scale[0],
        input_offset=scale[1],
        largest_count=count,
        heads=noted_heads(path, simulation.get("heads")),
        answers=answers,
        input_low=ends[0],
        input_high=ends[1],
    )
    return reader.graph(training, functional)


class _LavaDlLayers:
    """Collects the layers of one file, in their order."""

    def __init__(self, name: str, layers: dict[str, Any]) -> None:
        self.name = name
        self.layers = layers
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.outputs: list[str] = []  # of each layer of the file so far
        self.sources: list[str] = []  # what the next layer receives
        # of a value x that becomes a bias: its scale, and its offset
        self.bias_of: tuple[float, float] | None = None

    def add(self, node: Node) -> Node:
        """Add a node behind what came last, under a name that none has."""
        if node.name in self.nodes:
            node = replace(node, name=free_name(node.name, self.nodes))
        for source in self.sources:
            self.edges.append(Edge(source=source, target=node.name))
        self.nodes[node.name] = node
        self.sources = [node.name]
        return node

    def shape_of(self, name: str) -> Shape:
        return self.nodes[name].output_shape

    @property
    def shape(self) -> Shape:
        """The shape of what came last."""
        return self.shape_of(self.sources[0])

    def layer(self, key: str) -> None:
        """Add one layer of the file."""
        if key not in self.layers:
            raise ModelError(f"{self.name}: layer {key} is missing; export it again")
        layer = self.layers[key]
        kind = layer["type"]
        check_type(key, layer)
        if not self.nodes and kind != "input":
            shape = first_shape(key, layer)
            self.add(Input(name=INPUT_NAME, shape=shape))
        readers = {
            "input": self._input,
            "conv": self._conv,
            "pool": self._pool,
            "flatten": self._flat,
            "dense": self._dense,
            "dense_rec": self._dense,
            "average": self._average,
            "concat": self._concat,
        }
        if kind not in readers:
            raise ModelError(
                f"{key}: layers of type {kind!r} cannot be deployed; use "
                f"{', '.join(readers)} (average at the end)"
            )
        readers[kind](key, layer)
        self.outputs.append(self.sources[-1])

    def _one(self, key: str) -> Shape:
        """Return the shape of the one layer that the next receives."""
        if len(self.sources) != 1:
            raise ModelError(
                f"{key}: follows a concat; only conv, flatten and dense can"
            )
        return self.shape

    def _input(self, key: str, layer: dict[str, Any]) -> None:
        following = self.layers.get(str(int(key) + 1), {})
        shape = input_shape(key, layer, following)
        self.add(Input(name=INPUT_NAME, shape=shape))
        if "neuron" not in layer:
            return
        weight = scalar(layer.get("weight", UNIT))
        self.bias_of = weight, scalar(layer.get("bias", 0.0))
        self.add(each(f"{key}_transform", shape, weight))
        self._neurons(key, layer, shape, takes_bias=True)

    def _concat(self, key: str, layer: dict[str, Any]) -> None:
        """Let the next layer receive several."""
        before = int(key) - 1
        numbers = [int(n) for n in np.ravel(layer["layers"])]
        numbers = numbers if before in numbers else [before, *numbers]
        if any(not 0 <= n <= before for n in numbers):
            raise ModelError(
                f"{key}: joins the layers {numbers}; only those before it can be joined"
            )
        self.sources = [self.outputs[n] for n in numbers]
        declared = n_neurons(sizes(layer["shape"]))
        found = sum(n_neurons(self.shape_of(name)) for name in self.sources)
        if declared != found:
            raise ModelError(
                f"{key}: joins the layers {numbers} of {found} values, its shape says "
                f"{declared}; make the two fit"
            )

    def _pool(self, key: str, layer: dict[str, Any]) -> None:
        self.add(pooling(f"{key}_pool", layer, self._one(key)))
        self._neurons(key, layer, self.shape)

    def _flat(self, key: str, layer: dict[str, Any]) -> None:
        self._flatten(key)

    def _flatten(self, key: str) -> None:
        flat = []
        for number, source in enumerate(self.sources):
            if len(self.shape_of(source)) > 1:
                name = key if len(self.sources) == 1 else f"{key}_{number}"
                self.sources = [source]
                source = self.add(Flatten(name=name, shape=self.shape_of(source))).name
            flat.append(source)
        self.sources = flat

    def _weights(self, layers: list[Linear] | list[Conv2d]) -> list[str]:
        """Add a weight layer behind each source; return their names."""
        for source, layer in zip(self.sources, layers, strict=True):
            self.nodes[layer.name] = layer
            self.edges.append(Edge(source=source, target=layer.name))
        return [layer.name for layer in layers]

    def _conv(self, key: str, layer: dict[str, Any]) -> None:
        shapes = [self.shape_of(source) for source in self.sources]
        found = convolutions(key, layer, shapes)
        self.sources = self._weights(found)
        self._neurons(key, layer, found[0].output_shape)

    def _dense(self, key: str, layer: dict[str, Any]) -> None:
        if any(len(self.shape_of(source)) > 1 for source in self.sources):
            self._flatten(f"{key}_flatten")
        n_in = [self.shape_of(source)[0] for source in self.sources]
        found = fully_connected(key, layer, n_in)
        n_out = found[0].output_shape[0]
        layer = self._late_senders(key, layer, (n_out, sum(n_in)))
        self.sources = self._weights(found)
        neurons = self._neurons(key, layer, (n_out,))
        if "weight_rec" in layer:
            back = recurrent(f"{key}_recurrent", layer, n_out)
            self.nodes[back.name] = back
            self.edges.append(Edge(source=neurons.name, target=back.name, delay=1))
            self.edges.append(Edge(source=back.name, target=neurons.name))

    def _average(self, key: str, layer: dict[str, Any]) -> None:
        n_out, n_in = n_neurons(sizes(layer["shape"])), n_neurons(self._one(key))
        if n_out < 1 or n_in % n_out:
            raise ModelError(f"{key}: {n_in} neurons make no {n_out} equal groups")
        if len(self.shape) > 1:
            self._flatten(f"{key}_flatten")
        groups = np.repeat(np.eye(n_out), n_in // n_out, axis=1)
        self.add(Linear(name=key, weight=groups, bias=np.zeros(n_out)))

    def _neurons(
        self,
        key: str,
        layer: dict[str, Any],
        shape: Shape,
        *,
        takes_bias: bool = False,
    ) -> Neuron:
        neurons = read_neurons(key, layer, shape, takes_bias=takes_bias)
        if "delay" in layer and isinstance(neurons, Lif):
            neurons = self._delayed(
                key, neurons, np.asarray(layer["delay"], np.float64)
            )
        self.add(neurons)
        return neurons

    def _late_senders(
        self, key: str, layer: dict[str, Any], size: tuple[int, int]
    ) -> dict[str, Any]:
        """Delay what the layer receives, if its delays are those of its synapses.

        The layer is returned without them.
        """
        delay = np.floor(np.asarray(layer.get("delay", 0), np.float64))
        if delay.shape != size or np.any(delay != delay[:1]) or len(self.sources) > 1:
            return layer
        sender = self.sources[0]
        while isinstance(self.nodes[sender], Flatten):
            sender = next(e.source for e in self.edges if e.target == sender)
        node = self.nodes[sender]
        if isinstance(node, Input | Lif) and not node.axon_delay.any():
            late = delay[0].reshape(node.output_shape)
            self.nodes[sender] = replace(node, axon_delay=late)
            return {name: value for name, value in layer.items() if name != "delay"}
        raise ModelError(
            f"{key}: delays what it receives of {sender}, whose own axons have delays, "
            "or none; give the delays once"
        )

    def _delayed(self, key: str, neurons: Lif, delay: FloatArray) -> Lif:
        delay = np.floor(delay)
        if delay.size in (1, n_neurons(neurons.shape)):
            delay = delay.reshape(neurons.shape if delay.size > 1 else ())
            return replace(neurons, axon_delay=delay)
        raise ModelError(
            f"{key}: {delay.size} delays for {n_neurons(neurons.shape)} neurons; only "
            "delays of the layer's own axons can be deployed"
        )

    def graph(self, training: Training, functional: Functional | None) -> Graph:
        """Return the network; without a ``functional`` the output layer tells it."""
        last = self.nodes[self.sources[-1]]
        for edge in self.edges:
            if isinstance(self.nodes[edge.source], Integrator):
                raise ModelError(
                    f"{edge.target}: takes the spikes of {edge.source}, which has none "
                    "at that threshold; give it one, or end the network there"
                )
        keeps = isinstance(last, Integrator) and not (
            last.current_decay.all() and last.voltage_decay.all()
        )
        usual = Functional.LAST if keeps else Functional.SUM
        return Graph(
            name=self.name,
            nodes=tuple(self.nodes.values()),
            edges=tuple(self.edges),
            training=replace(training, functional=functional or usual),
            is_on_grid=True,
            output_name=self.sources[-1],
        )
