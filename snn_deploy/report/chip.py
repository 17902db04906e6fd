"""The network on the chip: neurocores, losses, and what its neurons do."""

from collections.abc import Iterable

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.ir.inputs import listed
from snn_deploy.ir.mapped import MappedNetwork, Neurocore
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.quantized import (
    UPDATE_ORDER,
    Change,
    Population,
    Projection,
    QuantizedGraph,
)
from snn_deploy.profile.loads import Loads
from snn_deploy.report.exhibits import Look, table
from snn_deploy.report.layers import TIMES, kind_of, layers_figure, shape_text
from snn_deploy.report.map_picture import map_figure
from snn_deploy.report.markup import Html, element, folded, items, section, together
from snn_deploy.report.units import Quantity, number, percent, with_prefix

DECAY_UNIT = 4096
MOST_OPEN = 16  # rows of a table that needs no click


def network_on_chip(network: MappedNetwork, loads: Loads) -> Html:
    """Return the section on the compiled network and the loads of its neurocores."""
    graph = network.graph
    return section(
        "The network on the chip",
        element(
            "div", layers_figure(network), map_figure(network, loads), class_="figures"
        ),
        _semantics(graph),
        _perhaps_folded("Neurocores", _neurocores(network, loads), len(network.cores)),
        _perhaps_folded("Lossy steps", _changes(graph.changes), len(graph.changes)),
        _perhaps_folded("Populations", _populations(network), len(graph.populations)),
        _perhaps_folded(
            "Projections", _projections(graph.projections), len(graph.projections)
        ),
    )


def _perhaps_folded(title: str, content: Html, n_rows: int) -> Html:
    return content if n_rows <= MOST_OPEN else folded(f"{title} ({n_rows})", content)


def _semantics(graph: QuantizedGraph) -> Html:
    training, readout = graph.training, graph.readout
    per_spike = "spikes counted" if readout.spikes else "voltage"
    shape = shape_text(graph.source.shape)
    if training.inputs:
        shape += f": {listed(training.inputs)}, in a row"
    lines = (
        f"Input, layer {graph.source.name} ({shape}): encoding "
        f"{training.encoding.value}, values up to {graph.source.largest_value} in a "
        f"spike; the network sees x {TIMES} {training.input_scale:g} + "
        f"{training.input_offset:g}.",
        f"Read-out, population {readout.name}: {per_spike}, "
        f"{training.functional.value} over {training.timesteps} timesteps; an answer "
        f"is {graph.depth} chip timesteps behind its input.",
        f"Timestep: {time_of(training.dt)}. In each, in this order: "
        f"{', '.join(UPDATE_ORDER)}.",
        f"Registers: weights {graph.precision.weight_bits} bits, weighted sums "
        f"{graph.precision.accumulator_bits} bits, decays of {DECAY_UNIT}.",
    )
    return items(lines)


def time_of(dt: float | None) -> str:
    """Return how long the training took a timestep to be."""
    return "of no stated length" if dt is None else with_prefix(dt, "s")


def _neurocores(network: MappedNetwork, loads: Loads) -> Html:
    limits = network.target.neurocore
    columns = (
        "neurocore", "tile", "populations (neurons)",
        *(f"{what} of {limit:,}" for what, limit in limits.room.items()),
        "packets of an input, measured", "from the host", "busy for an input, modelled",
    )  # fmt: skip
    rows = [
        (
            core.index,
            f"{core.x}, {core.y}",
            _held(core),
            *(_used(n, limits.room[what]) for what, n in core.taken(limits).items()),
            number(loads.packets[i].round(1)),
            number(loads.injected[i].round(1)),
            with_prefix(None if np.isnan(busy) else busy, "s"),
        )
        for i, (core, busy) in enumerate(zip(network.cores, loads.busy_s, strict=True))
    ]
    n_chips = network.n_chips
    each = f"{network.target.mesh.neurocores:,}"
    where = f"of {each}" if n_chips == 1 else f"on {n_chips} chips of {each}"
    return table(
        "neurocores",
        f"Neurocores in use: {len(network.cores):,} {where}",
        columns,
        rows,
        words=("populations (neurons)",),
    )


def _held(core: Neurocore) -> str:
    return ", ".join(f"{p.population} ({len(p.neurons):,})" for p in core.pieces)


def _used(n: int, limit: int) -> Look:
    """Return a number over a bar as long as its share of the limit."""
    share = n / limit if limit else 1.0
    text = "< 1 %" if 0 < share < 0.005 else percent(share, 0)
    style = f"--share: {100 * min(share, 1.0):.1f}%"
    small = element("small", text)
    look = element("span", f"{n:,} ", small, class_="used", style=style)
    return Look(look=look, value=n)


def _changes(changes: Iterable[Change]) -> Html:
    rows = [
        (c.layer, c.kind, number(c.count), _small(c.largest), _small(c.mean), c.note)
        for c in changes
    ]
    if not rows:
        return element(
            "p", "Nothing was lost: every parameter lies on the chip's grid already."
        )
    columns = ("layer", "step", "values changed", "largest", "mean", "note")
    n_columns = len(columns) if any(row[-1] for row in rows) else len(columns) - 1
    return table(
        "losses",
        "Lossy steps on the way to integers; changes in the trained network's units",
        columns[:n_columns],
        [row[:n_columns] for row in rows],
        words=("step", "note"),
    )


def _small(value: float) -> Quantity:
    return Quantity(f"{value:.3g}", value)


def _populations(network: MappedNetwork) -> Html:
    graph, offset = network.graph, network.target.precision.current_decay_offset
    rows = [
        (p.name, kind_of(graph, p.name), *_population(p, offset))
        for p in graph.populations
    ]
    columns = (
        "population", "reached by", "shape", "spikes when voltage is",
        "reset", "refractory", "current decay", "voltage decay", "bias",
        "behind the input",
    )  # fmt: skip
    return table(
        "populations",
        "Populations; a decay is the fraction lost in a timestep, delays and rests are "
        "in timesteps",
        columns,
        rows,
        words=("reached by", "shape", "spikes when voltage is", "reset"),
    )


def _population(p: Population, offset: int) -> tuple[object, ...]:
    condition, reset = "never", "none"
    if p.spikes:
        condition = f"{p.comparison.value} {_factor(p.threshold)}64"
        amount = "to 0" if p.reset is Reset.HARD else f"by {_range(p.reset_amount)}"
        reset = f"{p.reset.value}, {amount}"
    if p.has_lowest_voltage:
        condition += f"; at least {_range(p.lowest_voltage)}"
    return (
        shape_text(p.shape),
        condition,
        reset,
        p.refractory if p.spikes else "",
        _decay(p.current_decay, offset),
        _decay(p.voltage_decay, 0),
        _bias(p),
        p.offset,
    )


def _bias(p: Population) -> Look:
    factor = _factor(p.bias_mantissa)
    look = together([f"{factor}2", element("sup", p.bias_exponent)])
    return Look(look=look, value=f"{factor}2^{p.bias_exponent}")


def _projections(projections: Iterable[Projection]) -> Html:
    rows = [
        (
            f"{p.source} \N{RIGHTWARDS ARROW} {p.target}",
            p.synapses.kind,
            shape_text(p.synapses.weights.shape),
            _range(p.synapses.weights),
            _range(np.array(p.exponent)),
            _range(p.delay + p.axon_delay),
        )
        for p in projections
    ]
    columns = ("projection", "kind", "weights", "range", "exponent", "delay")
    caption = "Projections"
    return table("projections", caption, columns, rows, words=("kind", "weights"))


def _decay(register: IntArray, offset: int) -> str:
    low, high = int(register.min()), int(register.max())
    ends = [f"{(value + offset) / DECAY_UNIT:.4g}" for value in sorted({low, high})]
    return " to ".join(ends)


def _range(values: IntArray) -> str:
    ends = sorted({int(values.min()), int(values.max())})
    return " to ".join(f"{end:,}".replace("-", "\N{MINUS SIGN}") for end in ends)


def _factor(values: IntArray) -> str:
    text = _range(values)
    return f"({text}) {TIMES} " if " " in text else f"{text} {TIMES} "
