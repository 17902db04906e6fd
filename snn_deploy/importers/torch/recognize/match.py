"""Find the neuron whose outputs, timestep by timestep, are some polynomials.

Told from outputs alone: where, and in which form, a forward keeps its states does not
matter. A neuron that keeps the share k of its voltage and c of its current spikes, all
scaled so that an input counts once, where the following is over 0:

* ``x1 + c1`` in timestep 1;
* ``x2 + (k + c) x1 + c2`` in timestep 2, or behind a spike: after a hard reset
  ``x2 + c x1 + h``, after a soft one by r ``x2 + (k + c) x1 + c2 - k r``.

All parameters follow from these and the third timestep; whether they are right is seen
by computing the polynomials of further timesteps from them. Voltages are counted from
where a hard reset leads. Behind a soft one that is free: it is chosen so that a spike
takes the threshold off, or there is no bias, or the voltage starts at 0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.importers.torch.recognize.polynomials import (
    Gates,
    Polynomial,
    Term,
    UnreadableError,
    arriving,
    is_close,
    is_same,
    polynomial,
)
from snn_deploy.ir.neurons import Comparison, Reset

N_READ = 5  # timesteps of outputs that are compared as polynomials
TINY = 1e-12  # a coefficient that is 0 but for rounding
ZERO, ONE = np.zeros(()), np.ones(())


@dataclass(frozen=True, kw_only=True, eq=False)
class Recognized:
    """A neuron, in the terms of ``ir.neurons``; with no comparison it never spikes."""

    voltage_decay: FloatArray
    current_decay: FloatArray
    bias: FloatArray = field(default_factory=lambda: ZERO)
    initial_voltage: FloatArray = field(default_factory=lambda: ZERO)
    threshold: FloatArray = field(default_factory=lambda: ONE)
    reset_amount: FloatArray = field(default_factory=lambda: ZERO)
    reset: Reset = Reset.SOFT
    input_gain: FloatArray = field(default_factory=lambda: ONE)
    comparison: Comparison | None = None
    spike_value: float = 1.0
    refractory: int = 0  # timesteps after a spike in which the voltage stays: 0 or 1
    input_delay: int = 0  # timesteps until an input acts

    def over_threshold(self, spikes: Sequence[Polynomial]) -> Iterator[Polynomial]:
        """Yield what is compared with 0, timestep by timestep, with these spikes."""
        voltage, current = polynomial(self.initial_voltage), polynomial(0.0)
        resting = polynomial(0.0)
        for timestep, spike in enumerate(spikes, 1):
            current = current * (1 - self.current_decay)
            current = current + arriving(timestep) * self.input_gain
            moved = voltage * (1 - self.voltage_decay) + current + self.bias
            voltage = moved * (1.0 - resting) + voltage * resting
            yield voltage - self.threshold
            resting = spike * float(self.refractory)
            if self.reset is Reset.HARD:
                voltage = voltage * (1.0 - spike)
            else:
                voltage = voltage - spike * self.reset_amount

    def lowered(
        self, outputs: Sequence[Polynomial], values: Sequence[Polynomial]
    ) -> int | None:
        """Return how many timesteps after a spike ``values``, a voltage, is lower.

        ``None`` if they are no voltage of this neuron, which gives ``outputs``.

        Raises
        ------
        UnreadableError
            If a spike sets them to 0.
        """
        if self.comparison is None:
            return None
        spikes = [output * (1 / self.spike_value) for output in outputs]
        before = [value + self.threshold for value in self.over_threshold(spikes)]
        is_hard = self.reset is Reset.HARD
        behind = [
            v * (1.0 - s) if is_hard else v - s * self.reset_amount
            for v, s in zip(before, spikes, strict=True)
        ]
        for late, voltages in enumerate((behind, before)):
            if all(is_same(a, b) for a, b in zip(voltages, values, strict=True)):
                if is_hard:
                    raise UnreadableError(
                        "gives out a voltage that spikes set to 0 (one from which they "
                        "subtract can be read out)"
                    )
                return late
        return None


def matched(outputs: Sequence[Polynomial], gates: Gates) -> Recognized:
    """Return the neuron that gives ``outputs`` in its first timesteps.

    Raises
    ------
    UnreadableError
        If there is none.
    """
    delay = delay_of(outputs)
    given = outputs[delay : delay + N_READ]
    if len(given) < N_READ:
        raise UnreadableError("never depends on its input")
    if not any(output.gates for output in given):
        return _delayed(replace(_integrator(given), input_delay=delay))
    if any(output.terms for output in outputs[:delay]):
        raise UnreadableError("gives something before the first input acts")
    worth = _worth(given)
    found = [gates.all[min(output.gates)] for output in given]
    if len({gate.takes_zero for gate in found}) > 1:
        raise UnreadableError("compares with > in one timestep and >= in another")
    gains = [gate.over.at(n) for n, gate in enumerate(found, 1)]
    if any(np.any(gain <= 0) for gain in gains):
        raise UnreadableError("does not spike the sooner the larger its input")
    compared = [_scaled(d.over, g) for d, g in zip(found, gains, strict=True)]
    spikes = [output * (1 / worth) for output in given]
    gain = gains[1]
    reading = replace(
        _spiking(compared, spikes),
        comparison=(
            Comparison.GREATER_EQUAL if found[0].takes_zero else Comparison.GREATER
        ),
        spike_value=worth,
        input_delay=delay,
    )
    return _delayed(_rescaled(reading, gain))


def delay_of(outputs: Sequence[Polynomial]) -> int:
    """Return how many timesteps pass until an input acts."""
    acting = (n for n, value in enumerate(outputs) if value.inputs or value.gates)
    return next(acting, len(outputs))


def _worth(outputs: Sequence[Polynomial]) -> float:
    """Return what a spike is worth, where every output is one gate."""
    values = []
    for output in outputs:
        terms = list(output.terms)
        if len(terms) != 1 or terms[0].inputs or len(terms[0].gates) != 1:
            raise UnreadableError(
                "gives something else than whether one value is over another"
            )
        values.append(output.terms[terms[0]])
    worth = float(np.ravel(values[0])[0])
    if worth <= 0 or not all(is_close(value, worth) for value in values):
        raise UnreadableError("gives spikes of several values, or of one not over 0")
    return worth


def _scaled(value: Polynomial, gain: FloatArray) -> Polynomial:
    """Return a value divided by ``gain``, without what is there by rounding alone."""
    terms = {term: c / gain for term, c in value.terms.items()}
    sizes = [np.abs(c).max() for term, c in terms.items() if not term.inputs]
    largest = max(sizes, default=0.0)
    return Polynomial(
        {
            term: np.where(np.abs(c) > TINY * (1 if term.inputs else largest), c, 0.0)
            for term, c in terms.items()
        }
    )


def _spiking(
    compared: Sequence[Polynomial], spikes: Sequence[Polynomial]
) -> Recognized:
    for reading in _candidates(compared, spikes):
        mine = list(reading.over_threshold(spikes))
        if all(is_same(a, b) for a, b in zip(mine, compared, strict=True)):
            if np.any(reading.threshold <= 0):
                raise UnreadableError(
                    f"has a threshold of {reading.threshold.min():.4g}, counted from "
                    "the voltage behind a reset; it must be over 0"
                )
            return _checked(reading)
    raise UnreadableError(_difference(compared, spikes))


def _candidates(
    compared: Sequence[Polynomial], spikes: Sequence[Polynomial]
) -> Iterator[Recognized]:
    """Yield the neurons that three timesteps may stand for."""
    one, two, three = compared[:3]
    spike = min(spikes[0].gates)
    start, silent = one.constant, two.constant
    kept = two.at(1)  # of the voltage and the current together
    gated, step = two.at(1, gates=(spike,)), two.at(gates=(spike,))
    rest = silent + step  # compared without an input, behind a spike
    if np.any(two.at(2, gates=(spike,))):
        share = -three.at(2, gates=(spike,))
        bias = silent - share * (start - rest) - rest
        yield Recognized(
            voltage_decay=1 - share,
            current_decay=1 - (kept - share),
            bias=_tidy(bias, rest),
            initial_voltage=_tidy(_ratio(start - rest - bias, share), rest),
            threshold=_tidy(-rest),
            reset=Reset.HARD,
            refractory=1,
        )
        return
    if np.any(gated):
        share = -gated
        drift = silent - share * start
        threshold = np.where(share > 0, _ratio(drift - rest, share), -rest)
        yield Recognized(
            voltage_decay=1 - share,
            current_decay=1 - (kept - share),
            bias=_tidy(rest + threshold, threshold),
            initial_voltage=_tidy(_ratio(start - rest, share), threshold),
            threshold=_tidy(threshold),
            reset=Reset.HARD,
        )
        return
    if not np.any(kept) and not np.any(step):
        yield Recognized(voltage_decay=ONE, current_decay=ONE, threshold=-silent)
        return
    share = _share(compared)
    if np.any(step):
        share = _ratio(three.at(gates=(spike,)), step)
    yield from _soft(share, kept - share, start, silent, step)


def _share(values: Sequence[Polynomial]) -> FloatArray:
    """Return what is kept of a voltage that nothing resets.

    From its sum and its product with what is kept of the current: it is the one of the
    two that says how the voltage changes without an input, or the larger.
    """
    one, two, three = values[:3]
    kept = two.at(1)
    square = kept**2 - 4 * (kept**2 - three.at(1))
    difference = np.sqrt(np.where(square > TINY, square, 0.0))
    larger, smaller = (kept + difference) / 2, (kept - difference) / 2
    change = two.constant - one.constant
    found = _ratio(three.constant - two.constant, change)
    is_smaller = (np.abs(found - smaller) < np.abs(found - larger)) & (change != 0)
    return np.where(is_smaller, smaller, larger)


def _soft(
    share: FloatArray,
    current: FloatArray,
    start: FloatArray,
    silent: FloatArray,
    step: FloatArray,
) -> Iterator[Recognized]:
    """Yield neurons with a soft reset that differ in where the voltage is 0."""
    amount = _tidy(-_ratio(step, share))
    drift = silent - share * start  # bias less what the threshold loses
    lost = np.where(1 - share > TINY, 1 - share, 0.0)
    from_rest = _ratio(drift - start, share)
    unleaking = np.where(amount > 0, amount, from_rest)
    without_bias = np.where(lost > 0, _ratio(-drift, lost), unleaking)
    plain = Recognized(
        voltage_decay=1 - share, current_decay=1 - current, reset_amount=amount
    )
    for number, threshold in enumerate((amount, without_bias, from_rest)):
        bias = _tidy(drift + lost * threshold, threshold)
        begin = _tidy(_ratio(start - bias + threshold, share), threshold)
        is_natural = not np.any(bias) or not np.any(begin)
        if np.all(threshold > 0) and (is_natural or number):
            yield replace(
                plain,
                bias=bias,
                initial_voltage=begin,
                threshold=_tidy(threshold),
            )


def _integrator(outputs: Sequence[Polynomial]) -> Recognized:
    gain = outputs[0].at(1)
    if np.any(gain == 0):
        raise UnreadableError("gives what does not depend on its latest input")
    one, two, three = (_scaled(output, gain) for output in outputs[:3])
    if not np.any(two.at(1)):
        raise UnreadableError("keeps nothing from one timestep to the next")
    silent = [polynomial(0.0)] * len(outputs)
    share = _share((one, two, three))
    bias = _tidy(two.constant - share * one.constant, one.constant)
    reading = _rescaled(
        Recognized(
            voltage_decay=1 - share,
            current_decay=1 - (two.at(1) - share),
            bias=bias,
            initial_voltage=_tidy(_ratio(one.constant - bias, share), one.constant),
            threshold=ZERO,
        ),
        gain,
    )
    mine = reading.over_threshold(silent)
    if not all(is_same(a, b) for a, b in zip(mine, outputs, strict=True)):
        raise UnreadableError("gives a voltage that changes in another way")
    return replace(_checked(reading), threshold=ONE)


def _checked(reading: Recognized) -> Recognized:
    for what, lost in (
        ("voltage", reading.voltage_decay),
        ("current", reading.current_decay),
    ):
        kept = 1 - lost
        if np.any(kept < -TINY) or np.any(kept > 1 + TINY):
            worst = np.ravel(kept)[np.argmax(np.abs(np.ravel(kept) - 0.5))]
            raise UnreadableError(
                f"keeps {worst:.4g} of its {what} from one timestep to the next, "
                "allowed is 0 to 1"
            )
    if np.any(reading.reset_amount < 0):
        raise UnreadableError("raises its voltage when it spikes")
    return replace(
        reading,
        voltage_decay=_tidy(np.clip(reading.voltage_decay, 0, 1), ONE),
        current_decay=_tidy(np.clip(reading.current_decay, 0, 1), ONE),
    )


def _rescaled(reading: Recognized, gain: FloatArray) -> Recognized:
    """Return the neuron with voltages in a unit in which an input counts ``gain``."""
    return replace(
        reading,
        bias=_tidy(reading.bias * gain),
        initial_voltage=_tidy(reading.initial_voltage * gain),
        threshold=_tidy(reading.threshold * gain),
        reset_amount=_tidy(reading.reset_amount * gain),
        input_gain=_tidy(reading.input_gain * gain),
    )


def _delayed(reading: Recognized) -> Recognized:
    """Return the neuron that began its first timestep before any input acted."""
    before = reading.initial_voltage
    for _ in range(reading.input_delay):
        before = _ratio(before - reading.bias, 1 - reading.voltage_decay)
    return replace(reading, initial_voltage=_tidy(before, reading.threshold))


def _difference(compared: Sequence[Polynomial], spikes: Sequence[Polynomial]) -> str:
    """Return what in the second timestep no neuron of ours does."""
    spike = min(spikes[0].gates)
    known = {CURRENT, BEFORE, *(Term(i, frozenset({spike})) for i in ((), (1,)))}
    strange = compared[1].terms.keys() - known - {Term()}
    if any(len(term.inputs) > 1 for term in strange):
        return "multiplies voltages or inputs with one another"
    if any(term.gates - {spike} for term in strange):
        return "makes another comparison than that of its spikes"
    return (
        "changes from one timestep to the next in another way than decay, input, "
        "spike and reset"
    )


CURRENT, BEFORE = Term((2,)), Term((1,))


def _ratio(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return ``a / b``, 0 where ``b`` is 0."""
    is_zero = np.asarray(b) == 0
    ratio: FloatArray = np.where(is_zero, 0.0, a / np.where(is_zero, 1.0, b))
    return ratio


def _tidy(values: FloatArray, beside: FloatArray = ZERO) -> FloatArray:
    """Return values without the rounding of the last digits, where it shows.

    0 where they are tiny ``beside`` others; else a number of twelve digits, if it is
    that but for a few units in the last place.
    """
    values = np.where(np.abs(values) <= TINY * np.abs(beside), 0.0, values)
    with np.errstate(divide="ignore"):
        exponents = np.floor(np.log10(np.abs(np.where(values == 0, 1.0, values))))
    digits = 10.0 ** (11 - exponents)
    short = np.rint(values * digits) / digits
    return np.where(
        np.abs(short - values) <= 4 * np.spacing(np.abs(values)), short, values
    )
