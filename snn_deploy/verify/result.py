"""What a verification found, and in which words the terminal and the report say it."""

from dataclasses import asdict, dataclass
from typing import Any

from snn_deploy.arrays import Shape
from snn_deploy.showing import Table, as_html, as_text
from snn_deploy.verify.causes import Parting
from snn_deploy.verify.differences import Difference

MOST_CAUSES = 3
SMALLEST_SHARE = 0.005  # is not named; it would be printed as 0 %


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """How one layer's floats and integers part.

    Shares are of spikes that differ; of answers, where several voltages are read out;
    where one is, the root mean square of what differs to that of the float's voltages.
    """

    layer: str
    shape: Shape
    spikes: bool  # False: read out by its voltage
    differing: float  # share, float against chip
    by_parameters: float  # the same, float against floats with the chip's parameters
    by_arithmetic: float  # the same, those against the chip
    differing_alone: float  # share that differs when float gets the chip's spikes
    first: Parting | None  # float against chip, each in its own network
    inherited_from: str | None  # the sender whose spikes differed before
    first_alone: Parting | None  # float against chip, on the chip's spikes
    causes: tuple[str, ...]  # of the first one alone: each reproduces it by itself
    reproduced: dict[str, float]  # aspect: share of parted neurons that it reproduces
    saturations: int
    wraps: int


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A layer that does not compute what the model compiles to, on the same spikes."""

    layer: str
    causes: tuple[str, ...]
    first: Parting  # what was expected against what was found

    def __str__(self) -> str:
        at = " ".join(map(str, self.first.neuron))
        return (
            f"{self.layer} computes something else than the model compiles to: "
            f"{' or '.join(self.causes)}, first at timestep {self.first.timestep} of "
            f"input {self.first.input}, neuron {at}"
        )


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How often a form of the network is right, and what that is to the integers."""

    form: str  # "float", "float, quantized parameters", "chip", or a layer
    accuracy: float
    gain: dict[str, float]  # over the chip's integers: mean, low, high (95 %, paired)


@dataclass(frozen=True, kw_only=True)
class Misses:
    """By how much the values of a form are wrong, in the network's units."""

    form: str
    mean_squared_error: float
    mean_absolute_error: float


@dataclass(frozen=True, kw_only=True)
class LavaCheck:
    """The comparison with Lava."""

    n_inputs: int
    n_values: int  # spikes, currents and voltages that were compared
    mismatch: str  # empty: none


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Everything that ``verify`` finds."""

    network: str
    target: str
    n_inputs: int
    timesteps: int
    has_labels: bool  # without labels, or values, the float graph's stand for them
    differences: tuple[Difference, ...]
    faults: tuple[Fault, ...]
    layers: tuple[LayerReport, ...]
    forms: tuple[Accuracy, ...]  # float, float with quantized parameters, chip; or none
    restored: tuple[Accuracy, ...]  # one layer in float, the others in integers
    errors: tuple[Misses, ...]  # of these forms, where answers are values
    lava: LavaCheck | None
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Say whether the integers are right, then how right each form is."""
        return as_text(*self._tables())

    def _repr_html_(self) -> str:
        return as_html(*self._tables())

    def _tables(self) -> list[Table]:
        what = "accuracy" if self.has_labels else "agreement with float"
        right = "are exactly" if self.is_faithful else "are not"
        where = f"{self.network} on {self.target}, {self.n_inputs} inputs"
        forms = [(form.form, f"{form.accuracy:.4f}") for form in self.forms]
        if self.errors:
            what = "mean squared error"
            forms = [(e.form, f"{e.mean_squared_error:.4g}") for e in self.errors]
        return [
            Table(
                title=f"{where}: the integers {right} what the model compiles to",
                columns=("form", what),
                rows=forms,
            ),
            Table(
                title="spikes that differ between float and chip",
                columns=("layer", "share"),
                rows=[(layer.layer, f"{layer.differing:.2%}") for layer in self.layers],
            ),
        ]

    @property
    def is_faithful(self) -> bool:
        """Whether the integers are what the model compiles to."""
        has_mismatch = self.lava is not None and self.lava.mismatch
        return not (self.differences or self.faults or has_mismatch)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {"faithful": self.is_faithful, **asdict(self)}


def place(parting: Parting | None) -> str:
    """Return timestep, input and neuron; empty if there is none."""
    if parting is None:
        return ""
    neuron = " ".join(map(str, parting.neuron))
    return f"{parting.timestep}, {parting.input}, {neuron}"


def cause(report: LayerReport) -> str:
    """Return what makes a layer's float and integers part."""
    parts = []
    if report.inherited_from is not None:
        parts.append(f"inherited from {report.inherited_from}")
    elif report.first is not None and report.first_alone is None:
        parts.append("unexplained")
    alone = [
        f"{name} ({100 * share:.0f} %)"
        for name, share in report.reproduced.items()
        if share >= SMALLEST_SHARE
    ]
    if alone or report.causes:
        parts.append(", ".join(alone[:MOST_CAUSES]) or " or ".join(report.causes))
    return "; alone: ".join(parts)
