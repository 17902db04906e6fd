"""Modelled costs against what was measured on chips: hits and misses alike.

Measured on Loihi 1: the query by C. Frady et al., "Neuromorphic nearest-neighbor search
using Intel's Pohoiki Springs", 2020 (arXiv 2004.12691); the ranges of a network for
gestures by J. Boyle et al., SANA-FE, TCAD 2025; the keyword spotter by P. Blouw et al.,
"Benchmarking keyword spotting efficiency on neuromorphic hardware", 2019 (arXiv
1812.01739). On Loihi 2: PilotNet LIF and SDNN by Intel, lava-nc/lava-dl,
tutorials/lava/lib/dl/netx/pilotnet_snn and pilotnet_sdnn, benchmark.ipynb, the least
and the most of all stored versions (one is left out, which shows half the power at the
same speed); a winner-take-all by OzU-CAST/LoihiScalingEfficiency, from its plots.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.chip.events import SYNAPTIC_OPERATION
from snn_deploy.chip.target import CENTRAL, Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.costs.energy import dynamic_energy
from snn_deploy.costs.latency import timestep_durations
from snn_deploy.costs.prices import Prices, prices_of
from tests.costs.pilotnet import N_TIMESTEPS, recorded
from tests.costs.workloads import Work, gestures, injected, keyword, query, silent

Model = Callable[[Target], FloatArray]  # what it takes, (3,): low, central, high
COLUMNS = (
    "what", "measured", "low", "central", "high", "SANA-FE", "central is", "band",
    "assumed, *set by hand*", "calibrated on it",
)  # fmt: skip
LOIHI_1, LOIHI_2 = "loihi1", "loihi2"
INSIDE = (0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """One quantity that was measured."""

    what: str
    target: str
    measured: tuple[float, float]  # the least and the most
    unit: str
    model: Model
    off: tuple[float, float]  # how far the central value lies from it, and may
    assumed: str = ""
    by_hand: str = ""  # set so that it agrees
    calibrated: str = ""  # prices that were set so that it agrees
    of_band: str = ""  # the same, of which only low and high were
    is_before: bool = False  # at times that no measurement has changed

    @property
    def is_independent(self) -> bool:
        """Whether it is priced as always, and nothing was set so that it agrees."""
        return not (self.by_hand or self.calibrated or self.is_before)

    def off_by(self, value: float) -> float:
        """Return how far a value lies from what was measured, 0 inside of it."""
        least, most = self.measured
        return value / min(max(value, least), most) - 1

    @property
    def band(self) -> FloatArray:
        """The least that is modelled, the central value, and the most."""
        found = self.model(read_target(self.target))
        return np.array([found.min(), found[CENTRAL], found.max()])

    @property
    def is_in_band(self) -> bool:
        """Whether something that was measured lies between low and high."""
        low, _, high = self.band
        return bool(low <= self.measured[1] and high >= self.measured[0])

    @property
    def by_others(self) -> float:
        """What is modelled at the central prices of SANA-FE."""
        target = read_target(self.target).with_prices("sana-fe")
        return float(self.model(target)[CENTRAL])


def _prices(target: Target, work: Work, monitor: str = "embedded") -> Prices:
    return prices_of(target, n_tiles=work.n_tiles, monitor=monitor)


def _energy(work: Work) -> Model:
    """Return the model of the dynamic energy of a timestep."""

    def found(target: Target) -> FloatArray:
        prices = _prices(target, work)
        energy = dynamic_energy(work.cores.sum(axis=1), work.chip, prices)
        return np.asarray(energy.mean(axis=0))

    return found


def _time(work: Work, monitor: str = "embedded") -> Model:
    """Return the model of the time of a timestep, without polls."""

    def found(target: Target) -> FloatArray:
        prices = _prices(target, work, monitor)
        durations = timestep_durations(work.cores, work.chip, prices)
        return np.asarray(durations.mean(axis=0))

    return found


def _static(target: Target) -> FloatArray:
    return prices_of(target, n_tiles=1, monitor="embedded").static


def _times(n: float, *models: Model) -> Model:
    """Return a product."""
    return lambda target: n * np.prod([model(target) for model in models], axis=0)


def _plus(*models: Model) -> Model:
    """Return a sum."""
    return lambda target: np.sum([model(target) for model in models], axis=0)


def _over(above: Model, below: Model) -> Model:
    """Return a quotient of what is modelled at the same prices."""
    return lambda target: above(target) / below(target)


def _polled(work: Work) -> Model:
    """Return the time of 10 timesteps with the host in the loop of each."""

    def found(target: Target) -> FloatArray:
        durations = 10 * _time(work, "host")(target)
        return durations + 10 * _prices(target, work, "host").poll

    return found


def _constant(value: float) -> Model:
    return lambda _: np.full(3, value)


def _at(model: Model, change: Callable[[Target], Target]) -> Model:
    """Return a model at changed prices."""
    return lambda target: model(change(target))


def _brief(target: Target) -> Target:
    """Return the times of Intel's technology brief, which no measurement has changed.

    A synaptic operation a fifth of Loihi 1's, a barrier under 200 ns.
    """
    name = "synaptic_operation"
    cost, barrier = target.cost(name), target.barrier
    cost = replace(cost, time_low_s=0.7e-9, time_s=0.7e-9, time_high_s=0.7e-9)
    least = barrier.times["low"]
    others = tuple(pair for pair in target.costs if pair[0] != name)
    return replace(
        target,
        costs=(*others, (name, cost)),
        barrier=replace(barrier, time_s=least, time_high_s=least),
    )


FRAME = recorded()
PILOTNET = Work(cores=FRAME.cores, chip=FRAME.chip, n_tiles=19)
PILOTNET_J, PILOTNET_S = (
    _times(N_TIMESTEPS, _energy(PILOTNET)),
    _times(N_TIMESTEPS, _time(PILOTNET)),
)
SILENT = "a silent frame, as the notebook's was; places searched for"
WTA, WTA_S = silent(60, 20), 1.78e-6  # measured
KEYWORD_S = 337e-6  # of a timestep, measured


def _operations(layer: str) -> Model:
    """Return the synaptic operations of a layer's busiest neurocore in a timestep."""
    counts = FRAME.of(layer)[..., SYNAPTIC_OPERATION]
    return _constant(float(counts.mean(axis=0).max()))


OF_LAYERS = tuple(
    Anchor(
        what=f"PilotNet LIF, {name}: operations of a neurocore and timestep",
        target=LOIHI_2,
        measured=(1e3 * (thousands - 1), 1e3 * (thousands + 1)),  # read off a plot
        unit="k",
        model=_operations(layer),
        off=INSIDE,
        assumed=SILENT,
        calibrated="reads_zeros (with zeros: 165, 206, 77, 84 k)",
    )
    for layer, name, thousands in (
        ("2", "conv 36", 131),
        ("3", "conv 48", 151),
        ("4", "first conv 64", 52),
        ("5", "second conv 64", 51),
    )
)

ANCHORS = (
    Anchor(
        what="query of Pohoiki Springs, dynamic energy",
        target=LOIHI_1,
        measured=(1.33e-3, 1.33e-3),
        unit="mJ",
        model=_energy(query()),
        off=(0, 0.25),
        assumed="700 spikes at random, weights too; secondary source",
    ),
    Anchor(
        what="network for gestures, dynamic energy of a timestep",
        target=LOIHI_1,
        measured=(1e-6, 4e-6),
        unit="µJ",
        model=_energy(gestures(1024)),
        off=(-0.2, 0),
        assumed="6 % of pixels, weights at random; 1,024 compartments a neurocore",
    ),
    Anchor(
        what="network for gestures, time of a timestep",
        target=LOIHI_1,
        measured=(10e-6, 30e-6),
        unit="µs",
        model=_time(gestures(1024)),
        off=(0.2, 0.4),
        assumed="the same; the authors spread it over the chip",
    ),
    Anchor(
        what="the same, energy",
        target=LOIHI_1,
        measured=(1e-6, 4e-6),
        unit="µJ",
        model=_energy(gestures(64)),
        off=INSIDE,
        by_hand="64 compartments a neurocore, so that it fills the chip",
    ),
    Anchor(
        what="the same, time",
        target=LOIHI_1,
        measured=(10e-6, 30e-6),
        unit="µs",
        model=_time(gestures(64)),
        off=INSIDE,
        by_hand="64 compartments a neurocore",
    ),
    Anchor(
        what="keyword spotter, mean power at the pace that was measured",
        target=LOIHI_1,
        measured=(0.1102, 0.1102),
        unit="mW",
        model=_plus(_static, _times(1 / KEYWORD_S, _energy(keyword()))),
        off=(-0.05, 0.05),
        assumed="8 % of inputs, weights at random; on another board",
    ),
    Anchor(
        what="keywords in a second",
        target=LOIHI_1,
        measured=(296.5, 296.5),
        unit="/s",
        model=_over(_constant(1), _polled(keyword())),
        off=(-0.15, 0.15),
        calibrated="poll_host: the same logs",
    ),
    Anchor(
        what="a keyword, static and dynamic energy",
        target=LOIHI_1,
        measured=(0.372e-3, 0.372e-3),
        unit="µJ",
        model=_plus(
            _times(10, _energy(keyword())), _times(1, _static, _polled(keyword()))
        ),
        off=(-0.15, 0.15),
        calibrated="poll_host: the same logs",
    ),
    *OF_LAYERS,
    Anchor(
        what="PilotNet LIF, time of a timestep",
        target=LOIHI_2,
        measured=(150.4e-6, 182.6e-6),
        unit="µs",
        model=_time(PILOTNET),
        off=INSIDE,
        assumed=SILENT,
        calibrated="time of synaptic_operation",
    ),
    Anchor(
        what="the same before, at the times of Intel's brief",
        target=LOIHI_2,
        measured=(150.4e-6, 182.6e-6),
        unit="µs",
        model=_at(_time(PILOTNET), _brief),
        is_before=True,
        off=(-0.25, -0.15),
        assumed=SILENT,
    ),
    Anchor(
        what="PilotNet LIF, dynamic energy of a frame",
        target=LOIHI_2,
        measured=(0.981e-3, 1.386e-3),
        unit="mJ",
        model=PILOTNET_J,
        off=INSIDE,
        assumed=SILENT,
        of_band="energy of synaptic_operation",
    ),
    Anchor(
        what="the same, dynamic power",
        target=LOIHI_2,
        measured=(0.407, 0.474),
        unit="mW",
        model=_over(PILOTNET_J, PILOTNET_S),
        off=(-0.1, 0.1),
        assumed=SILENT,
        calibrated="time of synaptic_operation",
    ),
    Anchor(
        what="the same, static power",
        target=LOIHI_2,
        measured=(0.232, 0.382),
        unit="mW",
        model=_static,
        off=INSIDE,
        calibrated="static",
    ),
    Anchor(
        what="the same, energy of a frame, static and dynamic",
        target=LOIHI_2,
        measured=(1.661e-3, 2.414e-3),
        unit="mJ",
        model=_plus(PILOTNET_J, _times(1, _static, PILOTNET_S)),
        off=INSIDE,
        assumed=SILENT,
        calibrated="static, time of synaptic_operation",
    ),
    Anchor(
        what="PilotNet SDNN, static power",
        target=LOIHI_2,
        measured=(0.282, 0.354),
        unit="mW",
        model=_static,
        off=INSIDE,
    ),
    Anchor(
        what="the same, time of a frame that the host sends",
        target=LOIHI_2,
        measured=(59e-3, 89e-3),
        unit="ms",
        model=_time(injected(39_600), "host"),
        off=INSIDE,
        assumed="a packet for each of 39,600 pixels",
        calibrated="injection_host",
    ),
    Anchor(
        what="winner-take-all, 200 to 1,200 neurons, time of a timestep",
        target=LOIHI_2,
        measured=(WTA_S, WTA_S),
        unit="µs",
        model=_time(WTA),
        off=(0, 0.2),
        assumed="1,200 neurons, 60 on a neurocore, no spikes",
        calibrated="barrier",
    ),
    Anchor(
        what="the same before, at the times of Intel's brief",
        target=LOIHI_2,
        measured=(WTA_S, WTA_S),
        unit="µs",
        model=_at(_time(WTA), _brief),
        is_before=True,
        off=(-0.8, -0.7),
        assumed="the same",
    ),
    Anchor(
        what="the same, power, static and dynamic",
        target=LOIHI_2,
        measured=(0.47, 0.63),
        unit="mW",
        model=_plus(_static, _times(1 / WTA_S, _energy(WTA))),
        off=(-0.25, -0.1),
        assumed="the same, at the pace that was measured",
    ),
)

NEAR = 0.25  # of what was measured
SCALES = {"mJ": 1e3, "µJ": 1e6, "mW": 1e3, "ms": 1e3, "µs": 1e6, "k": 1e-3, "/s": 1}


def table() -> str:
    """Return a row for each anchor."""
    head = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"
    return "\n".join([head, *(f"| {' | '.join(_row(a))} |" for a in ANCHORS)])


def _row(anchor: Anchor) -> tuple[str, ...]:
    scale, band = SCALES[anchor.unit], anchor.band
    measured = dict.fromkeys(f"{scale * value:.4g}" for value in anchor.measured)
    off = anchor.off_by(float(band[CENTRAL]))
    by_hand = f"*{anchor.by_hand}*" if anchor.by_hand else ""
    return (
        anchor.what,
        f"{' to '.join(measured)} {anchor.unit}",
        *(f"{scale * value:.3g}" for value in (*band, anchor.by_others)),
        "inside" if not off else f"{off:+.0%}",
        "holds" if anchor.is_in_band else "misses",
        "; ".join(filter(None, (anchor.assumed, by_hand))),
        _set_on(anchor),
    )


def _set_on(anchor: Anchor) -> str:
    if anchor.of_band:
        return f"**nothing**, but low and high: {anchor.of_band}"
    return anchor.calibrated or ("**nothing**" if anchor.is_independent else "nothing")


def summary() -> str:
    """Return how many anchors check anything, and how well they do."""
    free = [anchor for anchor in ANCHORS if anchor.is_independent]
    off = {a.what: a.off_by(float(a.band[CENTRAL])) for a in free}
    near = sum(abs(value) <= NEAR for value in off.values())
    banded = [anchor for anchor in free if not anchor.of_band]
    in_band = sum(anchor.is_in_band for anchor in banded)
    worst = max(off, key=lambda what: abs(off[what]))
    return (
        f"Of {len(ANCHORS)} rows {len(free)} are independent (**nothing**): no price, "
        f"and nothing else, was set so that they agree. Of these {near} lie within "
        f"{NEAR:.0%} at central prices; {in_band} of the {len(banded)} whose ends were "
        "not set so either hold what was measured between low and high. The worst miss "
        f"is {off[worst]:+.0%}: {worst}."
    )
