"""Compare the forms of a network on its inputs, batch by batch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from snn_deploy.arrays import AnyArray, BoolArray, FloatArray, IntArray
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.heads import HeadKind
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus, ends_of
from snn_deploy.profile.intervals import paired_interval
from snn_deploy.verify.causes import (
    Explanation,
    Parting,
    explain,
    first_parting,
    parted,
)
from snn_deploy.verify.forms import (
    float_layers,
    integer_layers,
    real_layers,
    with_biases,
)
from snn_deploy.verify.layer import Layer, is_same
from snn_deploy.verify.result import Accuracy, Fault, LayerReport, Misses
from snn_deploy.verify.runs import (
    Recorded,
    answers,
    outputs,
    record_floats,
    record_integers,
    run_hybrid,
)
from snn_deploy.verify.simulate import Known, Response, respond, run, weigh

FLOAT, REAL, CHIP = "float", "float, quantized parameters", "chip"


@dataclass(kw_only=True)
class _Counts:
    """What differs in one layer, each form in its own network."""

    n_values: int = 0
    differing: int = 0  # float against chip
    by_parameters: int = 0  # float against floats with the chip's parameters
    by_arithmetic: int = 0  # those against the chip
    saturations: int = 0
    wraps: int = 0
    first: Parting | None = None
    inherited_from: str | None = None
    answers_alone: int = 0  # of a read-out without spikes
    # of voltages that give no answer, sums of squares: of the float's, and of what
    # differs, as in the counts above and of the layer alone
    squares: FloatArray = field(default_factory=lambda: np.zeros(5))
    unlike_graph: int = 0  # spikes of the float graph that its layers do not give
    alone: Explanation = field(default_factory=Explanation)  # float against chip
    fault: Explanation = field(default_factory=Explanation)  # expected against found


class FormComparison:
    """A network in chip integers beside the float graph that it stands for.

    Parameters
    ----------
    found : QuantizedGraph
        Before or behind ``retime``.
    spiking : Graph
        As ``to_spiking`` gives it, with the timesteps of ``found``.
    expected : QuantizedGraph
        What ``spiking`` quantizes to, not retimed; of the structure of ``found``.
    targets : array, (n, n_outputs), optional
        The values that the inputs should give, where answers are no classes.
    """

    def __init__(
        self,
        found: QuantizedGraph,
        spiking: Graph,
        expected: QuantizedGraph,
        targets: FloatArray | None = None,
    ) -> None:
        self.targets = targets
        self.found = found
        self.spiking = spiking
        self.order = [population.name for population in expected.order]
        self.chip = integer_layers(found)
        self.real = real_layers(self.chip)
        self.wanted = expected
        self.expected = integer_layers(expected)
        self.float = float_layers(spiking, expected)
        self.counts = {name: _Counts() for name in self.order}
        self.n_inputs = 0
        self.known: Known = {}  # of the batch at hand
        self.n_timesteps = found.training.timesteps  # of the inputs at hand
        self.answers: dict[str, list[IntArray]] = {}
        self.values: dict[str, list[FloatArray]] = {}  # in the network's units

    @property
    def has_answers(self) -> bool:
        """Whether outputs answer with a class, and not each with a value."""
        return self.targets is None and self.found.head.kind is HeadKind.CLASS

    def add(self, stimuli: Sequence[Stimulus]) -> None:
        """Run a batch of inputs, all of the same length, in every form."""
        (self.n_timesteps,) = {*ends_of(stimuli, self.found.training.timesteps)}
        for forms, graph in (
            (self.chip, self.found),
            (self.real, self.found),
            (self.expected, self.wanted),
            (self.float, self.wanted),
        ):
            forms.update(with_biases(forms, graph, stimuli))
        n = self.n_timesteps
        self.known = {}
        chip, events = record_integers(self.found, self.chip, stimuli, n, self.known)
        source = self.found.source.name
        given = {source: chip.sent[source]}
        floats = record_floats(
            self.spiking, self.float, stimuli, given[source], self.known
        )
        layers = [self.real[name] for name in self.order]
        real = run(layers, given, n, self.known)
        for name in self.order:
            counts = self.counts[name]
            counts.saturations += events[name][0]
            counts.wraps += events[name][1]
            self._count(name, floats, Recorded(responses=real, sent={}), chip)
            self._explain(name, chip)
        if self.has_answers:
            self._restore(floats, real, chip)
        else:
            self._keep_values(floats, real, chip)
        self.n_inputs += len(stimuli)

    def _count(
        self, name: str, floats: Recorded, real: Recorded, chip: Recorded
    ) -> None:
        counts, layer = self.counts[name], self.float[name]
        forms = [form.responses[name] for form in (floats, real, chip)]
        if self._is_value(name):
            sums = weigh(layer, chip.sent, self.n_timesteps, self.known)
            counts.squares += _squares([*forms, respond(layer, sums)])
        shown = [self._shown(name, response) for response in forms]
        counts.n_values += shown[0].size
        counts.differing += int(np.count_nonzero(shown[0] != shown[2]))
        counts.by_parameters += int(np.count_nonzero(shown[0] != shown[1]))
        counts.by_arithmetic += int(np.count_nonzero(shown[1] != shown[2]))
        sent = floats.sent[name][:, : self.n_timesteps]
        counts.unlike_graph += int(np.count_nonzero(sent != forms[0].spikes))
        differs = parted(layer, forms[0], forms[2], is_exact=False)
        pair = (layer, self.chip[name])
        first = first_parting(differs, pair, (forms[0], forms[2]))
        if first is None:
            return
        moved = replace(first, input=first.input + self.n_inputs)
        if counts.first is None or moved.place < counts.first.place:
            counts.first = moved
            counts.inherited_from = self._heir(layer, first, floats, chip)

    def _shown(self, name: str, response: Response) -> AnyArray:
        """Return what is counted of a response: spikes; answers, of a read-out."""
        if self._is_voltage_read_out(name):
            return answers(self.found, response)
        return response.spikes

    def _is_voltage_read_out(self, name: str) -> bool:
        """Return whether answers are what counts of a layer's response."""
        return (
            name == self.found.output
            and not self.chip[name].spikes
            and self.has_answers
        )

    def _is_value(self, name: str) -> bool:
        """Return whether voltages are what counts: there is no class to answer with."""
        return not self.chip[name].spikes and not self._is_voltage_read_out(name)

    def _heir(
        self, layer: Layer, at: Parting, floats: Recorded, chip: Recorded
    ) -> str | None:
        """Return the sender whose spikes differed first, if one's did by then."""
        found: list[tuple[int, str]] = []
        for name in {inflow.source for inflow in layer.inflows} - {layer.name}:
            a, b = (r.sent[name][at.input, : at.timestep] for r in (floats, chip))
            rows = np.flatnonzero((a != b).any(axis=1))
            if len(rows):
                found.append((int(rows[0]), name))
        return min(found)[1] if found else None

    def _explain(self, name: str, chip: Recorded) -> None:
        counts = self.counts[name]
        for total, form, is_exact in (
            (counts.alone, self.float[name], False),
            (counts.fault, self.expected[name], True),
        ):
            forms = (form, self.chip[name])
            if is_exact and is_same(*forms):
                continue
            found = explain(
                forms,
                chip.sent,
                self.n_timesteps,
                is_exact=is_exact,
                known=self.known,
                second=chip.responses[name],
            )
            if found.first is not None:
                moved = found.first.input + self.n_inputs
                found.first = replace(found.first, input=moved)
            total.add(found)

    def _restore(
        self, floats: Recorded, real: dict[str, Response], chip: Recorded
    ) -> None:
        """Keep the last answers of every form, and with one layer in float each."""
        out = self.found.output
        responses = {
            FLOAT: floats.responses[out],
            REAL: real[out],
            CHIP: chip.responses[out],
        }
        source = self.found.source.name
        for name in self.order:
            layers = {**self.chip, name: self.float[name]}
            hybrid = run_hybrid(
                layers,
                self.order,
                chip,
                source,
                [name],
                self.n_timesteps,
                self.known,
            )
            responses[f"{name} in float"] = hybrid[out]
            if name == out and self._is_voltage_read_out(out):
                shown = [self._shown(out, r) for r in (hybrid[out], responses[CHIP])]
                changed = int(np.count_nonzero(shown[0] != shown[1]))
                self.counts[out].answers_alone += changed
        for form, response in responses.items():
            last = answers(self.found, response)[:, -1]
            self.answers.setdefault(form, []).append(last)

    def _keep_values(
        self, floats: Recorded, real: dict[str, Response], chip: Recorded
    ) -> None:
        """Keep the last outputs of every form, in the network's units."""
        out = self.found.output
        for form, response in (
            (FLOAT, floats.responses[out]),
            (REAL, real[out]),
            (CHIP, chip.responses[out]),
        ):
            last = outputs(self.found, response)[:, -1]
            values = self.found.in_units(last, self.n_timesteps)
            self.values.setdefault(form, []).append(values)

    def errors(self) -> tuple[Misses, ...]:
        """Return by how much the values of the forms are wrong.

        Without targets those of the float graph stand for them. Nothing, if answers are
        classes.
        """
        given = {form: np.concatenate(found) for form, found in self.values.items()}
        if not given:
            return ()
        truth = given[FLOAT]
        if self.targets is not None:
            truth = self.targets[: self.n_inputs]
        return tuple(
            Misses(
                form=form,
                mean_squared_error=float(((values - truth) ** 2).mean()),
                mean_absolute_error=float(np.abs(values - truth).mean()),
            )
            for form, values in given.items()
        )

    def accuracies(
        self, labels: IntArray | None
    ) -> tuple[tuple[Accuracy, ...], tuple[Accuracy, ...]]:
        """Return the accuracy of the forms, and of one layer in float at a time.

        Without labels the answers of the float graph stand for them. Nothing, if there
        is but one output.
        """
        if not self.answers:
            return (), ()
        given = {form: np.concatenate(found) for form, found in self.answers.items()}
        truth = given[FLOAT] if labels is None else labels
        right = {form: found == truth for form, found in given.items()}
        found = [
            _accuracy(form, is_right, right[CHIP]) for form, is_right in right.items()
        ]
        return tuple(found[:3]), tuple(found[3:])

    def reports(self) -> tuple[LayerReport, ...]:
        """Return what there is to say of each layer."""
        return tuple(self._report(name) for name in self.order)

    def _report(self, name: str) -> LayerReport:
        counts, layer = self.counts[name], self.chip[name]
        alone = counts.alone
        shares = np.array(
            [counts.differing, counts.by_parameters, counts.by_arithmetic]
        )
        differing = [*(shares / counts.n_values).tolist(), self._share_alone(name)]
        if self._is_value(name):
            size, *parts = counts.squares.tolist()
            differing = [math.sqrt(part / max(size, 1.0)) for part in parts]
        return LayerReport(
            layer=name,
            shape=layer.shape,
            spikes=layer.spikes,
            differing=differing[0],
            by_parameters=differing[1],
            by_arithmetic=differing[2],
            differing_alone=differing[3],
            first=counts.first,
            inherited_from=counts.inherited_from,
            first_alone=alone.first,
            causes=alone.causes,
            reproduced=alone.shares,
            saturations=counts.saturations,
            wraps=counts.wraps,
        )

    def _share_alone(self, name: str) -> float:
        counts, alone = self.counts[name], self.counts[name].alone
        if self._is_voltage_read_out(name):
            return counts.answers_alone / counts.n_values
        return alone.n_differing / alone.n_values

    def faults(self) -> tuple[Fault, ...]:
        """Return the layers that compute something else than they should."""
        return tuple(
            Fault(layer=name, causes=counts.fault.causes, first=counts.fault.first)
            for name, counts in self.counts.items()
            if counts.fault.first is not None
        )

    def notes(self) -> list[str]:
        """Return where the float graph is not what its layers give, which is rare."""
        return [
            f"{name}: {counts.unlike_graph} spikes of the float graph are others than "
            "its collected weights give (voltages within rounding of the threshold)"
            for name, counts in self.counts.items()
            if counts.unlike_graph
        ]


def _squares(forms: Sequence[Response]) -> FloatArray:
    """Return the sums of squares of voltages; see ``_Counts``.

    The forms are float, real, chip, and float on the chip's spikes.
    """
    f, r, c, a = (form.voltage for form in forms)
    return np.array([float(np.sum(v * v)) for v in (f, f - c, f - r, r - c, a - c)])


def _accuracy(form: str, is_right: BoolArray, on_chip: BoolArray) -> Accuracy:
    gain = is_right.astype(np.float64) - on_chip
    return Accuracy(
        form=form, accuracy=float(is_right.mean()), gain=paired_interval(gain)
    )
