"""Run layers of any form, each by itself on given spikes, or several together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snn_deploy.arrays import AnyArray, BoolArray, FloatArray, IntArray
from snn_deploy.fixedpoint import INPUT_SHIFT, STATE_BITS, VOLTAGE_LIMIT
from snn_deploy.ir.dynamics import exact_type
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.verify.layer import Inflow, Layer

ROUNDING = 1e-9  # what float sums of whole numbers may miss
Trains = Mapping[str, AnyArray]  # what each sender sent, (n, n_timesteps, n_neurons)


@dataclass(frozen=True, kw_only=True, eq=False)
class Response:
    """What a layer did: arrays ``(n, n_timesteps, n_neurons)``, in voltage units."""

    spikes: IntArray
    reached: FloatArray  # the voltage that was compared with the threshold
    voltage: FloatArray  # behind the reset

    def put(
        self, row: int, spikes: IntArray, reached: FloatArray, voltage: FloatArray
    ) -> None:
        """Fill in one timestep."""
        self.spikes[:, row] = spikes
        self.reached[:, row] = reached
        self.voltage[:, row] = voltage

    def at(self, inputs: IntArray, neurons: IntArray) -> "Response":
        """Return the response of single neurons, ``(1, n_timesteps, len(neurons))``."""
        return Response(
            **{
                name: v[inputs, :, neurons].T[np.newaxis]
                for name, v in vars(self).items()
            }
        )


def respond(layer: Layer, arriving: FloatArray) -> Response:
    """Return what one layer does by itself.

    Parameters
    ----------
    layer : Layer
    arriving : array, (n, n_timesteps, n_neurons)
        The weighted sums, as ``weigh`` gives them.
    """
    n, n_timesteps, _ = arriving.shape
    found, running = _empty(n, n_timesteps, layer), _LayerRun(layer, n)
    for row in range(n_timesteps):
        found.put(row, *running.step(arriving[:, row]))
    return found


# sums of whole trains, and what they are of, which lives as long; see ``weigh``
Known = dict[tuple[int, int, bytes], tuple[Inflow, AnyArray, FloatArray]]


def weigh(
    layer: Layer, given: Trains, n_timesteps: int, known: Known | None = None
) -> FloatArray:
    """Return the weighted sums of what the senders of a layer sent.

    ``known`` keeps what the same weights make of the same trains, from call to call:
    forms of a layer share them, and only shift and round them in other ways.
    """
    n = len(next(iter(given.values())))
    total: FloatArray = np.zeros((n_timesteps, n, layer.size)).swapaxes(0, 1)
    for inflow in layer.inflows:
        sent = given[inflow.source]
        least = max(0, int(inflow.delays.min(initial=n_timesteps)))
        if least >= n_timesteps:
            continue
        key = id(inflow.mantissas), id(sent), inflow.delays.tobytes()
        found = (known or {}).get(key)
        if found is None:
            sums = _sums(inflow, _arriving(inflow, sent, n_timesteps)[:, least:])
            found = inflow, sent, sums
        if known is not None:
            known[key] = found
        total[:, least:] += _shifted(inflow, found[2])
    return total


def _arriving(inflow: Inflow, sent: AnyArray, n_timesteps: int) -> AnyArray:
    """Return what arrives at each timestep, ``(n, n_timesteps, n_sources)``."""
    if not inflow.delays.any() and sent.shape[1] >= n_timesteps:
        return sent[:, :n_timesteps]
    spikes = np.zeros((len(sent), n_timesteps, sent.shape[2]), sent.dtype)
    for delay in map(int, np.unique(inflow.delays)):
        late = inflow.delays == delay
        first, last = max(0, delay), min(n_timesteps, sent.shape[1] + delay)
        if first < last:
            came = sent[:, first - delay : last - delay, late]
            spikes[:, first:last, late] = came
    return spikes


def _sums(inflow: Inflow, spikes: AnyArray) -> FloatArray:
    """Return the sums of spikes that arrive, a timestep before the others in memory."""
    dtype = _exact_for(inflow, spikes)
    mantissas = inflow.mantissas.astype(dtype)
    sums = inflow.synapses.summing(mantissas, inflow.source_shape)
    n, n_timesteps, _ = spikes.shape
    if (spikes == spikes[:, :1]).all():  # as of an image that is shown all the time
        once = sums(spikes[:, 0].astype(dtype))[:, np.newaxis]
        return np.broadcast_to(once, (n, n_timesteps, once.shape[2]))
    rows = spikes.swapaxes(0, 1).reshape(n * n_timesteps, -1)
    found: FloatArray = sums(rows.astype(dtype)).reshape(n_timesteps, n, -1)
    return found.swapaxes(0, 1)


def _exact_for(inflow: Inflow, spikes: AnyArray) -> npt.DTypeLike:
    """Return the fastest type in which the sums of these spikes are exact."""
    if (inflow.mantissas != np.rint(inflow.mantissas)).any():
        return np.float64
    most = inflow.synapses.sums_onto(np.abs(inflow.mantissas)).max(initial=0)
    largest = max(int(spikes.max(initial=0)), -int(spikes.min(initial=0)))
    return exact_type(int(most) * largest)


def _shifted(inflow: Inflow, sums: FloatArray) -> FloatArray:
    shifted = sums * 2.0**inflow.exponent
    if inflow.rounds_down and inflow.exponent < 0:
        shifted = np.floor(shifted + ROUNDING)
    return shifted


def run(
    layers: Sequence[Layer],
    given: Trains,
    n_timesteps: int,
    known: Known | None = None,
) -> dict[str, Response]:
    """Return what layers do together; what the others sent is ``given``.

    The layers are in the order in which they depend on one another within a timestep.
    A sender that is among ``given`` is taken from there, even if it is run.
    """
    if not _is_forward(layers, given):
        return _run_in_step(layers, given, n_timesteps)
    found: dict[str, Response] = {}
    sent = dict(given)
    for layer in layers:
        response = respond(layer, weigh(layer, sent, n_timesteps, known))
        found[layer.name] = response
        sent.setdefault(layer.name, response.spikes)
    return found


def _is_forward(layers: Sequence[Layer], given: Trains) -> bool:
    """Return whether no layer waits for one behind it, or for a timestep to come."""
    there = set(given)
    for layer in layers:
        sources = {inflow.source for inflow in layer.inflows}
        is_early = any(np.any(inflow.delays < 0) for inflow in layer.inflows)
        if is_early or not sources <= there:
            return False
        there.add(layer.name)
    return True


def _run_in_step(
    layers: Sequence[Layer], given: Trains, n_timesteps: int
) -> dict[str, Response]:
    n = len(next(iter(given.values())))
    found = {layer.name: _empty(n, n_timesteps, layer) for layer in layers}
    sent = {**{name: response.spikes for name, response in found.items()}, **given}
    runs = [_LayerRun(layer, n) for layer in layers]
    sums = [[_Sum(inflow) for inflow in layer.inflows] for layer in layers]
    for row in range(n_timesteps):
        for running, inflows in zip(runs, sums, strict=True):
            arriving: FloatArray = np.zeros_like(running.current)
            for weighted in inflows:
                spikes = arrived(weighted.inflow, sent[weighted.inflow.source], row)
                if spikes is not None:
                    arriving = arriving + weighted(spikes)
            found[running.layer.name].put(row, *running.step(arriving))
    return found


def _empty(n: int, n_timesteps: int, layer: Layer) -> Response:
    shape = (n_timesteps, n, layer.size)  # a timestep is in one piece
    return Response(
        spikes=np.zeros(shape, np.int32).swapaxes(0, 1),
        reached=np.zeros(shape).swapaxes(0, 1),
        voltage=np.zeros(shape).swapaxes(0, 1),
    )


class _LayerRun:
    """A layer in progress, for a batch."""

    def __init__(self, layer: Layer, n: int) -> None:
        size = layer.size
        self.layer = layer
        self.current: FloatArray = np.zeros((n, size))
        self.voltage: FloatArray = np.tile(layer.initial_voltage, (n, 1))
        self.resting: IntArray = np.zeros((n, size), np.int64)
        self.has_memory = bool((layer.current_decay != 1).any())
        self.has_floor = bool((layer.lowest_voltage > -np.inf).any())

    def step(self, arriving: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
        layer = self.layer
        current = arriving * (1 << INPUT_SHIFT)
        if self.has_memory:
            truncates = layer.current_truncates
            current = current + _decayed(self.current, layer.current_decay, truncates)
        self.current = _wrapped(current) if layer.wraps else current
        kept = _decayed(self.voltage, layer.voltage_decay, layer.voltage_truncates)
        reached = self._saturated(kept + self.current + layer.bias)
        is_resting = self.resting > 0
        if layer.refractory:
            reached = np.where(is_resting, self.voltage, reached)
        spikes = self._spikes(reached, is_resting)
        if layer.reset is Reset.HARD:
            self.voltage = np.where(spikes > 0, 0.0, reached)
        else:
            self.voltage = self._saturated(reached - spikes * layer.reset_amount)
        if layer.refractory:
            left = np.maximum(self.resting - 1, 0)
            self.resting = np.where(spikes > 0, layer.refractory, left)
        return spikes, reached, self.voltage

    def _spikes(self, reached: FloatArray, is_resting: BoolArray) -> IntArray:
        layer = self.layer
        if not layer.spikes:
            return np.zeros(reached.shape, np.int32)
        is_strict = layer.comparison is Comparison.GREATER
        over = reached - layer.threshold
        is_over = (over > 0 if is_strict else over >= 0) & ~is_resting
        if layer.max_spikes == 1:
            return is_over.astype(np.int32)
        wanted = over / np.maximum(layer.reset_amount, 1)
        count = np.ceil(wanted) if is_strict else np.floor(wanted) + 1
        count = np.where(is_over, np.minimum(count, layer.max_spikes), 0)
        return count.astype(np.int32)

    def _saturated(self, voltage: FloatArray) -> FloatArray:
        if self.has_floor:
            voltage = np.maximum(voltage, self.layer.lowest_voltage)
        if not self.layer.saturates:
            return voltage
        return np.clip(voltage, -VOLTAGE_LIMIT, VOLTAGE_LIMIT)


def _decayed(values: FloatArray, decay: FloatArray, truncates: bool) -> FloatArray:
    if not decay.any():
        return values
    kept: FloatArray = values * (1 - decay)
    if truncates:
        kept = np.where(decay > 0, np.trunc(kept), kept)
    return kept


def _wrapped(values: FloatArray) -> FloatArray:
    half = 1 << (STATE_BITS - 1)
    if values.max(initial=0) <= half and values.min(initial=0) > -half:
        return values
    wrapped: FloatArray = (values + (half - 1)) % (2 * half) - (half - 1)
    return wrapped


def arrived(inflow: Inflow, sent: AnyArray, row: int) -> AnyArray | None:
    """Return the spikes ``(n, n_sources)`` that arrive in a timestep, if any can."""
    delays = np.unique(inflow.delays)
    if len(delays) == 1:
        source = row - int(delays[0])
        return sent[:, source] if 0 <= source < sent.shape[1] else None
    spikes = np.zeros((len(sent), sent.shape[2]), sent.dtype)
    for delay in delays:
        source = row - int(delay)
        if 0 <= source < sent.shape[1]:
            late = inflow.delays == delay
            spikes[:, late] = sent[:, source][:, late]
    return spikes


class _Sum:
    """The weighted sum of one inflow; computed once for spikes that stay the same."""

    def __init__(self, inflow: Inflow) -> None:
        self.inflow = inflow
        self.spikes: AnyArray = np.zeros(0)
        self.latest: FloatArray = np.zeros(0)
        self.sums = inflow.synapses.summing(inflow.mantissas, inflow.source_shape)

    def __call__(self, spikes: AnyArray) -> FloatArray:
        if not np.array_equal(spikes, self.spikes):
            self.spikes = spikes
            sums = self.sums(spikes.astype(np.float64))
            self.latest = _shifted(self.inflow, sums)
        return self.latest
