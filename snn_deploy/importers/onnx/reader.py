"""Read ONNX files: conventional networks, to be run as spiking ones.

The first axis is the batch and left out; (channel, length) becomes (channel, 1,
length). Exports of Keras have channels last, and Transpose operators around what needs
them first: those are no layers, and the columns of a matrix behind a flatten are put in
our order. Weight layers, batch normalizations, poolings and flattens become layers;
elementwise steps in between become activations (``onnx_activations``) or, where they
only scale and shift, a batch normalization. On the input they become its scale and
offset. An operator that the output does not need is not looked at; every other one
without a counterpart is refused by name.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from snn_deploy.arrays import FloatArray, Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.importers.onnx.builder import TO_FIRST, Builder, Ended, Unknown, Value
from snn_deploy.importers.onnx.file import Operator, load_onnx
from snn_deploy.importers.onnx.layers import (
    average_pool,
    batch_norm,
    convolution,
    fully_connected,
    pads_of,
    transposed,
    upsampling,
)
from snn_deploy.importers.onnx.quantization import Levels, levels_of
from snn_deploy.importers.options import NO_OPTIONS, ReadOptions
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Qcfs, Relu
from snn_deploy.ir.nodes import Add, AvgPool2d, Flatten, Input, shifted
from snn_deploy.ir.scatter import Channels, Upsample2d
from snn_deploy.names import shown

# what operators raise whose attributes or weights the checker has let through
_DAMAGED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def read_onnx(path: Path, options: ReadOptions = NO_OPTIONS) -> Graph:
    """Return the network in the ONNX file at ``path``, which needs no options.

    ReLUs without an upper end have the maximum ``balance.UNKNOWN``, until
    ``balance`` sets it.

    Raises
    ------
    ModelError
        If the file cannot be read, has no input or no output, sizes that are not fixed,
        or an operator that has no counterpart.
    """
    model = load_onnx(path)
    try:
        builder = _Operators(path, model)
        for item in model.operators:
            builder.operator(item)
        return builder.graph(shown(path.stem))
    except _DAMAGED as error:
        raise ModelError(
            f"{path}: an operator or a weight that contradicts itself ({error}); "
            "export the model again"
        ) from error


class _Operators(Builder):
    """Converts operators to layers, or to elementwise steps between them."""

    def _step(self, item: Operator, name: str, kind: str, *values: float) -> Value:
        before = self.value(item.input[0], name)
        steps = before.steps.then(name, kind, *values)
        return replace(before, steps=steps, name=before.name or name)

    def read_conv(self, item: Operator, name: str) -> Value:
        source = self.settled(item.input[0], name)
        weight = self.constant(item, 1, name)
        bias = self.constant(item, 2, name) if _has(item, 2) else np.zeros(len(weight))
        shape = self.nodes[source].output_shape
        pads = pads_of(item, shape[2 - weight.ndim :], weight.shape[2:])
        half = len(pads) // 2
        if pads[:half] != pads[half:]:  # on both sides, each its own
            source, pads = self._padded(source, f"{name}_pad", pads), ()
        attributes = {**item.attributes, "pads": pads, "auto_pad": "NOTSET"}
        item = replace(item, attributes=attributes)
        shape = self.nodes[source].output_shape
        return self.add(convolution(item, name, weight, bias, shape), source)

    def read_convtranspose(self, item: Operator, name: str) -> Value:
        source = self.settled(item.input[0], name)
        weight = self.constant(item, 1, name)
        bias = self.constant(item, 2, name) if _has(item, 2) else np.zeros(1)
        shape = self.nodes[source].output_shape
        return self.add(transposed(item, name, weight, bias, shape), source)

    def read_pad(self, item: Operator, name: str) -> Value:
        source = self.settled(item.input[0], name)
        found = item.attributes
        pads = found["pads"] if "pads" in found else self.constant(item, 1, name)
        value = self.constant(item, 2, name).item() if _has(item, 2) else 0.0
        if found.get("mode", "constant") != "constant" or value or _has(item, 3):
            raise ModelError(
                f"{name}: pads in mode {found.get('mode', 'constant')} with {value:g}; "
                "only zeros on all axes in order can be deployed"
            )
        before, behind = np.split(np.asarray(pads, np.int64), 2)
        if before[:2].any() or behind[:2].any() or len(before) not in (3, 4):
            raise ModelError(f"{name}: pads channels; only positions can be padded")
        ends = (before[2:].tolist(), behind[2:].tolist())
        return Value(self._padded(source, name, (*ends[0], *ends[1])))

    def _padded(self, source: str, name: str, pads: tuple[int, ...]) -> str:
        """Add zeros around maps, at the beginning and the end of each axis."""
        if len(pads) == 2:
            pads = (0, pads[0], 0, pads[1])
        top, left, bottom, right = pads
        shape = self.nodes[source].output_shape
        node = shifted(name, shape, (top, bottom), (left, right))
        return self.add(node, source).layer

    def read_resize(self, item: Operator, name: str) -> Value:
        source = self.settled(item.input[0], name)
        shape = self.nodes[source].output_shape
        last = len(item.input) - 1  # sizes; or scales, which come before
        values = self.constant(item, last, name).reshape(-1)
        if last == 3:
            values = values / (1, shape[0], *shape[-(len(values) - 2) :])
        return self.add(upsampling(item, name, values, shape), source)

    read_upsample = read_resize

    def read_concat(self, item: Operator, name: str) -> Value:
        values = [self.in_file_order(n, name) for n in item.input]
        shapes = [self.nodes[value.layer].output_shape for value in values]
        n_axes = self._n_axes(item, shapes[0])
        orders = {(value.is_last, bool(value.row_of)) for value in values}
        axis = item.attributes.get("axis", 1) % n_axes
        is_last = values[0].is_last
        if (
            len(orders) > 1
            or values[0].row_of
            or axis != (n_axes - 1 if is_last else 1)
        ):
            raise ModelError(
                f"{name}: concatenates along axis {axis}; only channels, in one order, "
                "can be deployed"
            )
        whole, first = sum(shape[0] for shape in shapes), 0
        parts = []
        for value, shape in zip(values, shapes, strict=True):
            part = Channels(
                name=f"{name}_{value.layer}", shape=shape, first=first, n_channels=whole
            )
            parts.append(self.add(part, value.layer).layer)
            first += shape[0]
        total = Add(name=name, shape=(whole, *shapes[0][1:]))
        return replace(self.add(total, *parts), is_last=is_last)

    def _n_axes(self, item: Operator, shape: Shape) -> int:
        """Return how many axes an output has in the file: a line has one less."""
        found = self.shapes.get(item.output[0])
        return len(found) if found else len(shape) + 1

    def read_gemm(self, item: Operator, name: str) -> Value:
        bias = self.constant(item, 2, name) if _has(item, 2) else np.zeros(1)
        return self._matrix(item, name, bias)

    def read_matmul(self, item: Operator, name: str) -> Value:
        return self._matrix(item, name, np.zeros(1))

    def _matrix(self, item: Operator, name: str, bias: FloatArray) -> Value:
        source = self.in_file_order(item.input[0], name)
        weight = self.constant(item, 1, name)
        if not source.row_of:
            layer = self.settled(item.input[0], name)
            return self.add(fully_connected(item, name, weight, bias), layer)
        found = fully_connected(item, name, weight, bias)
        channels, *positions = source.row_of
        columns = found.weight.reshape(len(found.weight), *positions, channels)
        ours = np.moveaxis(columns, -1, 1).reshape(found.weight.shape)
        return self.add(replace(found, weight=ours), source.layer)

    def read_batchnormalization(self, item: Operator, name: str) -> Value:
        source = self.settled(item.input[0], name)
        parameters = [self.constant(item, at, name) for at in range(1, 5)]
        shape = self.nodes[source].output_shape
        return self.add(batch_norm(item, name, parameters, shape), source)

    def read_averagepool(self, item: Operator, name: str) -> Value:
        source = self.settled(item.input[0], name)
        shape = self.nodes[source].output_shape
        return self.add(average_pool(item, name, shape), source)

    def read_globalaveragepool(self, item: Operator, name: str) -> Value:
        return self._over_all(self.settled(item.input[0], name), name)

    def read_reducemean(self, item: Operator, name: str) -> Value:
        axes = item.attributes.get("axes")
        found = self.constant(item, 1, name) if axes is None else np.asarray(axes)
        value = self.in_file_order(item.input[0], name)
        source, positions = value.layer, {1, 2} if value.is_last else {2, 3}
        n_axes = len(self.nodes[source].output_shape) + 1
        if n_axes != 4 or {int(a) % n_axes for a in found} != positions:
            raise ModelError(
                f"{name}: the mean over the axes {found.astype(int).tolist()}, only "
                "that over all positions of an image can be deployed"
            )
        pooled = self._over_all(source, name)
        if item.attributes.get("keepdims", 1):
            return replace(pooled, is_last=value.is_last)
        return self._row(pooled, f"{name}_flatten")

    def _over_all(self, source: str, name: str) -> Value:
        shape = self.nodes[source].output_shape
        size = shape[1], shape[-1]
        pool = AvgPool2d(name=name, kernel=size, stride=size, shape=shape)
        return self.add(pool, source)

    def _row(self, value: Value, name: str) -> Value:
        shape = self.nodes[value.layer].output_shape
        if len(shape) == 1:
            return value
        row = self.add(Flatten(name=name, shape=shape), value.layer)
        is_turned = value.is_last and n_neurons(shape[1:]) > 1
        return replace(row, row_of=shape) if is_turned else row

    def read_flatten(self, item: Operator, name: str) -> Value:
        axis = item.attributes.get("axis", 1)
        if axis != 1:
            raise ModelError(f"{name}: flattens from axis {axis}; only 1, the batch "
                             "kept, can be deployed")  # fmt: skip
        return self._row(self.in_file_order(item.input[0], name), name)

    def read_reshape(self, item: Operator, name: str) -> Value:
        source = self.in_file_order(item.input[0], name)
        shape = self.nodes[source.layer].output_shape
        wanted = self.constants.get(item.input[1])
        sizes = () if wanted is None else tuple(int(n) for n in wanted.reshape(-1))[1:]
        in_file = (*shape[1:], shape[0]) if source.is_last else shape
        kept = tuple(n for n in in_file if n != 1)
        if wanted is not None and tuple(n for n in sizes if n != 1) == kept:
            return source if len(sizes) > 1 else self._row(source, name)
        is_row = len(sizes) == 1 and sizes[0] in (-1, n_neurons(shape))
        if not (is_row or self._is_row(item, n_neurons(shape))):
            raise ModelError(
                f"{name}: turns {shape} into {sizes or 'a computed shape'}; only a row "
                "of all values can be deployed, the batch kept"
            )
        return self._row(source, name)

    def _is_row(self, item: Operator, size: int) -> bool:
        """Return whether shape inference finds the output to be ``(batch, size)``."""
        return self.shapes.get(item.output[0], [])[1:] == [size]

    read_squeeze = read_reshape

    def read_add(self, item: Operator, name: str) -> Value:
        names = [n for n in item.input if n not in self.constants]
        if len(names) == 2:
            a, b = (self.in_file_order(n, name) for n in names)
            if (a.is_last, a.row_of) != (b.is_last, b.row_of):
                self.settled(names[0], name)
                self.settled(names[1], name)
            shape = self.nodes[a.layer].output_shape
            total = self.add(Add(name=name, shape=shape), a.layer, b.layer)
            return replace(total, is_last=a.is_last, row_of=a.row_of)
        return self._arithmetic(item, name, "Add", sign=1.0)

    def read_sub(self, item: Operator, name: str) -> Value:
        return self._arithmetic(item, name, "Add", sign=-1.0)

    def read_mul(self, item: Operator, name: str) -> Value:
        return self._arithmetic(item, name, "Mul", sign=1.0)

    def read_div(self, item: Operator, name: str) -> Value:
        return self._arithmetic(item, name, "Mul", sign=-1.0)

    def _arithmetic(self, item: Operator, name: str, kind: str, sign: float) -> Value:
        """Add or multiply by a constant; ``sign`` -1 subtracts or divides by it."""
        first_is_constant = item.input[0] in self.constants
        if len(item.input) != 2 or (first_is_constant and sign < 0):
            raise ModelError(
                f"{name}: ONNX's {item.op_type} of a constant and a value; only the "
                "value may come first"
            )
        constant = self.constant(item, 0 if first_is_constant else 1, name)
        source = item.input[1 if first_is_constant else 0]
        if kind == "Mul" and np.any(constant == 0):
            raise ModelError(f"{name}: a factor of 0, nothing passes; remove it")
        values = constant**sign if kind == "Mul" else sign * constant
        if values.size == 1:
            before = self.value(source, name)
            steps = before.steps.then(name, kind, float(values.item()))
            return replace(before, steps=steps, name=before.name or name)
        layer = self.settled(source, name)
        each = _per_channel(name, values, self.nodes[layer].output_shape)
        neutral = np.zeros_like(each) if kind == "Mul" else np.ones_like(each)
        pair = (each, neutral) if kind == "Mul" else (neutral, each)
        return self.affine(name, layer, *pair)

    def read_transpose(self, item: Operator, name: str) -> Value | Unknown:
        value = self.values.get(item.input[0])
        axes = tuple(int(n) for n in item.attributes.get("perm", ()))
        if not isinstance(value, Value) or value.row_of:
            return Unknown(item.op_type, name)
        if axes == tuple(range(len(axes))) and axes:
            return value
        known = TO_FIRST if value.is_last else ((0, 2, 3, 1), (0, 2, 1))
        if axes not in known:
            return Unknown(item.op_type, name)
        return replace(value, is_last=not value.is_last)

    def read_softmax(self, item: Operator, name: str) -> Ended | Unknown:
        if item.attributes.get("axis", -1) not in (-1, 1):
            return Unknown(item.op_type, name)
        return Ended(item.op_type, name, item.input[0])

    read_logsoftmax = read_softmax

    def read_sigmoid(self, item: Operator, name: str) -> Ended:
        return Ended(item.op_type, name, item.input[0])

    def read_quantizelinear(self, item: Operator, name: str) -> None:
        levels = self._levels(item, name)
        source, target = item.input[0], item.output[0]
        if source in self.constants:
            values = self.constant(item, 0, name)
            scale, zero = levels.along(item, values)
            stored = np.rint(values / scale) + zero
            self.constants[target] = np.clip(stored, levels.low, levels.high)
            return
        value = self.value(source, name)
        is_cut = levels.cuts_at_zero and self._is_sum(value.layer)
        if value.steps.is_activation or is_cut:
            steps = levels.rounded(value.steps, name)
            value = replace(value, steps=steps, name=value.name or name)
        else:
            self.unrounded.append(name)
        self.quantized[target] = value, levels

    def read_dequantizelinear(self, item: Operator, name: str) -> Value | None:
        levels, source = self._levels(item, name), item.input[0]
        if source in self.constants:
            values = self.constant(item, 0, name)
            scale, zero = levels.along(item, values)
            self.constants[item.output[0]] = (values - zero) * scale
            return None
        value, before = self.quantized.get(source, (None, levels))
        if value is None or not levels.is_same(before):
            raise ModelError(
                f"{name}: dequantizes {source}, which nothing quantizes with the same "
                "scale and zero point; export in the QDQ format, both around each "
                "operator"
            )
        return value

    def _is_sum(self, layer: str) -> bool:
        """Return whether what a layer gives is no activation's output yet."""
        if not isinstance(self.nodes[layer], Flatten | AvgPool2d | Upsample2d):
            return not isinstance(self.nodes[layer], Input | Relu | Qcfs)
        return any(self._is_sum(e.source) for e in self.edges if e.target == layer)

    def _levels(self, item: Operator, name: str) -> Levels:
        scale = self.constant(item, 1, name).reshape(-1)
        zero = self.constants.get(item.input[2]) if _has(item, 2) else None
        return levels_of(item, name, scale, zero)

    def read_relu(self, item: Operator, name: str) -> Value:
        return self._step(item, name, "Clip", 0.0, np.inf)

    def read_floor(self, item: Operator, name: str) -> Value:
        return self._step(item, name, "Floor")

    def read_clip(self, item: Operator, name: str) -> Value:
        found = item.attributes
        ends = [found.get("min", -np.inf), found.get("max", np.inf)]
        for at in (1, 2):
            if _has(item, at):
                ends[at - 1] = float(self.constant(item, at, name).reshape(()))
        return self._step(item, name, "Clip", *ends)


def _has(item: Operator, position: int) -> bool:
    return len(item.input) > position and item.input[position] != ""


def _per_channel(name: str, values: FloatArray, shape: Shape) -> FloatArray:
    """Return one value for each channel, of an array that broadcasts from the right."""
    try:
        each = np.broadcast_to(values, (1, *shape))[0].reshape(shape[0], -1)
    except ValueError:
        each = np.zeros((shape[0], 0))
    if each.size == 0 or np.any(each != each[:, :1]):
        raise ModelError(
            f"{name}: a constant of shape {values.shape} beside values of {shape}; "
            "give one for each channel"
        )
    return np.array(each[:, 0])
