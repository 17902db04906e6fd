"""Collect the layers of an ONNX graph: values, constants, elementwise steps."""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.importers.joining import joined, named_heads, with_one_input
from snn_deploy.importers.onnx.constants import computed, shape_of
from snn_deploy.importers.onnx.file import OnnxModel, Operator
from snn_deploy.importers.onnx.layers import Steps, activation
from snn_deploy.importers.onnx.quantization import Levels
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.heads import Head
from snn_deploy.ir.inputs import NamedInput
from snn_deploy.ir.nodes import Input, Node, affine
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.names import shown

logger = logging.getLogger(__name__)
DEFAULT_TIMESTEPS = 32  # of the spiking network; a conventional one has none
MOST_NAMED = 3
PASSED = ("Identity", "Dropout", "Cast")
SUPPORTED = (
    "Conv, ConvTranspose, Gemm, MatMul, BatchNormalization, AveragePool, "
    "GlobalAveragePool, Concat of channels, Pad with zeros, Resize to whole factors, "
    "ReduceMean over the positions, Flatten, Reshape and Squeeze to a row, Add, Relu, "
    "Clip, Floor, Transpose between channels first and last, QuantizeLinear and "
    "DequantizeLinear behind one another, and Add, Sub, Mul, Div with constants"
)
TO_FIRST = ((0, 3, 1, 2), (0, 2, 1))  # axes by which channels come first
_ELEMENTWISE = (*PASSED, "Add", "Sub", "Mul", "Div")


@dataclass(frozen=True)
class Value:
    """A layer's output, and elementwise steps on it that no layer does yet."""

    layer: str
    steps: Steps = field(default_factory=Steps)
    name: str = ""  # of the first step
    is_last: bool = False  # in the file its channels come last
    row_of: Shape = ()  # it is a row, in the file of a map whose channels came last


@dataclass(frozen=True)
class Ended:
    """What stands behind the outputs, and leaves the largest the largest."""

    operator: str
    name: str
    source: str


@dataclass(frozen=True)
class Unknown:
    """The output of an operator that has no counterpart."""

    operator: str
    name: str


class Builder:
    """Collects layers and edges in the order of the file.

    Its methods ``read_<operator>``, of the class derived from it, convert one operator.
    """

    def __init__(self, path: Path, model: OnnxModel) -> None:
        self.path = path
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.constants: dict[str, AnyArray] = dict(model.constants)
        self.values: dict[str, Value | Ended | Unknown] = {}
        # scale and offset of each input
        self.input_uses: dict[str, set[tuple[float, float]]] = {}
        self.unrounded: list[str] = []  # quantizations that are left out
        self.quantized: dict[str, tuple[Value, Levels]] = {}  # not yet dequantized
        for kind, items in (("inputs", model.inputs), ("outputs", model.outputs)):
            if not items:
                raise ModelError(
                    f"{path}: no {kind}, needed is 1; export the part between an input "
                    "and an output"
                )
        self.outputs = [*model.outputs]
        self.shapes = {**model.inputs, **model.shapes}
        for name, sizes in model.inputs.items():
            is_last = _reads_channels_last(model, name)
            start = Input(name=_plain(name), shape=self._shape(name, sizes, is_last))
            value = replace(self.add(start), is_last=is_last)
            self.values[name] = value
            self.input_uses[value.layer] = set()

    def _shape(self, name: str, sizes: list[int | str], is_last: bool) -> Shape:
        """Return the shape of the input, without the batch."""
        wrong = [size for size in sizes[1:] if not isinstance(size, int) or size < 1]
        if wrong or len(sizes) not in (2, 3, 4):
            raise ModelError(
                f"{self.path}: the input {name} has shape "
                f"({', '.join(map(str, sizes))}); give a batch, then 1 to 3 axes of "
                "fixed size, by exporting without dynamic axes but the first"
            )
        rest = tuple(int(size) for size in sizes[1:])
        if is_last:
            rest = (rest[-1], *rest[:-1])
            logger.warning(
                f"{self.path}: the channels of {name} come last in the file, and first "
                f"in the network; give inputs of {rest}, np.moveaxis(x, -1, 1)"
            )
        return (rest[0], 1, rest[1]) if len(rest) == 2 else rest

    def operator(self, item: Operator) -> None:
        """Add one operator of the file."""
        kind, name = item.op_type, self._name(item)
        if self._is_constant(item):
            return
        if kind in PASSED:
            source, target = item.input[0], item.output[0]
            if source in self.constants:
                self.constants[target] = self.constants[source]
            elif source in self.values:
                self.values[target] = self.values[source]
            return
        convert = getattr(self, f"read_{kind.lower()}", None)
        if convert is None or item.domain not in ("", "ai.onnx"):
            self.values[item.output[0]] = Unknown(kind, name)
            return
        value = convert(item, name)
        if value is not None:
            self.values[item.output[0]] = value

    def _is_constant(self, item: Operator) -> bool:
        """Return whether an operator gives a constant, which is kept."""
        inputs = [self.constants[n] for n in item.input if n in self.constants]
        if item.op_type == "Constant":
            found = item.attributes.get("value")
        elif item.op_type == "Shape":
            found = shape_of(item, self.shapes.get(item.input[0], []))
        elif inputs and len(inputs) == len(item.input):
            found = computed(item, inputs)
        else:
            return False
        if found is not None:
            self.constants[item.output[0]] = found
        return found is not None or item.op_type == "Constant"

    def _name(self, item: Operator) -> str:
        name = _plain(item.name or item.output[0])
        first, _, last = name.rpartition("/")
        return first if first and last.startswith(item.op_type) else name

    def value(self, name: str, of: str) -> Value:
        """Return what stands for an output, or raise what is wrong with it."""
        found = self.values.get(name)
        if isinstance(found, Unknown | Ended):
            where = "" if isinstance(found, Unknown) else " but behind the outputs"
            raise ModelError(
                f"{found.name}: ONNX's {found.operator} cannot be deployed{where}; use "
                f"{SUPPORTED}"
            )
        if found is None:
            raise ModelError(
                f"{of}: takes {name or 'nothing'}, which does not come from the input; "
                "only constants may"
            )
        return found

    def constant(self, item: Operator, position: int, name: str) -> FloatArray:
        """Return a weight of an operator."""
        wanted = item.input[position] if position < len(item.input) else ""
        if wanted not in self.constants:
            raise ModelError(
                f"{name}: its input {position + 1} is computed, only stored weights "
                "can be deployed; export the trained model"
            )
        return np.asarray(self.constants[wanted], np.float64)

    def add(self, node: Node, *sources: str) -> Value:
        """Add a layer; return its output."""
        while node.name in self.nodes:
            node = replace(node, name=f"{node.name}_again")
        self.nodes[node.name] = node
        self.edges += [Edge(source=s, target=node.name) for s in sources]
        return Value(node.name)

    def settled(self, name: str, of: str) -> str:
        """Return the layer that computes a value, its elementwise steps done."""
        value = self.in_file_order(name, of)
        if value.is_last or value.row_of:
            raise ModelError(
                f"{of}: takes what {value.layer} gives with its channels last, as only "
                "sums, matrices, means over all positions and Transpose can; export "
                "the model with channels first"
            )
        return value.layer

    def in_file_order(self, name: str, of: str) -> Value:
        """Return a value, its elementwise steps done, whatever comes last in it."""
        value = self.value(name, of)
        layer, piece = self.nodes[value.layer], value.steps.before
        if isinstance(layer, Input) and not value.steps.is_activation:
            self.input_uses[layer.name].add((piece.gain, piece.shift))
            return replace(value, steps=Steps())
        if value.steps == Steps():
            return value
        if value.steps.is_activation:
            settled = self.add(
                activation(value.name, layer.output_shape, value.steps), value.layer
            )
        else:
            channels = layer.output_shape[0]
            factors = np.full(channels, piece.gain), np.full(channels, piece.shift)
            settled = self.affine(value.name, value.layer, *factors)
        settled = replace(settled, is_last=value.is_last, row_of=value.row_of)
        self.values[name] = settled
        return settled

    def affine(
        self, name: str, layer: str, scale: FloatArray, shift: FloatArray
    ) -> Value:
        """Add a factor and a constant for each channel."""
        shape = self.nodes[layer].output_shape
        return self.add(affine(name, shape, scale, shift), layer)

    def _read_out(self, called: str) -> tuple[str, str]:
        """Return the layer that is read out, and what is dropped behind it."""
        name = called
        dropped: list[str] = []
        while isinstance(found := self.values.get(name), Ended):
            logger.warning(
                f"{found.name}: {found.operator} behind the outputs is dropped; the "
                "largest output stays the largest"
            )
            dropped.insert(0, found.operator)
            name = found.source
        output = self.settled(name, name)
        shape = self.nodes[output].output_shape
        if name != called and len(shape) != 1:
            raise ModelError(
                f"{called}: gives values over {shape}; only what stands behind a "
                "row of outputs can be dropped"
            )
        return output, ", ".join(dropped)

    def _input_factors(self) -> tuple[float, float]:
        """Return the scale and the offset of all inputs.

        Where they differ, they become layers behind the inputs.
        """
        factors = {start: next(iter(uses)) for start, uses in self.input_uses.items()}
        if len({*factors.values()}) == 1:
            return next(iter(factors.values()))
        for start, (scale, offset) in factors.items():
            edges = [edge for edge in self.edges if edge.source == start]
            shape = self.nodes[start].output_shape
            node = affine(f"{start}_scale", shape, np.array(scale), np.array(offset))
            scaled = self.add(node, start).layer
            self.edges = [
                replace(edge, source=scaled) if edge in edges else edge
                for edge in self.edges
            ]
        return 1.0, 0.0

    def graph(self, name: str) -> Graph:
        """Return the network."""
        found = [self._read_out(called) for called in self.outputs]
        ends, dropped = [end for end, _ in found], [behind for _, behind in found]
        for start, uses in self.input_uses.items():
            if not uses:
                raise ModelError(
                    f"{self.path}: nothing is computed from the input {start}; leave "
                    "it out"
                )
            if len(uses) > 1:
                raise ModelError(
                    f"{self.path}: the input {start} is used with {len(uses)} "
                    "different scales and offsets; use one for all layers"
                )
        if self.unrounded:
            logger.warning(
                f"{self.path}: {len(self.unrounded)} values that are quantized without "
                f"an activation ({', '.join(self.unrounded[:MOST_NAMED])}) are taken "
                "as they are, neither rounded nor cut: sums have no levels on a chip"
            )
        scale, offset = self._input_factors()
        used = _needed(self.edges, ends)
        nodes = [n for n in self.nodes.values() if n.name in used]
        edges, output = [e for e in self.edges if e.target in used], ends[0]
        heads: tuple[Head, ...] = ()
        if len(ends) > 1:
            sizes = {
                shown(called): n_neurons(self.nodes[end].output_shape)
                for called, end in zip(self.outputs, ends, strict=True)
            }
            nodes, edges, output = joined(nodes, edges, ends)
            heads = named_heads(sizes)
        inputs: tuple[NamedInput, ...] = ()
        if len(self.input_uses) > 1:
            nodes, edges, inputs = with_one_input(nodes, edges)
        graph = Graph(
            name=name,
            nodes=tuple(nodes),
            edges=tuple(edges),
            training=Training(
                timesteps=DEFAULT_TIMESTEPS,
                encoding=Encoding.DIRECT,
                input_scale=scale,
                input_offset=offset,
                heads=heads,
                inputs=inputs,
            ),
            output_name=output,
        )
        heads = tuple(
            replace(head, is_mean=True, dropped=behind)  # one pass
            for head, behind in zip(graph.heads, dropped, strict=True)
        )
        return replace(graph, training=replace(graph.training, heads=heads))


def _reads_channels_last(model: OnnxModel, name: str) -> bool:
    """Return whether the first that happens to the input is that channels come first.

    Beside steps that do the same to each value.
    """
    names = {name}
    for item in model.operators:
        if not names & {*item.input}:
            continue
        if item.op_type == "Transpose":
            return tuple(item.attributes.get("perm", ())) in TO_FIRST
        if item.op_type in _ELEMENTWISE:
            names |= {*item.output}
    return False


def _plain(name: str) -> str:
    return name.strip("/") or "layer"


def _needed(edges: list[Edge], outputs: list[str]) -> set[str]:
    """Return the layers that the outputs depend on."""
    found, waiting = {*outputs}, [*outputs]
    while waiting:
        name = waiting.pop()
        before = {e.source for e in edges if e.target == name} - found
        found |= before
        waiting += before
    return found
