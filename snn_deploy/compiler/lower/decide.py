"""Let the chip decide: neurons that hold the gap rule and spike once, for the answer.

The rule is linear in the outputs, so neurons compute it exactly. For K classes, behind
the outputs of a timestep:

- ``lead``, K (K - 1) neurons (i, j) that add up what i gains on j, neither leak nor
  reset, and spike while i leads j by more than the threshold;
- ``decide``, K neurons without memory; i spikes when all its K - 1 leads do;
- ``clock``, a neuron that spikes at the last timestep only and lowers every threshold
  to 0 then (of equal outputs the first leads), so that there is always an answer;
- ``latch``, a neuron that hears the answer and keeps ``decide`` silent from then on. It
  can silence the layers behind the input as well.

Spikes that are counted go to ``lead`` as they are. Weighted sums are sent on by
``relay``, K neurons without memory in place of the read-out, as graded spikes;
``constant`` adds what makes them positive. Every sum that the network can give is
proved to fit.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray, spread
from snn_deploy.errors import FitError
from snn_deploy.fixedpoint import (
    BIAS_MANTISSA_LIMIT,
    DECAY_BITS,
    INPUT_SHIFT,
    PAYLOAD_BITS,
    VOLTAGE_LIMIT,
    shift,
)
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.ranges import arriving_range, flaw_of_sum, reach_of
from snn_deploy.ir.synapses import SparseSynapses

FORGETS = 1 << DECAY_BITS
UNIT = 1 << INPUT_SHIFT  # voltage of a weight of 1
MOST_SPIKES = (1 << PAYLOAD_BITS) - 1
LARGEST_SHIFT = 7  # exponent of a weight
STRONG = 2 << LARGEST_SHIFT  # what the smallest of such weights adds
LARGEST_SUM = 254 << LARGEST_SHIFT
MOST_CLASSES = 256
ADVICE = "let the host decide"


def decide(
    graph: QuantizedGraph, betas: FloatArray, *, silences: bool = False
) -> QuantizedGraph:
    """Return the retimed ``graph`` with neurons that decide as its read-out.

    Exactly one of them spikes, once, for the answer and at the timestep of the rule
    "stop once the gap passes ``betas``"; at the last timestep for what stays undecided.

    Parameters
    ----------
    graph : QuantizedGraph
    betas : array, (n_timesteps,)
        In units of the outputs; all equal, or falling by the same whole number. That
        of the last timestep does not matter.
    silences : bool
        From the answer on, inhibit every population that hears the input.

    Raises
    ------
    FitError
        If these neurons could not hold the rule exactly, for any input.
    """
    return _Builder(graph, betas).whole(silences)


class _Builder:
    """The populations and projections of one network, as they are made."""

    def __init__(self, graph: QuantizedGraph, betas: FloatArray) -> None:
        self.graph, self.readout = graph, graph.readout
        self.k, self.n_timesteps = graph.readout.size, graph.training.timesteps
        self.first, self.fall = self._line(betas)
        if self.k > MOST_CLASSES:
            raise self._refuse(
                f"{self.k} classes need {self.k * (self.k - 1)} neurons that compare "
                f"two of them, allowed are {MOST_CLASSES} classes; {ADVICE}"
            )
        if len(graph.training.heads) > 1:
            raise self._refuse(f"it is {len(graph.training.heads)} heads; {ADVICE}")
        self.i, self.j = np.nonzero(~np.eye(self.k, dtype=bool))
        self.populations = [*graph.populations]
        self.projections = [*graph.projections]

    def _refuse(self, why: str) -> FitError:
        return FitError(f"{self.readout.name}: cannot be decided on chip, {why}")

    def _line(self, betas: FloatArray) -> tuple[int, int]:
        """Return the threshold of timestep 1, and by how much it falls in each."""
        if self.k < 2 or self.n_timesteps < 2:
            raise self._refuse(
                f"{self.k} output(s) for {self.n_timesteps} timestep(s) leave nothing "
                "to decide early"
            )
        before = betas[:-1]
        if not np.isfinite(before).all():
            raise self._refuse(
                "some thresholds are infinite; calibrate on more inputs, and for "
                "every timestep"
            )
        falls = np.unique(-np.diff(before))
        if len(falls) > 1 or any(falls % 1) or any(falls < 0) or before.min() < 0:
            raise self._refuse(
                f"thresholds of {before.min():g} to {before.max():g} are not one, and "
                f"do not fall on a line to 0 or more; use the rule risk, or {ADVICE}"
            )
        return int(np.floor(before[0])), int(falls[0]) if len(falls) else 0

    def whole(self, silences: bool) -> QuantizedGraph:
        """Return the graph with all that decides."""
        is_counted = self.readout.spikes
        sender, rest, gain = self._counts() if is_counted else self._relayed()
        lead = self._lead(sender, rest, gain)
        decide = self._add(
            "decide", self.k, offset=lead.offset + 1, threshold=np.array(self.k - 2)
        )
        self._join(lead, decide, self.i, np.arange(lead.size), np.ones_like(self.i))
        latch = self._latch(decide)
        if silences:
            self._silence(latch)
        return replace(
            self.graph,
            populations=tuple(self.populations),
            projections=tuple(self.projections),
            output=decide.name,
            training=replace(
                self.graph.training, functional=Functional.SUM, heads=(), answers=""
            ),
        )

    def _counts(self) -> tuple[Population, IntArray, IntArray]:
        """Return who sends, with what outputs start and drift, and gain at most."""
        if self.graph.training.functional is not Functional.SUM:
            raise self._refuse(f"its spikes are not counted; {ADVICE}")
        gain = np.full(len(self.i), UNIT * self.readout.max_spikes)
        return self.readout, np.zeros((2, self.k), np.int64), gain

    def _relayed(self) -> tuple[Population, IntArray, IntArray]:
        """Put the relay in place of the read-out, and return the same of it."""
        y, graph = self.readout, self.graph
        self._check_sums()
        bias = shift(spread(y.bias_mantissa, y.shape), y.bias_exponent)
        whole = bias >> INPUT_SHIFT
        sums = arriving_range(graph, y)
        low, high = (
            np.broadcast_to(end, y.shape).ravel().astype(np.int64) + whole
            for end in (sums.low, sums.high)
        )
        # what makes every sum positive: of the strongest weights, one is enough
        base = max(0, -int(low.min() // STRONG)) * STRONG
        if base > LARGEST_SUM or high.max() + base > MOST_SPIKES:
            raise self._refuse(
                f"the sums of a timestep reach from {low.min()} to {high.max()}, a "
                f"relay sends -{LARGEST_SUM} to {MOST_SPIKES} less what makes them "
                f"positive; {ADVICE}"
            )
        if np.abs(whole).max() > BIAS_MANTISSA_LIMIT:
            raise self._refuse(
                f"a bias of {np.abs(bias).max()} is over what a relay can add, "
                f"{BIAS_MANTISSA_LIMIT << INPUT_SHIFT}; {ADVICE}"
            )
        gain = UNIT * self._gains() + bias[self.i] - bias[self.j]
        relay = self._add(
            "relay",
            self.k,
            offset=y.offset,
            bias_mantissa=whole,
            bias_exponent=INPUT_SHIFT,
            max_spikes=MOST_SPIKES,
            reset_amount=np.array(UNIT),
        )
        self.populations.remove(y)
        self.projections = [
            replace(p, target=relay.name) if p.target == y.name else p
            for p in self.projections
        ]
        if base:
            one = np.array(1)
            constant = self._add("constant", 1, offset=y.offset - 1, bias_mantissa=one)
            self._spread(constant, relay, np.full(self.k, base))
        drift = bias - (whole << INPUT_SHIFT)
        return relay, np.stack([spread(y.initial_voltage, y.shape), drift]), gain

    def _check_sums(self) -> None:
        flaw = flaw_of_sum(self.graph)
        if flaw:
            raise self._refuse(f"{flaw}; {ADVICE}")
        if reach_of(self.graph, self.readout).meets_a_limit:
            raise self._refuse(
                "its sums can reach the limits of its registers; train with smaller "
                "weights"
            )

    def _gains(self) -> IntArray:
        """Return what i can gain on j in a timestep at most, in weights."""
        found = np.zeros((self.k, self.k), np.int64)
        for p in self.graph.projections_into(self.readout):
            weights = p.synapses.dense(self.graph.shape_of(p.source)).astype(np.int64)
            spike = self.graph.largest_spike(p.source)
            for row, mine in enumerate(weights):
                ahead = np.maximum(mine - weights, 0).sum(axis=1) * spike
                # 1: of two sums that are rounded down
                found[row] += shift(ahead, p.exponent) + (p.exponent < 0)
        return found[self.i, self.j]

    def _lead(self, sender: Population, rest: IntArray, gain: IntArray) -> Population:
        """Add the leads, and the clock; ``rest`` is what outputs start with and gain.

        Voltages may saturate: between both limits lies more than any pair can gain, so
        what has met one cannot come back to the threshold.
        """
        i, j, n = self.i, self.j, self.n_timesteps
        begin, drift = rest[:, i] - rest[:, j]
        unit = UNIT if self.readout.spikes else 1
        slope, start = unit * self.fall, unit * (self.first + self.fall)
        room = 2 * (VOLTAGE_LIMIT - start - int(np.abs(begin).max()) - UNIT)
        if n * (int(gain.max()) + slope) > room or gain.max() + start > VOLTAGE_LIMIT:
            raise self._refuse(
                f"a class can gain {gain.max() + slope} on another in each of {n} "
                f"timesteps, beside the threshold {max(0, room) // n} fit; {ADVICE}"
            )
        lead = self._add(
            "lead",
            len(i),
            offset=sender.offset + 1,
            voltage_decay=np.array(0),
            bias_mantissa=drift + slope,
            initial_voltage=begin - start,
        )
        pair = np.arange(len(i))
        self._join(sender, lead, pair, i, np.ones_like(i))
        self._join(sender, lead, pair, j, -np.ones_like(i))
        clock = self._add(
            "clock",
            1,
            offset=sender.offset,
            voltage_decay=np.array(0),
            bias_mantissa=np.array(UNIT),
            threshold=np.array(n - 1),
        )
        # at last a pair is ahead with S * UNIT + left > 0, or >= 0, S in weights
        left = begin + n * drift
        passed = (start - slope * n - left) // UNIT
        wanted = np.where(i < j, -(left // UNIT) - 1, -left // UNIT)
        self._spread(clock, lead, passed - wanted)
        return lead

    def _latch(self, decide: Population) -> Population:
        """Keep ``decide`` silent behind its spike."""
        none, some = np.array(0), self.k
        latch = self._add("latch", 1, offset=decide.offset + 1, voltage_decay=none)
        self._join(decide, latch, np.zeros(some, int), np.arange(some), np.ones(some))
        # the latch is heard two timesteps later
        to, of = np.divmod(np.arange(some * some), some)
        self._join(decide, decide, to, of, np.full(some * some, -some))
        self._spread(latch, decide, np.full(some, -some))
        return latch

    def _silence(self, latch: Population) -> None:
        """Inhibit every population that hears the input, as strongly as can be."""
        source = self.graph.source.name
        heard = {p.target for p in self.graph.projections if p.source == source}
        for population in self.populations[:]:
            if population.name in heard:
                self._spread(latch, population, np.full(population.size, -LARGEST_SUM))

    def _add(self, part: str, size: int, **given: Any) -> Population:
        """Add spiking neurons without memory or reset, but for what is given."""
        zero = np.array(0)
        rest: dict[str, Any] = {
            "current_decay": FORGETS
            - np.array(self.graph.precision.current_decay_offset),
            "voltage_decay": np.array(FORGETS),
            "bias_mantissa": zero,
            "bias_exponent": 0,
            "threshold": zero,
            "reset": Reset.SOFT,
            "reset_amount": zero,
            "initial_voltage": zero,
            "comparison": Comparison.GREATER,
            "spikes": True,
            "scale": np.array(1.0),
        }
        name = f"{self.readout.name}_{part}"
        made = Population(name=name, shape=(size,), **(rest | given))
        self.populations.append(made)
        return made

    def _spread(self, source: Population, target: Population, sums: IntArray) -> None:
        """Join one neuron with all of ``target``."""
        every = np.arange(target.size)
        self._join(source, target, every, np.zeros_like(every), sums)

    def _join(
        self,
        source: Population,
        target: Population,
        to: IntArray,
        of: IntArray,
        sums: AnyArray,
    ) -> None:
        """Add synapses that change a voltage by ``sums`` times ``UNIT`` for a spike."""
        sign, size = np.sign(sums).astype(np.int64), np.abs(sums).astype(np.int64)
        if size.max() > LARGEST_SUM:
            raise self._refuse(
                f"a threshold of {size.max() * UNIT} is over what a synapse can add, "
                f"{LARGEST_SUM * UNIT}; {ADVICE}"
            )
        # even weights, that every grid has
        parts = (-1, 2 * (size & 1)), (0, size & 254), (LARGEST_SHIFT, size >> 8 << 1)
        for exponent, weights in parts:
            used = np.flatnonzero(weights)
            if not len(used):
                continue
            synapses = SparseSynapses(
                weights=(sign * weights)[used],
                targets=to[used],
                sources=of[used],
                size=(target.size, source.size),
            )
            self.projections.append(
                Projection(
                    name=f"{source.name}->{target.name}#{len(self.projections)}",
                    source=source.name,
                    target=target.name,
                    synapses=synapses,
                    exponent=exponent,
                    delay=max(1, target.offset - source.offset),
                )
            )
