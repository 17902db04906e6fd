"""The weights of projections as C tables, and how a spike reads them."""

from collections.abc import Iterator

import numpy as np

from snn_deploy.exporters.c.layout import CLayout, Wire
from snn_deploy.exporters.c.tables import CTable, in_comment, size_of, smallest_type
from snn_deploy.fixedpoint import INPUT_SHIFT
from snn_deploy.ir.quantized import Population
from snn_deploy.ir.synapses import ConvSynapses, SparseSynapses

WEIGHT_TYPES = ("int8_t", "uint8_t", "int16_t")
# of the functions in templates/kernels_of_weights.h, for each type of weights
SUFFIXES = {"int8_t": "", "uint8_t": "_unsigned", "int16_t": "_wide"}


def weight_type(wire: Wire) -> str:
    """Return the type of dense weights, and of those of a convolution."""
    low, high = int(wire.weights.min()), int(wire.weights.max())
    return smallest_type(low, high, WEIGHT_TYPES)


def tables_of(wire: Wire, target_type: str) -> Iterator[CTable]:
    """Yield the constants of a projection.

    ``target_type`` is that of the targets of all single synapses.
    """
    synapses, where = wire.projection.synapses, wire.projection.name
    shown = in_comment(where)
    if isinstance(synapses, SparseSynapses):
        yield from _single(wire, synapses, target_type)
    elif isinstance(synapses, ConvSynapses):
        n_out, n_in, *kernel = wire.weights.shape
        groups = wire.weights.reshape(synapses.groups, -1, n_in, *kernel)
        by_input = groups.transpose(0, 2, 3, 4, 1).reshape(-1, wire.weights[0, 0].size)
        yield CTable(
            name=f"{wire.name}_weights",
            values=by_input.reshape(-1),
            ctype=weight_type(wire),
            meaning=f"{shown}: kernels (channel, {kernel[0]}, {kernel[1]}, "
            f"{n_out // synapses.groups} channels that it leads to)",
            where=where,
        )
    else:
        yield CTable(
            name=f"{wire.name}_weights",
            values=wire.weights[wire.target.order][:, wire.source.order].T,
            ctype=weight_type(wire),
            meaning=f"{shown}: a row for each neuron that sends",
            where=where,
        )
    if wire.projection.axon_delay.any():
        delays = np.broadcast_to(wire.projection.axon_delay, wire.source.model_shape)
        yield CTable(
            name=f"{wire.name}_delays",
            values=delays.reshape(-1)[wire.source.order],
            ctype=smallest_type(0, int(delays.max()), ("uint8_t", "int32_t")),
            meaning=f"{shown}: further timesteps, for each neuron that sends",
            where=where,
        )


def _single(wire: Wire, synapses: SparseSynapses, target_type: str) -> Iterator[CTable]:
    place_of = [np.argsort(end.order) for end in (wire.source, wire.target)]
    sources = place_of[0][synapses.sources]
    targets = place_of[1][synapses.targets]
    order = np.lexsort((targets, sources))
    counts = np.bincount(sources, minlength=wire.source.size)
    shown, where = in_comment(wire.projection.name), wire.projection.name
    for name, values, ctype, meaning in (
        ("starts", np.cumsum([0, *counts]), "uint32_t", "where a neuron's begin"),
        ("targets", targets[order], "", "the neurons that they lead to"),
        ("weights", wire.weights[order], "int16_t", "single weights"),
    ):
        yield CTable(
            name=f"{wire.name}_{name}",
            values=values,
            ctype=ctype or target_type,
            meaning=f"{shown}: {meaning}",
            where=where,
        )


def descriptors(wire: Wire) -> Iterator[str]:
    """Yield the lines that say what kind of synapses these are."""
    synapses = wire.projection.synapses
    if isinstance(synapses, SparseSynapses):
        fields = ", ".join(
            f"{wire.name}_{part}" for part in ("starts", "targets", "weights")
        )
        yield f"static const synapses {wire.name} = {{{fields}}};"
        yield ""
    elif isinstance(synapses, ConvSynapses):
        channels, height, width = wire.source.shape
        out_channels, out_height, out_width = wire.target.shape
        yield f"static const convolution {wire.name} = {{"
        for names, values in (
            ("channels height width", (channels, height, width)),
            (
                "out_channels out_height out_width",
                (out_channels, out_height, out_width),
            ),
            ("kernel_height kernel_width", synapses.kernel),
            ("stride_y stride_x", synapses.stride),
            ("padding_y padding_x", synapses.padding),
            ("dilation_y dilation_x", synapses.dilation),
            ("groups", (synapses.groups,)),
        ):
            pairs = zip(names.split(), values, strict=True)
            yield "    " + " ".join(f".{name} = {value}," for name, value in pairs)
        yield "};"
        yield ""


def arrivals(layout: CLayout, population: Population) -> Iterator[str]:
    """Yield what adds up the spikes that arrive at a population now."""
    wires = layout.wires_into(population)
    n = layout.senders[population.name].size
    clears = f"clear(net->sums, {n});"
    if layout.adds_up(population):
        base = layout.base(population)
        yield clears
        for wire in wires:
            yield from _spikes(wire, times=1 << (wire.exponent - base))
        return
    yield "memset(net->arriving, 0, sizeof net->arriving);"
    for wire in wires:
        yield clears
        yield from _spikes(wire, times=1)
        yield f"for (int32_t n = 0; n < {n}; n++) {{"
        yield f"    net->arriving[n] += {_shifted(layout, wire.exponent)};"
        yield "}"


def arriving(layout: CLayout, population: Population) -> str:
    """Return what a neuron receives now, modulo 2^32, in units of the voltage."""
    if layout.adds_up(population):
        return _shifted(layout, layout.base(population))
    return "net->arriving[n]"


def _shifted(layout: CLayout, exponent: int) -> str:
    """Return a sum with its exponent, and as the chip adds it to the current."""
    if exponent >= 0:
        return f"((uint32_t)net->sums[n] << {exponent + INPUT_SHIFT})"
    times = min(-exponent, 8 * size_of(layout.sum_type) - 1)  # then 0 or -1 is left
    return f"((uint32_t)halve(net->sums[n], {times}) << {INPUT_SHIFT})"


def _spikes(wire: Wire, times: int) -> Iterator[str]:
    """Yield the loop over the spikes of a projection."""
    source = wire.source
    scale = f" * {times}" if times > 1 else ""
    if wire.is_late:
        yield from _late(wire, scale)
    elif source.is_input:
        yield f"for (int32_t n = 0; n < {source.size}; n++) {{"
        yield f"    const snn_sum value = input[{source.in_model('n')}];"
        yield from _if_any(wire, "n", f"value{scale}")
        yield "}"
    else:
        count = f"net->n_spikes[SNN_{source.name.upper()}]"
        value = f"net->{source.name}_values[i]" if source.spike_type else "1"
        worth = str(times) if value == "1" else f"{value}{scale}"
        yield f"for (int32_t i = 0; i < {count}; i++) {{"
        yield f"    {_reads(wire, f'net->{source.name}_spikes[i]', worth)}"
        yield "}"


def _late(wire: Wire, scale: str) -> Iterator[str]:
    source, projection = wire.source, wire.projection
    delay = str(projection.delay)
    has_own = projection.axon_delay.any()
    if has_own:
        delay = f"{delay} - {wire.name}_delays[n]"
    slot = f"(net->timestep + {source.slots} - {delay}) % {source.slots}"
    yield f"for (int32_t n = 0; n < {source.size}; n++) {{"
    row = f"net->{source.name}_sent[{slot}]"
    value = f"{row}[n]" if source.spike_type else f"bit({row}, n)"
    yield f"    const snn_sum value = {value};"
    yield from _if_any(wire, "n", f"value{scale}")
    yield "}"


def _if_any(wire: Wire, neuron: str, value: str) -> Iterator[str]:
    yield "    if (value != 0) {"
    yield f"        {_reads(wire, neuron, value)}"
    yield "    }"


def _reads(wire: Wire, neuron: str, value: str) -> str:
    """Return the call by which one spike adds to the sums."""
    synapses = wire.projection.synapses
    if isinstance(synapses, SparseSynapses):
        return f"add_synapses(&{wire.name}, {neuron}, {value}, net->sums);"
    suffix, table = SUFFIXES[weight_type(wire)], f"{wire.name}_weights"
    if isinstance(synapses, ConvSynapses):
        head = f"convolve{suffix}(&{wire.name}, {table}"
        return f"{head}, {neuron}, {value}, net->sums);"
    n = wire.target.size
    return f"add_row{suffix}({table}[{neuron}], {n}, {value}, net->sums);"
