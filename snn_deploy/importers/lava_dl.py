"""Read the ``.net`` files of lava-dl: networks that are chip integers already.

Layers are numbered groups of an HDF5 file and become layers of the same names. Shapes
are (channel, height, width), weights (out, in, height, width, 1) and not flipped,
stride and padding (height, width); flattening keeps that order. Neurons of type LOIHI
or CUBA: ``iDecay`` and ``vDecay`` of 4096 are lost per timestep, ``vThMant`` and the
bias, which is added to the voltage, are in units of the synaptic sum, the reset is hard
and a spike needs ``v > threshold``. ``delay`` is that of a layer's own axons, one for
each neuron. A recurrent weight acts one timestep later. An input layer with neurons
receives ``spikes * weight + bias``, or the bias that comes with the data. ``average``,
as the last layer, becomes a sum over each group: the same answer. Other layers, other
neurons and a refractory delay over 1 are refused.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import FloatArray, Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.fixedpoint import DECAY_BITS
from snn_deploy.ir.graph import Edge, Functional, Graph, Training
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Neuron, Reset
from snn_deploy.ir.nodes import Conv2d, Flatten, Input, Linear, Node
from snn_deploy.spikes import Encoding

INPUT_NAME = "input"
# what lava-dl takes where a layer names none: it adds up for ever and never spikes
DEFAULT_NEURON = {"type": "CUBA", "iDecay": 0, "vDecay": 4096}


def read_lava_dl(path: Path) -> Graph:
    """Return the network in the ``.net`` file at ``path``.

    Raises
    ------
    ModelError
        If the file is missing, is no such file, or holds a layer or a parameter that
        has no counterpart.
    """
    import h5py

    if not path.is_file():
        raise ModelError(f"{path}: no such file; check the path")
    try:
        with h5py.File(path, "r") as file:
            reader = _Reader(path.stem)
            layers = file["layer"]
            for key in sorted(layers, key=int):
                reader.layer(key, {k: _value(v) for k, v in layers[key].items()})
            timesteps = int(file["simulation/tSample"][()])
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path}: not a network of lava-dl, or damaged ({error}); export it again "
            "with export_hdf5"
        ) from error
    return reader.graph(timesteps)


def _value(item: Any) -> Any:
    """Return a dataset as an array, a string, or a group as a dictionary."""
    if hasattr(item, "items"):
        return {key: _value(value) for key, value in item.items()}
    array = np.asarray(item[()])
    if array.dtype.kind in "SO":
        text = array.reshape(-1)[0]
        return text.decode("ascii") if isinstance(text, bytes) else str(text)
    return array


class _Reader:
    """Collects the layers of one file, in a row."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.output = ""

    def add(self, node: Node) -> Node:
        if self.nodes:
            self.edges.append(Edge(source=self.output, target=node.name))
        self.nodes.append(node)
        self.output = node.name
        return node

    @property
    def shape(self) -> Shape:
        return self.nodes[-1].output_shape if self.nodes else ()

    def layer(self, key: str, layer: dict[str, Any]) -> None:
        """Add one layer of the file."""
        match layer["type"]:
            case "input":
                self._input(key, layer)
            case "conv":
                self.add(_conv(f"{key}_conv", layer, self.shape))
                self._neurons(key, layer, self.shape)
            case "flatten":
                if len(self.shape) > 1:
                    self.add(Flatten(name=key, shape=self.shape))
            case "dense" | "dense_rec":
                self._dense(key, layer)
            case "average":
                self._average(key, layer)
            case kind:
                raise ModelError(
                    f"{key}: layers of type {kind!r} cannot be deployed; use input, "
                    "conv, flatten, dense, dense_rec, or average at the end"
                )

    def _input(self, key: str, layer: dict[str, Any]) -> None:
        shape = tuple(int(n) for n in layer["shape"])
        shape = shape if n_neurons(shape) != max(shape) else (max(shape),)
        self.add(Input(name=INPUT_NAME, shape=shape))
        if "neuron" not in layer:
            return
        weight = float(_scalar(layer.get("weight", 64)))
        self.add(_each(f"{key}_transform", shape, weight))
        self._neurons(key, layer, shape, takes_bias=True)

    def _dense(self, key: str, layer: dict[str, Any]) -> None:
        if len(self.shape) > 1:
            self.add(Flatten(name=f"{key}_flatten", shape=self.shape))
        n_out = n_neurons(tuple(int(n) for n in layer["shape"]))
        weight = np.asarray(layer["weight"], np.float64).reshape(n_out, -1)
        self.add(Linear(name=f"{key}_dense", weight=weight, bias=np.zeros(n_out)))
        neurons = self._neurons(key, layer, (n_out,))
        if "weight_rec" in layer:
            recurrent = np.asarray(layer["weight_rec"], np.float64)
            name = f"{key}_recurrent"
            self.nodes.append(
                Linear(
                    name=name,
                    weight=recurrent.reshape(n_out, n_out),
                    bias=np.zeros(n_out),
                )
            )
            self.edges.append(Edge(source=neurons.name, target=name, delay=1))
            self.edges.append(Edge(source=name, target=neurons.name))

    def _average(self, key: str, layer: dict[str, Any]) -> None:
        n_out = n_neurons(tuple(int(n) for n in layer["shape"]))
        n_in = n_neurons(self.shape)
        if n_in % n_out:
            raise ModelError(f"{key}: {n_in} neurons make no {n_out} equal groups")
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
        neurons = _neurons(key, layer, shape, takes_bias=takes_bias)
        if "delay" in layer and isinstance(neurons, Lif):
            neurons = self._delayed(
                key, neurons, np.asarray(layer["delay"], np.float64)
            )
        self.add(neurons)
        return neurons

    def _delayed(self, key: str, neurons: Lif, delay: FloatArray) -> Lif:
        delay = np.floor(delay)
        if delay.size in (1, n_neurons(neurons.shape)):
            delay = delay.reshape(neurons.shape if delay.size > 1 else ())
            return replace(neurons, axon_delay=delay)
        raise ModelError(
            f"{key}: {delay.size} delays for {n_neurons(neurons.shape)} neurons; only "
            "delays of the layer's own axons can be deployed"
        )

    def graph(self, timesteps: int) -> Graph:
        """Return the network."""
        return Graph(
            name=self.name,
            nodes=tuple(self.nodes),
            edges=tuple(self.edges),
            training=Training(
                timesteps=timesteps,
                encoding=Encoding.EVENTS,
                functional=Functional.SUM,
            ),
            is_on_grid=True,
            output_name=self.output,
        )


def _scalar(value: Any) -> float:
    return float(np.asarray(value, np.float64).reshape(-1)[0])


def _each(name: str, shape: Shape, weight: float) -> Linear | Conv2d:
    """Return a layer that multiplies every value."""
    if len(shape) == 1:
        n = shape[0]
        return Linear(name=name, weight=weight * np.eye(n), bias=np.zeros(n))
    channels = shape[0]
    return Conv2d(
        name=name,
        weight=np.full((channels, 1, 1, 1), weight),
        bias=np.zeros(channels),
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=channels,
        shape=shape,
    )


def _conv(name: str, layer: dict[str, Any], shape: Shape) -> Conv2d:
    weight = np.asarray(layer["weight"], np.float64)
    weight = weight.reshape(weight.shape[:4])
    return Conv2d(
        name=name,
        weight=weight,
        bias=np.zeros(len(weight)),
        stride=_pair(layer["stride"]),
        padding=_pair(layer["padding"]),
        dilation=_pair(layer["dilation"]),
        groups=int(_scalar(layer["groups"])),
        shape=shape,
    )


def _bias(layer: dict[str, Any], shape: Shape) -> FloatArray:
    """Return the bias of each neuron: the chip adds it to the voltage."""
    bias = np.asarray(layer.get("bias", 0.0), np.float64).reshape(-1)
    if bias.size == 1:
        return bias.reshape(())
    if bias.size == shape[0]:
        return bias.reshape(-1, *(1,) * (len(shape) - 1))
    return bias.reshape(shape)


def _pair(value: Any) -> tuple[int, int]:
    pair = np.broadcast_to(np.asarray(value, int).reshape(-1), 2)
    return int(pair[0]), int(pair[1])


def _neurons(
    key: str, layer: dict[str, Any], shape: Shape, *, takes_bias: bool
) -> Neuron:
    neuron = layer.get("neuron", DEFAULT_NEURON)
    kind = neuron["type"]
    if kind not in ("LOIHI", "CUBA"):
        raise ModelError(
            f"{key}: neurons of type {kind!r} cannot be deployed; use LOIHI or CUBA"
        )
    for parameter, needed in (("refDelay", 1), ("wgtExp", 0)):
        value = _scalar(neuron.get(parameter, needed))
        if value != needed:
            raise ModelError(
                f"{key}: {parameter} is {value:g}, only {needed} can be deployed"
            )
    unit = 1 << DECAY_BITS
    dynamics: dict[str, Any] = {
        "name": key,
        "shape": shape,
        "current_decay": np.array(_scalar(neuron["iDecay"]) / unit),
        "voltage_decay": np.array(_scalar(neuron["vDecay"]) / unit),
        "input_gain": np.array(1.0),
        "bias": _bias(layer, shape),
        "initial_voltage": np.array(0.0),
        "takes_bias": takes_bias,
    }
    if "neuron" not in layer:
        return Integrator(**dynamics)
    threshold = np.array(_scalar(neuron["vThMant"]))
    return Lif(
        **dynamics,
        threshold=threshold,
        reset=Reset.HARD,
        reset_amount=threshold,
        comparison=Comparison.GREATER,
        spike_value=1.0,
    )
