"""What the neurons of a layer do in a timestep, as C: only what they really do.

The order is that of ``ir.dynamics``, and so is every integer.
"""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.exporters.c.connections import arrivals, arriving
from snn_deploy.exporters.c.layout import KEEPS_ALL, CLayout, Sender
from snn_deploy.exporters.c.tables import CTable, in_comment
from snn_deploy.fixedpoint import INPUT_SHIFT, shift
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Population

INDENT = "    "
MOST_IN_32_BITS = 255  # times a state of 24 bits


class Parameter:
    """One for all neurons, one for each channel, or one for each neuron."""

    def __init__(
        self, layer: Sender, name: str, values: IntArray, meaning: str
    ) -> None:
        each = np.broadcast_to(values, layer.model_shape).reshape(-1)[layer.order]
        by_channel = each.reshape(-1, layer.n_channels)
        self.tables: list[CTable] = []
        self.is_zero = not each.any()
        self.is_by_channel = False
        if (each == each[0]).all():
            self.text = str(int(each[0]))
            return
        self.is_by_channel = layer.n_positions > 1 and bool(
            (by_channel == by_channel[0]).all()
        )
        table = CTable(
            name=f"{layer.name}_{name}",
            values=by_channel[0] if self.is_by_channel else each,
            meaning=f"{in_comment(layer.shown)}: {meaning}",
            where=layer.shown,
        )
        self.tables = [table]
        self.text = f"{table.name}[{'channel' if self.is_by_channel else 'n'}]"


class LayerCode:
    """The function of one layer, and its constants."""

    def __init__(self, layout: CLayout, population: Population) -> None:
        self.layout = layout
        self.population = population
        self.layer = layer = layout.senders[population.name]
        offset = population.comparison is Comparison.GREATER_EQUAL
        threshold = shift(population.threshold, INPUT_SHIFT) - int(offset)

        def parameter(name: str, values: IntArray, meaning: str) -> Parameter:
            return Parameter(layer, name, np.asarray(values), meaning)

        self.bias = parameter(
            "bias", population.bias_mantissa, f"bias / {1 << population.bias_exponent}"
        )
        self.start = parameter(
            "start", population.initial_voltage, "voltage before an input"
        )
        self.voltage_kept = parameter(
            "voltage_kept",
            KEEPS_ALL - population.voltage_decay,
            f"of {KEEPS_ALL}, what is left of a voltage in the next timestep",
        )
        self.lowest = parameter(
            "lowest", population.lowest_voltage, "no voltage is below it"
        )
        used = [self.bias, self.start, self.voltage_kept, self.lowest]
        self.is_driven = bool(layout.wires_into(population))
        if layout.keeps_current(population):
            self.current_kept = parameter(
                "current_kept",
                layout.current_kept(population),
                f"of {KEEPS_ALL}, what is left of a current in the next timestep",
            )
            used.append(self.current_kept)
        if population.spikes:
            self.threshold = parameter(
                "threshold", threshold, "a voltage over it is a spike"
            )
            used.append(self.threshold)
            if population.reset is Reset.SOFT:
                self.amount = parameter(
                    "reset", population.reset_amount, "what a spike takes"
                )
                used.append(self.amount)
        self.tables = [table for item in used for table in item.tables]
        in_loop = [item for item in used if item is not self.start]
        self.has_channels = any(item.is_by_channel for item in in_loop)

    @property
    def parameters(self) -> str:
        """What the function takes."""
        wires = self.layout.wires_into(self.population)
        found = ["snn_net *net"]
        if any(w.source.is_input and not w.is_late for w in wires):
            found.append("const snn_input *input")
        if self.population.takes_bias:
            found.append("const int16_t *bias")
        return ", ".join(found)

    @property
    def call(self) -> str:
        """The call of the function."""
        names = [item.split()[-1].lstrip("*") for item in self.parameters.split(", ")]
        return f"step_{self.layer.name}({', '.join(names)});"

    def function(self) -> Iterator[str]:
        """Yield the lines of the function."""
        yield f"/* {self._words()} */"
        yield f"static void step_{self.layer.name}({self.parameters})"
        yield "{"
        yield from _in(self._body())
        yield "}"
        yield ""

    def reset(self) -> Iterator[str]:
        """Yield what gives the neurons the voltage with which an input begins."""
        if self.start.is_zero:
            return
        line = f"net->{self.layer.name}_voltage[n] = {self.start.text};"
        yield from self._loop([line], self.start.is_by_channel)

    def _words(self) -> str:
        population = self.population
        size = " x ".join(map(str, population.shape))
        kept = self.voltage_kept.text
        shares = {str(KEEPS_ALL): "which keep their voltage", "0": "without memory"}
        found = [f"{in_comment(population.name)}: {size} neurons"]
        if kept.isdigit():
            share = f"which keep {Fraction(int(kept), KEEPS_ALL)} of a voltage"
            found.append(shares.get(kept, share))
        if not population.spikes:
            found.append("read out by their voltage")
        elif population.reset is Reset.HARD:
            found.append("0 after a spike")
        else:
            found.append("less by an amount after a spike")
        if population.spikes and population.refractory:
            found.append(f"at rest for {population.refractory} timesteps")
        return ", ".join(found)

    def _body(self) -> Iterator[str]:
        population, layer = self.population, self.layer
        slot = f"net->{layer.name}_sent[net->timestep % {layer.slots}]"
        if population.spikes:
            yield "int32_t count = 0;"
        if layer.slots:
            kind = layer.spike_type or "uint8_t"
            yield f"{kind} *const sent = {slot};"
        if population.spikes:
            yield ""
        if layer.slots:
            yield f"memset(sent, 0, sizeof {slot});"
        if self.is_driven:
            yield from arrivals(self.layout, population)
        yield from self._loop([*self._neuron()], self.has_channels)
        if population.spikes:
            yield f"net->n_spikes[SNN_{layer.name.upper()}] = count;"

    def _loop(self, lines: list[str], has_channels: bool) -> Iterator[str]:
        layer = self.layer
        if not has_channels:
            yield f"for (int32_t n = 0; n < {layer.size}; n++) {{"
            yield from _in(lines)
            yield "}"
            return
        channels, positions = layer.n_channels, layer.n_positions
        yield f"for (int32_t position = 0; position < {positions}; position++) {{"
        yield f"    for (int32_t channel = 0; channel < {channels}; channel++) {{"
        yield f"        const int32_t n = position * {channels} + channel;"
        yield ""
        yield from _in(_in(lines))
        yield "    }"
        yield "}"

    def _neuron(self) -> Iterator[str]:
        """Yield what one neuron does."""
        population, name = self.population, self.layer.name
        has_current = self.layout.keeps_current(population)
        old = f"net->{name}_voltage[n]"
        if self.is_driven:
            total = arriving(self.layout, population)
            if has_current:
                kept = _decayed(f"net->{name}_current[n]", self.current_kept.text)
                total = f"(uint32_t)({kept}) + {total}"
            else:
                total = total.removeprefix("(").removesuffix(")")
            yield f"const int32_t current = wrap({total});"
        yield f"int32_t voltage = {_decayed(old, self.voltage_kept.text)};"
        yield ""
        yield f"voltage = saturate({' + '.join(['voltage', *self._drive()])});"
        yield from self._at_lowest()
        if has_current:
            yield f"net->{name}_current[n] = current;"
        if population.spikes and population.refractory:
            yield f"if (net->{name}_resting[n] > 0) {{"
            yield f"    net->{name}_resting[n]--;"
            yield "    continue; /* with the voltage it had */"
            yield "}"
        if population.spikes:
            yield f"if (voltage > {self.threshold.text}) {{"
            yield from _in(self._spike())
            yield "}"
        yield f"net->{name}_voltage[n] = voltage;"

    def _at_lowest(self) -> Iterator[str]:
        """Yield what keeps a voltage from falling, if it ends before its register."""
        if self.population.has_lowest_voltage:
            yield f"voltage = at_least({self.lowest.text}, voltage);"

    def _drive(self) -> Iterator[str]:
        """Yield what is added to a voltage."""
        if self.is_driven:
            yield "current"
        factor = 1 << self.population.bias_exponent
        scale = f" * {factor}" if factor > 1 else ""
        if self.population.takes_bias:
            given = f"bias[{self.layer.in_model('n')}]"
            yield f"(bias != NULL ? {given} : {self.bias.text}){scale}"
        elif not self.bias.is_zero:
            yield f"{self.bias.text}{scale}"

    def _spike(self) -> Iterator[str]:
        population, layer = self.population, self.layer
        is_hard = population.reset is Reset.HARD
        if layer.spike_type:
            over = f"voltage - {self.threshold.text}"
            amount = self.amount.text
            yield "/* as many as bring the voltage to the threshold, or below */"
            yield f"const int32_t wanted = ({over} + {amount} - 1) / {amount};"
            most = population.max_spikes
            yield f"const int32_t spikes = wanted < {most} ? wanted : {most};"
            yield ""
            yield f"voltage -= spikes * {amount};"
            yield from self._at_lowest()
        elif is_hard:
            yield "voltage = 0;"
        elif not self.amount.is_zero:
            yield f"voltage -= {self.amount.text};"
            yield from self._at_lowest()
        if population.refractory:
            yield f"net->{layer.name}_resting[n] = {population.refractory};"
        if layer.slots:
            worth = "sent[n] = (uint16_t)spikes;"
            yield worth if layer.spike_type else "set_bit(sent, n);"
        if layer.is_listed:
            yield f"net->{layer.name}_spikes[count] = ({layer.index_type})n;"
            if layer.spike_type:
                yield f"net->{layer.name}_values[count] = (uint16_t)spikes;"
        yield "count++;"


def _decayed(value: str, kept: str) -> str:
    """Return what is left of a value, without 64 bits where 32 are enough."""
    if kept == "0":
        return "0"
    if not kept.isdigit():
        return f"decay({value}, {kept})"
    share = Fraction(int(kept), KEEPS_ALL)
    if share.numerator > MOST_IN_32_BITS:
        return f"decay({value}, {kept})"
    times = f" * {share.numerator}" if share.numerator > 1 else ""
    return value if share == 1 else f"{value}{times} / {share.denominator}"


def _in(lines: Iterator[str] | list[str]) -> Iterator[str]:
    for line in lines:
        yield f"{INDENT}{line}" if line else ""
