"""Write one timestep of an integer network as an ONNX model.

Its input are the spikes of a batch (bytes, where they are graded), its outputs what the
host reads, and the spikes of each layer. Everything that a layer keeps is an input with
a default, its value at rest, and an output called the same and ``.next``. So a run
feeds back what it got::

    session = onnxruntime.InferenceSession("model.onnx")
    names = [item.name for item in session.get_outputs()]
    state = {}
    for spikes in stimulus:
        found = dict(zip(names, session.run(None, {"input": spikes, **state})))
        state = {n[:-5]: v for n, v in found.items() if n.endswith(".next")}
        print(found["output"])

All layers act within one timestep; the order of what a neuron does is that of
``ir.dynamics``, and so is every integer.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray, IntArray, Shape, spread
from snn_deploy.errors import FitError
from snn_deploy.files.writing import write_whole
from snn_deploy.fixedpoint import (
    DECAY_BITS,
    INPUT_SHIFT,
    STATE_BITS,
    VOLTAGE_LIMIT,
    shift,
)
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.synapses import ConvSynapses, SparseSynapses

OPSET, IR_VERSION = 18, 9  # of ONNX 1.14 and ONNX Runtime 1.15, from 2023
Size = int | str


class Form:
    """Collects a graph; values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, AnyArray] = {}
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def op(self, kind: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        """Add an operator; return the name of its output."""
        from onnx import helper

        name = result or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        """Return the name of a constant."""
        array = np.asarray(values, dtype)
        for name, known in self.constants.items():
            if array.size == 1 and known.dtype == array.dtype and (
                known.shape == array.shape and known == array
            ):  # fmt: skip
                return name
        name = f"constant_{len(self.constants)}"
        self.constants[name] = array
        return name

    def row(self, values: AnyArray) -> str:
        """Return a constant for each neuron, or one if they are all equal."""
        first = values.flat[0]
        return self.constant(first if np.all(values == first) else values[np.newaxis])

    def cast(self, value: str, dtype: str) -> str:
        """Return a value as integers of another type."""
        from onnx import TensorProto

        return self.op("Cast", value, to=getattr(TensorProto, dtype))

    def input(self, name: str, *shape: Size, default: AnyArray | None = None) -> str:
        """Add an input; one with a default need not be given."""
        from onnx import TensorProto, helper

        info = helper.make_tensor_value_info(name, TensorProto.INT64, shape)
        self.inputs.append(info)
        if default is not None:
            self.constants[name] = np.asarray(default, np.int64)
        return name

    def output(self, name: str, value: str, *shape: Size) -> None:
        """Give a value out under a name."""
        from onnx import TensorProto, helper

        self.op("Identity", value, result=name)
        info = helper.make_tensor_value_info(name, TensorProto.INT64, shape)
        self.outputs.append(info)

    def model(self, name: str, notes: dict[str, str], text: str) -> Any:
        """Return the model, checked."""
        from onnx import checker, helper, numpy_helper

        graph = helper.make_graph(
            self.nodes,
            name,
            self.inputs,
            self.outputs,
            [numpy_helper.from_array(a, n) for n, a in self.constants.items()],
            doc_string=text,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="snn-deploy",
        )
        helper.set_model_props(model, notes)
        checker.check_model(model, full_check=True)
        return model


BYTE = 256
LARGEST_FAN_IN = (1 << 31) // (BYTE * BYTE // 2)
Product = Callable[[str, IntArray], str]


def weighted_sums(
    form: Form, projection: Projection, shape: Shape, spikes: str, largest: int
) -> str:
    """Return the name of the shifted sums ``(n, n_targets)`` of ``(n, n_sources)``.

    ``shape`` is that of the source; ``largest`` is the largest magnitude of a spike,
    which may be negative if it is over 255.

    Raises
    ------
    FitError
        If a sum does not fit 32 bits.
    """
    synapses = projection.synapses
    if synapses.fan_in > LARGEST_FAN_IN:
        raise FitError(
            f"{projection.name}: {synapses.fan_in} synapses onto one neuron, their sum "
            f"fits 32 bits up to {LARGEST_FAN_IN}; make the layer smaller"
        )
    if isinstance(synapses, SparseSynapses):
        sums = _sparse(form, synapses, spikes)
    else:
        product = _product(form, projection, shape)
        sums = _by_bytes(form, product, synapses.weights, spikes, largest)
    return _shifted(form, sums, projection.exponent)


def _product(form: Form, projection: Projection, shape: Shape) -> Product:
    """Return what multiplies a batch of bytes by weights that are signed bytes."""
    synapses = projection.synapses

    if not isinstance(synapses, ConvSynapses):
        return lambda values, weights: form.op(
            "MatMulInteger", values, form.constant(weights.T, np.int8)
        )

    def convolved(values: str, weights: IntArray) -> str:
        maps = form.op("Reshape", values, form.constant([-1, *shape]))
        kernel, dilation = synapses.uncropped(weights)
        sums = form.op(
            "ConvInteger",
            maps,
            form.constant(kernel, np.int8),
            strides=synapses.stride,
            pads=synapses.padding * 2,
            dilations=dilation,
            group=synapses.groups,
        )
        return form.op("Flatten", sums)

    return convolved


def _by_bytes(
    form: Form, product: Product, weights: IntArray, spikes: str, largest: int
) -> str:
    """Return the sums, from those of the bytes of values and weights."""
    total = ""
    for values, worth in _bytes_of(form, spikes, largest):
        for part, factor in ((weights >> 1, 2), (weights & 1, 1)):
            if part.any() or not total:
                found = form.cast(product(values, part), "INT64")
                scaled = form.op("Mul", found, form.constant(factor * worth))
                total = form.op("Add", total, scaled) if total else scaled
    return total


def _bytes_of(form: Form, spikes: str, largest: int) -> Iterator[tuple[str, int]]:
    """Yield unsigned bytes and what they are worth, the values being their sum."""
    if largest < BYTE:
        yield form.cast(spikes, "UINT8"), 1
        return
    zero, byte = form.constant(0), form.constant(BYTE)
    for sign in (1, -1):
        signed = form.op("Mul", spikes, form.constant(sign))
        left, worth = form.op("Max", signed, zero), sign
        while abs(worth) <= largest:
            yield form.cast(form.op("Mod", left, byte), "UINT8"), worth
            left, worth = form.op("Div", left, byte), worth * BYTE


def _sparse(form: Form, synapses: SparseSynapses, spikes: str) -> str:
    """Return the sums of single weights."""
    sources = form.constant(synapses.sources)
    each = form.op("Gather", spikes, sources, axis=1)
    each = form.op("Mul", each, form.constant(synapses.weights[np.newaxis]))
    none = form.op("Mul", spikes, form.constant(0))
    silent = form.op("Gather", none, form.constant(np.zeros(synapses.size[0])), axis=1)
    sums = form.op(
        "ScatterND",
        form.op("Transpose", silent, perm=[1, 0]),
        form.constant(synapses.targets[:, np.newaxis]),
        form.op("Transpose", each, perm=[1, 0]),
        reduction="add",
    )
    return form.op("Transpose", sums, perm=[1, 0])


def _shifted(form: Form, sums: str, exponent: int) -> str:
    """Return the sums times ``2**exponent``, rounded down."""
    if exponent >= 0:
        return form.op("Mul", sums, form.constant(1 << exponent)) if exponent else sums
    unit = form.constant(1 << -exponent)
    rest = form.op("Mod", sums, unit)  # has the sign of the unit
    return form.op("Div", form.op("Sub", sums, rest), unit)


BATCH = "n"
INPUT, OUTPUT = "input", "output"


def write_onnx(graph: QuantizedGraph, path: Path) -> None:
    """Write one timestep of ``graph`` to ``path``, see above.

    Raises
    ------
    FitError
        If a sum does not fit ONNX's integers.
    """
    model = _Step(graph.in_local_time()).model()
    write_whole(path, partial(_write, model))


def _write(model: Any, path: Path) -> None:
    path.write_bytes(model.SerializeToString())


class _Step:
    """Writes the layers in the order in which they act."""

    def __init__(self, graph: QuantizedGraph) -> None:
        self.graph = graph
        self.form = Form()
        self.now: dict[str, str] = {}  # spikes of this timestep, by their sender
        self.past: dict[str, str] = {}  # those before, newest first, (n, delay, size)

    def model(self) -> Any:
        """Return the model."""
        form, graph = self.form, self.graph
        source = graph.source
        given = form.input(INPUT, BATCH, *source.shape)
        self.now[source.name] = form.op("Flatten", given)
        for name, size in self._senders().items():
            longest = self._longest(name)
            if longest:
                rest = np.zeros((1, longest, size))
                self.past[name] = form.input(
                    f"{name}.past", BATCH, longest, size, default=rest
                )
        for population in graph.order:
            self._population(population)
        for name, past in self.past.items():
            self._remember(name, past)
        training = graph.training
        notes = {
            "timesteps": str(training.timesteps),
            "encoding": training.encoding.value,
            "functional": training.functional.value,
        }
        return form.model(graph.name, notes, __doc__ or "")

    def _senders(self) -> dict[str, int]:
        sizes = {p.name: p.size for p in self.graph.populations}
        return {self.graph.source.name: self.graph.source.size, **sizes}

    def _longest(self, name: str) -> int:
        return max(
            (p.longest_delay for p in self.graph.projections if p.source == name),
            default=0,
        )

    def _remember(self, name: str, past: str) -> None:
        """Give out the spikes that are still on their way."""
        form = self.form
        size, longest = self._senders()[name], self._longest(name)
        newest = form.op("Unsqueeze", self.now[name], form.constant([1]))
        if longest > 1:
            ends = [form.constant([n]) for n in (0, longest - 1, 1)]
            older = form.op("Slice", past, *ends)
            none = form.op("Mul", newest, form.constant(0))  # as large as the batch
            newest = form.op("Concat", newest, form.op("Add", older, none), axis=1)
        form.output(f"{name}.past.next", newest, BATCH, longest, size)

    def _sent(self, name: str, delay: int) -> str:
        """Return the spikes ``(n, size)`` that were sent some timesteps ago."""
        if delay == 0:
            return self.now[name]
        position = self.form.constant(delay - 1)
        return self.form.op("Gather", self.past[name], position, axis=1)

    def _arriving(self, population: Population) -> str:
        """Return the weighted sums of everything that arrives now."""
        form, total = self.form, ""
        for projection in self.graph.projections_into(population):
            shape = self.graph.shape_of(projection.source)
            delays = projection.delay + spread(projection.axon_delay, shape)
            spikes = ""
            for delay in np.unique(delays):
                sent = self._sent(projection.source, int(delay))
                if np.any(delays != delay):
                    sent = form.op("Mul", sent, form.row((delays == delay) * 1))
                spikes = form.op("Add", spikes, sent) if spikes else sent
            largest = self.graph.largest_spike(projection.source)
            sums = weighted_sums(form, projection, shape, spikes, largest)
            total = form.op("Add", total, sums) if total else sums
        if total:
            return total
        silent = form.op("ReduceSum", self.now[self.graph.source.name],
                         form.constant([1]))  # fmt: skip
        none = form.op("Mul", silent, form.constant(0))
        return form.op("Add", none, form.constant(np.zeros((1, population.size))))

    def _population(self, population: Population) -> None:
        form, name = self.form, population.name
        neurons = _PopulationUpdate(
            form, population, self.graph.precision.current_decay_offset
        )
        spikes, voltage = neurons.update(self._arriving(population))
        self.now[name] = spikes
        size = population.size
        if population.spikes:
            form.output(f"{name}.spikes", spikes, BATCH, size)
        if population is self.graph.readout:
            form.output(OUTPUT, spikes if population.spikes else voltage, BATCH, size)


class _PopulationUpdate:
    """The update of one population; ``ir.dynamics.Neurons`` is its definition."""

    def __init__(self, form: Form, population: Population, offset: int) -> None:
        self.form, self.population = form, population
        unit = 1 << DECAY_BITS
        self.current_kept = unit - self._each(population.current_decay) - offset
        self.voltage_kept = unit - self._each(population.voltage_decay)
        self.amount = self._each(population.reset_amount)

    def _each(self, parameter: IntArray) -> IntArray:
        return spread(parameter, self.population.shape)

    def _state(self, quantity: str, rest: IntArray) -> str:
        population = self.population
        return self.form.input(
            f"{population.name}.{quantity}",
            BATCH,
            population.size,
            default=rest[np.newaxis],
        )

    def _keep(self, quantity: str, value: str) -> None:
        population = self.population
        name = f"{population.name}.{quantity}.next"
        self.form.output(name, value, BATCH, population.size)

    def _decayed(self, value: str, kept: IntArray) -> str:
        """Return what a decay leaves, rounded toward zero, as ONNX divides."""
        product = self.form.op("Mul", value, self.form.row(kept))
        return self.form.op("Div", product, self.form.constant(1 << DECAY_BITS))

    def _saturated(self, value: str) -> str:
        ends = [self.form.constant(end) for end in (-VOLTAGE_LIMIT, VOLTAGE_LIMIT)]
        clipped = self.form.op("Clip", value, *ends)
        if not self.population.has_lowest_voltage:
            return clipped
        lowest = self.form.row(self._each(self.population.lowest_voltage))
        return self.form.op("Max", clipped, lowest)

    def _current(self, arriving: str) -> str:
        form = self.form
        current = form.op("Mul", arriving, form.constant(1 << INPUT_SHIFT))
        has_memory = bool(self.current_kept.any())
        if has_memory:
            before = self._state("current", np.zeros(self.population.size, np.int64))
            current = form.op("Add", current, self._decayed(before, self.current_kept))
        half = 1 << (STATE_BITS - 1)
        up = form.op("Add", current, form.constant(half - 1))
        wrapped = form.op("Mod", up, form.constant(2 * half))
        current = form.op("Sub", wrapped, form.constant(half - 1))
        if has_memory:
            self._keep("current", current)
        return current

    def _bias(self) -> str:
        population = self.population
        mantissa = self._each(population.bias_mantissa)
        if not population.takes_bias:
            return self.form.row(shift(mantissa, population.bias_exponent))
        given = self._state("bias", mantissa)
        unit = self.form.constant(1 << population.bias_exponent)
        return self.form.op("Mul", given, unit)

    def update(self, arriving: str) -> tuple[str, str]:
        """Return the spikes and the voltage of this timestep; states are given out."""
        form, population = self.form, self.population
        before = self._state("voltage", self._each(population.initial_voltage))
        kept = self._decayed(before, self.voltage_kept)
        driven = form.op("Add", self._current(arriving), self._bias())
        voltage = self._saturated(form.op("Add", kept, driven))
        if not population.spikes:
            self._keep("voltage", voltage)
            return form.op("Mul", voltage, form.constant(0)), voltage
        resting = ""
        if population.refractory:
            resting = self._state("resting", np.zeros(population.size, np.int64))
            is_resting = form.op("Greater", resting, form.constant(0))
            voltage = form.op("Where", is_resting, before, voltage)
        spikes = self._spikes(voltage)
        if resting:
            spikes = form.op("Where", is_resting, form.constant(0), spikes)
            self._rest(resting, spikes)
        voltage = self._reset(voltage, spikes)
        self._keep("voltage", voltage)
        return spikes, voltage

    def _spikes(self, voltage: str) -> str:
        form, population = self.form, self.population
        threshold = shift(self._each(population.threshold), INPUT_SHIFT)
        if population.comparison is Comparison.GREATER_EQUAL:
            threshold = threshold - 1
        over = form.op("Sub", voltage, form.row(threshold))
        if population.max_spikes == 1:
            return form.cast(form.op("Greater", over, form.constant(0)), "INT64")
        # the fewest that bring the voltage to the threshold or below
        above = form.op("Max", over, form.constant(0))
        rounded = form.op("Add", above, form.row(self.amount - 1))
        count = form.op("Div", rounded, form.row(self.amount))
        return form.op("Min", count, form.constant(population.max_spikes))

    def _reset(self, voltage: str, spikes: str) -> str:
        form = self.form
        if self.population.reset is Reset.HARD:
            fired = form.op("Greater", spikes, form.constant(0))
            return form.op("Where", fired, form.constant(0), voltage)
        lowered = form.op("Mul", spikes, form.row(self.amount))
        return self._saturated(form.op("Sub", voltage, lowered))

    def _rest(self, resting: str, spikes: str) -> None:
        form = self.form
        less = form.op("Max", form.op("Sub", resting, form.constant(1)),
                       form.constant(0))  # fmt: skip
        fired = form.op("Greater", spikes, form.constant(0))
        period = form.constant(self.population.refractory)
        self._keep("resting", form.op("Where", fired, period, less))
