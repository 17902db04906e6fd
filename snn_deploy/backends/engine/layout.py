"""Lay a network out for the compiled engine: order, time, channels, weights.

The engine runs a network as it was trained: without the chip's pipeline, so that all
populations work on the same input timestep. Neurons lie as height x width x channels;
the channels of populations are padded with neurons that never spike, to a whole number
of vectors.
"""

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import numpy as np

from snn_deploy.arrays import IntArray, Shape, spread
from snn_deploy.backends.engine.grid import (
    Grid,
    UnsupportedError,
    grid_of,
    packed,
    packed_weights,
    placed_conv,
    placed_dense,
    placed_sparse,
)
from snn_deploy.fixedpoint import DECAY_BITS, INPUT_SHIFT, STATE_BITS, shift
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.ranges import reach_of
from snn_deploy.ir.synapses import ConvSynapses, DenseSynapses, SparseSynapses

if TYPE_CHECKING:
    from snn_deploy.backends.engine._engine import Builder

PADDED_TO = 16
MOST_KERNEL_ROWS = 32  # of a convolution that is summed in registers
NEVER = (1 << 31) - 1  # a threshold
SUM_LIMIT = (1 << 31) - 1


class Layout:
    """A network in the engine, and how to find its neurons there.

    Parameters
    ----------
    graph : QuantizedGraph
    read_out : str
        The population that the host reads, if that is another than the output.

    Raises
    ------
    UnsupportedError
        If the engine cannot run it exactly.
    """

    def __init__(self, graph: QuantizedGraph, read_out: str = "") -> None:
        from snn_deploy.backends.engine._engine import Builder, LimitError

        self.graph = graph
        self.largest_input = SUM_LIMIT  # of a spike of the input; more could overflow
        self.order = _order(graph)
        self.position = {p.name: i for i, p in enumerate(self.order)}
        self.position[graph.source.name] = -1
        self.grids = {p.name: grid_of(self._shape(p), PADDED_TO) for p in self.order}
        source = grid_of(graph.source.shape, 1)
        self.grids[graph.source.name] = source
        try:
            builder = Builder(
                height=source.height,
                width=source.width,
                channels=source.channels,
                timesteps=graph.training.timesteps,
                functional=graph.training.functional.value,
                holds=graph.precision.counts_timesteps,
            )
            for population in self.order:
                self._add_population(builder, population)
            for projection in graph.projections:
                self._add_projection(builder, projection)
            for population in self.order:
                self._check_totals(population)
            builder.read_out(population=self.position[read_out or graph.output])
            self.network = builder.build()
        except LimitError as error:
            raise UnsupportedError(str(error)) from None

    def _shape(self, population: Population) -> Shape:
        """Return a population's shape, for a row that of a convolution into it."""
        if len(population.shape) == 3:
            return population.shape
        for projection in self.graph.projections_into(population):
            shape = self.graph.shape_of(projection.source)
            reached = projection.synapses.output_shape(shape)
            if reached is not None and len(reached) == 3:
                return reached
        return population.shape

    def _add_population(self, builder: "Builder", population: Population) -> None:
        grid = self.grids[population.name]

        def registers(parameter: IntArray, padding: int = 0) -> IntArray:
            return grid.placed(spread(parameter, population.shape), padding)

        kept = 1 << DECAY_BITS
        offset = self.graph.precision.current_decay_offset
        threshold = shift(population.threshold, INPUT_SHIFT)
        if population.comparison is Comparison.GREATER_EQUAL:
            threshold = threshold - 1  # integers: >= t is > t - 1
        if not population.spikes:
            threshold = np.array(NEVER)
        bias = shift(population.bias_mantissa, population.bias_exponent)
        rows = {
            "current_keep": registers(kept - population.current_decay - offset),
            "voltage_keep": registers(kept - population.voltage_decay),
            "bias": registers(bias),
            "threshold": registers(threshold, NEVER),
            "reset_amount": registers(population.reset_amount, 1),
        }
        if population.has_lowest_voltage:
            rows["lowest_voltage"] = registers(population.lowest_voltage)
        builder.add_population(
            height=grid.height,
            width=grid.width,
            channels=grid.channels,
            **_shared(rows, grid),
            initial_voltage=packed(registers(population.initial_voltage), np.int32),
            position=packed(grid.index, np.int32),
            is_hard=population.reset is Reset.HARD,
            refractory=population.refractory,
            max_spikes=population.max_spikes,
            spikes=population.spikes,
            takes_bias=population.takes_bias,
            bias_exponent=population.bias_exponent,
            offset=population.offset,
            is_watched=reach_of(self.graph, population).meets_a_limit,
        )

    def _add_projection(self, builder: "Builder", projection: Projection) -> None:
        synapses = projection.synapses
        delay = _delay(self.graph, projection)
        has_axon_delay = bool(projection.axon_delay.any())
        is_direct = delay == 0 and not has_axon_delay and self._is_regular(projection)
        weights, halved = packed_weights(synapses.weights, is_direct)
        exponent = projection.exponent + halved
        self._check_sums(projection, exponent)
        axon_delay: IntArray = np.zeros(0, np.int64)
        if has_axon_delay:
            shape = self.graph.shape_of(projection.source)
            source = self.grids[projection.source]
            axon_delay = source.placed(spread(projection.axon_delay, shape))
        self._add_synapses(
            builder,
            projection,
            weights,
            shift=int(np.clip(exponent, 1 - 32, STATE_BITS)),  # more changes nothing
            delay=delay,
            axon_delay=packed(axon_delay, np.int32),
            is_direct=is_direct,
        )

    def _add_synapses(
        self,
        builder: "Builder",
        projection: Projection,
        weights: IntArray,
        *,
        shift: int,
        delay: int,
        axon_delay: IntArray,
        is_direct: bool,
    ) -> None:
        synapses = projection.synapses
        source, target = self.grids[projection.source], self.grids[projection.target]
        ends = {
            "source": self.position[projection.source],
            "target": self.position[projection.target],
        }
        if isinstance(synapses, SparseSynapses):
            found, starts, targets = placed_sparse(weights, synapses, source, target)
            builder.add_sparse(
                **ends,
                weights=found,
                shift=shift,
                delay=delay,
                axon_delay=axon_delay,
                starts=starts,
                targets=targets,
            )
        elif isinstance(synapses, DenseSynapses):
            builder.add_dense(
                **ends,
                weights=placed_dense(weights, source, target),
                shift=shift,
                delay=delay,
                axon_delay=axon_delay,
                is_direct=is_direct,
            )
        else:
            reached = synapses.output_shape(self.graph.shape_of(projection.source))
            if reached is None or reached[1:] != (target.height, target.width):
                raise UnsupportedError(f"{projection.name}: leads to another shape")
            placed = placed_conv(weights, synapses.groups, source, target, is_direct)
            builder.add_conv(
                **ends,
                weights=placed,
                shift=shift,
                delay=delay,
                axon_delay=axon_delay,
                is_direct=is_direct,
                stride=synapses.stride,
                padding=synapses.padding,
                dilation=synapses.dilation,
            )

    def _is_regular(self, projection: Projection) -> bool:
        """Whether all channels of a position are summed over the same inputs."""
        synapses = projection.synapses
        if isinstance(synapses, ConvSynapses):
            return (
                synapses.groups == 1
                and synapses.dilation == (1, 1)
                and synapses.weights.shape[2] <= MOST_KERNEL_ROWS
            )
        return synapses.reaches_all

    def _check_sums(self, projection: Projection, exponent: int) -> None:
        """Refuse sums over 32 bits that are shifted to the right."""
        if exponent >= 0:
            return
        bound = max(1, projection.synapses.largest_sum)
        if projection.source == self.graph.source.name:
            self.largest_input = min(self.largest_input, SUM_LIMIT // bound)
        elif bound * self.graph.largest_spike(projection.source) > SUM_LIMIT:
            raise UnsupportedError(f"{projection.name}: sums of more than 32 bits")

    def _check_totals(self, population: Population) -> None:
        """Refuse sums over 32 bits, whose wraps could not be counted."""
        fixed = per_input = 0
        for projection in self.graph.projections_into(population):
            bound = projection.synapses.largest_sum << max(projection.exponent, 0)
            if projection.source == self.graph.source.name:
                per_input += bound
            else:
                fixed += bound * self.graph.largest_spike(projection.source)
        if fixed > SUM_LIMIT:
            raise UnsupportedError(f"{population.name}: sums of more than 32 bits")
        if per_input:
            most = (SUM_LIMIT - fixed) // per_input
            self.largest_input = min(self.largest_input, most)


def _shared(rows: dict[str, IntArray], grid: Grid) -> dict[str, IntArray]:
    """Return registers once for each channel, if all positions agree."""
    maps = {name: row.reshape(-1, grid.channels) for name, row in rows.items()}
    if all(np.array_equal(m, np.broadcast_to(m[0], m.shape)) for m in maps.values()):
        return {name: packed(m[0], np.int32) for name, m in maps.items()}
    return {name: packed(row, np.int32) for name, row in rows.items()}


def _delay(graph: QuantizedGraph, projection: Projection) -> int:
    """Return the delay without the pipeline's part, in local time."""
    is_input = projection.source == graph.source.name
    begins = 0 if is_input else graph.population(projection.source).offset
    lag = graph.population(projection.target).offset - begins
    if projection.delay < lag:
        raise UnsupportedError(f"{projection.name}: arrives before it is sent")
    return projection.delay - lag


def _order(graph: QuantizedGraph) -> tuple[Population, ...]:
    """Return the populations, each after those that reach it within a timestep."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for population in graph.populations:
        sorter.add(population.name)
    for projection in graph.projections:
        if _delay(graph, projection) == 0 and projection.source != graph.source.name:
            sorter.add(projection.target, projection.source)
    try:
        return tuple(graph.population(name) for name in sorter.static_order())
    except CycleError:
        raise UnsupportedError("a loop without delay") from None
