"""Why two forms of one layer part, on the same spikes: one aspect at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray, IntArray
from snn_deploy.verify.layer import (
    INFLOW_ASPECTS,
    Layer,
    differing,
    hybrid,
    of_inputs,
)
from snn_deploy.verify.simulate import Known, Response, Trains, respond, weigh


@dataclass(frozen=True, kw_only=True)
class Parting:
    """A place where two forms of a layer part, and the two voltages there.

    The voltages are those that were compared with the threshold, less the threshold;
    of neurons that never spike, the voltages themselves. In units of the float model.
    """

    timestep: int  # counted from 1
    input: int
    neuron: tuple[int, ...]  # (channel, row, column), or the position in the layer
    voltages: tuple[float, float]
    spikes: tuple[int, int]

    @property
    def place(self) -> tuple[object, ...]:
        """What the earliest parting is the smallest of."""
        return self.timestep, self.input, self.neuron


@dataclass(kw_only=True)
class Explanation:
    """How two forms of one layer part on the same spikes, and what makes them."""

    n_values: int = 0  # neurons, timesteps and inputs
    n_differing: int = 0
    n_parted: int = 0  # neurons that part from their other form, in all inputs
    reproduced: dict[str, int] = field(default_factory=dict)  # of those, by one aspect
    first: Parting | None = None
    causes: tuple[str, ...] = ()  # of the first: each alone, or "a + b" together

    def add(self, other: "Explanation") -> None:
        """Take in what other inputs gave."""
        self.n_values += other.n_values
        self.n_differing += other.n_differing
        self.n_parted += other.n_parted
        for aspect, n in other.reproduced.items():
            self.reproduced[aspect] = self.reproduced.get(aspect, 0) + n
        if other.first is not None and (
            self.first is None or other.first.place < self.first.place
        ):
            self.first, self.causes = other.first, other.causes

    @property
    def shares(self) -> dict[str, float]:
        """The share of parted neurons that each aspect alone reproduces, falling."""
        found = sorted(self.reproduced.items(), key=lambda item: -item[1])
        return {aspect: n / self.n_parted for aspect, n in found if n}


def parted(layer: Layer, a: Response, b: Response, *, is_exact: bool) -> BoolArray:
    """Return where two responses are not the same, ``(n, n_timesteps, n_neurons)``.

    That is where spikes differ, or the voltages of neurons that never spike by more
    than half a unit; if ``is_exact``, where anything differs.
    """
    if is_exact:
        differs = (a.reached != b.reached) | (a.voltage != b.voltage)
        return np.asarray(differs | (a.spikes != b.spikes))
    if layer.spikes:
        return np.asarray(a.spikes != b.spikes)
    return np.asarray(np.abs(a.voltage - b.voltage) > 0.5)


def first_parting(
    differs: BoolArray, forms: tuple[Layer, Layer], responses: tuple[Response, Response]
) -> Parting | None:
    """Return the earliest place where two responses part: timestep, input, neuron."""
    rows = differs.any(axis=(0, 2))
    if not rows.any():
        return None
    row = int(rows.argmax())
    n, k = (int(i) for i in np.argwhere(differs[:, row])[0])
    low = [form.threshold[k] if form.spikes else 0.0 for form in forms]
    a, b = ((r.reached[n, row, k] - t) for r, t in zip(responses, low, strict=True))
    scale = forms[0].scale[k]
    return Parting(
        timestep=row + 1,
        input=n,
        neuron=tuple(int(i) for i in np.unravel_index(k, forms[0].shape)),
        voltages=(float(a * scale), float(b * scale)),
        spikes=(
            int(responses[0].spikes[n, row, k]),
            int(responses[1].spikes[n, row, k]),
        ),
    )


def explain(
    forms: tuple[Layer, Layer],
    given: Trains,
    n_timesteps: int,
    *,
    is_exact: bool,
    known: Known | None = None,
    second: Response | None = None,
) -> Explanation:
    """Return how two forms of a layer part when both get the spikes ``given``.

    Of each neuron that parts, the first time counts: later on its state is another. An
    aspect reproduces it if the first form with this aspect of the second does, up to
    there, what the second does (or, of neurons that never spike, comes closer to it
    than to the first). ``known`` is that of ``weigh``; ``second`` what the second form
    does, if that is known as well.
    """
    a, b = forms
    arriving = weigh(a, given, n_timesteps, known)
    if second is None:
        second = respond(b, weigh(b, given, n_timesteps, known))
    responses = respond(a, arriving), second
    differs = parted(a, *responses, is_exact=is_exact)
    found = Explanation(n_values=differs.size, n_differing=int(differs.sum()))
    found.first = first_parting(differs, forms, responses)
    if found.first is None:
        return found
    inputs, neurons = np.nonzero(differs.any(axis=1))
    rows = differs.argmax(axis=1)[inputs, neurons]
    found.n_parted = len(rows)
    trial = _Trial(forms, given, n_timesteps, inputs, neurons, rows, is_exact, known)
    trial.sums[()] = arriving[inputs, :, neurons].T[np.newaxis]
    trial.expect(*(r.at(inputs, neurons) for r in responses))
    aspects = differing(a, b)
    alone = {aspect: trial.reproduces([aspect]) for aspect in aspects}
    found.reproduced = {name: int(hit.sum()) for name, hit in alone.items()}
    place = np.lexsort((neurons, inputs, rows))[0]
    found.causes = tuple(name for name, hit in alone.items() if hit[place])
    if not found.causes:
        single = trial.only(int(place))
        found.causes = (" + ".join(single.fewest(aspects)),)
    return found


class _Trial:
    """Single neurons of a layer, tried as hybrids of its two forms."""

    def __init__(
        self,
        forms: tuple[Layer, ...],
        given: Trains,
        n_timesteps: int,
        inputs: IntArray,
        neurons: IntArray,
        rows: IntArray,
        is_exact: bool,
        known: Known | None = None,
    ) -> None:
        self.forms = forms
        self.known = known
        self.columns = tuple(_of_neurons(form, inputs, neurons) for form in forms)
        self.given = given
        self.n_timesteps = n_timesteps
        self.inputs, self.neurons, self.rows = inputs, neurons, rows
        self.is_exact = is_exact
        self.sums: dict[tuple[str, ...], FloatArray] = {}

    def expect(self, a: Response, b: Response) -> None:
        """Take what the two forms do."""
        self.a, self.b = a, b

    def only(self, place: int) -> "_Trial":
        """Return the trial of one neuron with one input."""
        n = self.inputs[place : place + 1]
        trial = _Trial(
            tuple(of_inputs(form, n) for form in self.forms),
            {name: sent[n] for name, sent in self.given.items()},
            self.n_timesteps,
            np.zeros(1, np.int64),
            self.neurons[place : place + 1],
            self.rows[place : place + 1],
            self.is_exact,
        )
        zero, column = np.zeros(1, np.int64), np.array([place])
        trial.expect(self.a.at(zero, column), self.b.at(zero, column))
        return trial

    def fewest(self, aspects: Sequence[str]) -> list[str]:
        """Return aspects that reproduce the parting together, none of them idle."""
        kept = list(aspects)
        for aspect in aspects:
            rest = [name for name in kept if name != aspect]
            if self.reproduces(rest).all():
                kept = rest
        return kept

    def reproduces(self, aspects: Sequence[str]) -> BoolArray:
        """Return for which of the neurons these aspects reproduce the parting."""
        response = respond(
            hybrid(self.columns[0], self.columns[1], aspects), self._arriving(aspects)
        )
        a, b, rows = self.a, self.b, self.rows
        if self.forms[0].spikes or self.is_exact:
            differs = parted(self.forms[0], response, b, is_exact=self.is_exact)[0]
            until = np.arange(self.n_timesteps)[:, np.newaxis] <= rows
            same: BoolArray = ~(differs & until).any(axis=0)
            return same
        places = (0, rows, np.arange(len(rows)))
        left = np.abs(response.voltage[places] - b.voltage[places])
        closer: BoolArray = left < np.abs(a.voltage[places] - b.voltage[places]) / 2
        return closer

    def _arriving(self, aspects: Sequence[str]) -> FloatArray:
        key = tuple(name for name in aspects if name in INFLOW_ASPECTS)
        if key not in self.sums:
            form = hybrid(self.forms[0], self.forms[1], key)
            sums = weigh(form, self.given, self.n_timesteps, self.known)
            self.sums[key] = sums[self.inputs, :, self.neurons].T[np.newaxis]
        return self.sums[key]


def _of_neurons(layer: Layer, inputs: IntArray, neurons: IntArray) -> Layer:
    """Return single neurons of a layer, without what reaches them.

    Each is that of one of the inputs.
    """
    arrays = {
        item.name: _picked(getattr(layer, item.name), inputs, neurons)
        for item in fields(layer)
        if isinstance(getattr(layer, item.name), np.ndarray)
    }
    return replace(layer, inflows=(), shape=(len(neurons),), **arrays)


def _picked(values: Any, inputs: IntArray, neurons: IntArray) -> Any:
    return values[neurons] if values.ndim == 1 else values[inputs, neurons]
