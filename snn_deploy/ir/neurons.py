"""The neurons of a float graph: dynamics, spikes, reset."""

from dataclasses import dataclass, field, fields
from enum import Enum

import numpy as np

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.ir.nodes import SameShape, Signal


class Reset(Enum):
    """What a spike does to the voltage."""

    HARD = "hard"  # to the reset voltage
    SOFT = "soft"  # lowered by the reset amount


class Comparison(Enum):
    """When a neuron spikes."""

    GREATER = ">"
    GREATER_EQUAL = ">="


@dataclass(frozen=True, kw_only=True, eq=False)
class Qcfs(SameShape):
    """The QCFS activation of a conventional network, ``threshold`` at most.

    ``h(x) = threshold * clip(floor(x * levels / threshold + 1/2) / levels, 0, 1)``;
    it stands for a spiking neuron's mean output over ``levels`` timesteps [1]_.

    References
    ----------
    .. [1] T. Bu et al., "Optimal ANN-SNN conversion for high-accuracy and
       ultra-low-latency spiking neural networks", ICLR 2022, equation 12.
    """

    threshold: float
    levels: int

    accepts = Signal.CURRENT
    emits = Signal.SPIKES

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.threshold) and self.threshold > 0 and self.levels > 0):
            raise ModelError(
                f"{self.name}: threshold {self.threshold} and levels {self.levels}; "
                "both must be over 0"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Relu(SameShape):
    """The ReLU activation of a conventional network, cut off at ``maximum``."""

    maximum: float

    accepts = Signal.CURRENT
    emits = Signal.SPIKES

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.maximum) and self.maximum > 0):
            raise ModelError(
                f"{self.name}: maximum is {self.maximum}, it must be over 0"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Neuron(SameShape):
    """What spiking neurons and integrators share; see DESIGN.md, section 4.

    Every array broadcasts against ``shape``: one value, one per channel
    ``(channel, 1, 1)``, or one per neuron. Spikes that arrive without a weight layer
    count as currents.
    """

    current_decay: FloatArray  # fraction lost per timestep; 1: no memory
    voltage_decay: FloatArray  # fraction lost per timestep; 0: no leak
    input_gain: FloatArray
    bias: FloatArray  # added to the voltage each timestep
    initial_voltage: FloatArray
    takes_bias: bool = field(default=False)  # a stimulus may bring one in its place
    # the voltage, new and after a spike, is cut off below it
    lowest_voltage: FloatArray = field(default_factory=lambda: np.array(-np.inf))

    may_be_infinite = ("lowest_voltage",)

    def __post_init__(self) -> None:
        super().__post_init__()
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                try:
                    np.broadcast_to(value, self.shape)
                except ValueError:
                    raise ModelError(
                        f"{self.name}: {item.name} has shape {value.shape}, the layer "
                        f"{self.shape}; give one value, or one for each channel"
                    ) from None
        for name in ("current_decay", "voltage_decay"):
            value = getattr(self, name)
            if np.any((value < 0) | (value > 1)):
                raise ModelError(
                    f"{self.name}: {name} is {np.ravel(value)[0]:g}, allowed is 0 to "
                    "1; is the timestep longer than a time constant?"
                )
        most = np.minimum(self.initial_voltage, 0)
        if np.any(self.lowest_voltage > most):
            raise ModelError(
                f"{self.name}: lowest_voltage is {self.lowest_voltage.max():g}, "
                f"allowed is up to {most.min():g}: 0, and where the voltage starts"
            )

    @property
    def has_lowest_voltage(self) -> bool:
        """Whether any voltage is cut off below."""
        return bool(np.any(self.lowest_voltage > -np.inf))


@dataclass(frozen=True, kw_only=True, eq=False)
class Lif(Neuron):
    """Leaky integrate-and-fire neurons; with a voltage decay of 0, integrate-and-fire.

    A spike is worth ``spike_value`` to the layers behind. With ``max_spikes`` over 1 a
    neuron spikes as often in a timestep as it takes to bring its voltage down to the
    threshold (below it, where it spikes at ``>=``), each time with a soft reset.
    """

    threshold: FloatArray
    reset: Reset
    reset_amount: FloatArray  # taken off by a soft reset
    comparison: Comparison
    spike_value: float
    refractory: int = 0  # timesteps after a spike in which the voltage stays
    axon_delay: FloatArray = field(default_factory=lambda: np.array(0.0))  # timesteps
    max_spikes: int = 1  # of one timestep
    levels: int = 0  # of the activation that its spikes stand for; 0: of none
    rounds_to: float = 0.0  # steps of what it sends for a real number; 0: it spikes

    emits = Signal.SPIKES

    def __post_init__(self) -> None:
        super().__post_init__()
        if np.any(self.threshold <= 0):
            raise ModelError(
                f"{self.name}: threshold is {self.threshold.min():g}; it must be over 0"
            )
        if self.max_spikes < 1:
            raise ModelError(f"{self.name}: max_spikes is {self.max_spikes}; needs 1")
        is_soft = self.reset is Reset.SOFT and np.all(self.reset_amount > 0)
        if self.max_spikes > 1 and not is_soft:
            raise ModelError(
                f"{self.name}: several spikes in one timestep need a soft reset by "
                "more than 0; train with one spike for each timestep"
            )


def memoryless(
    name: str, shape: Shape, threshold: FloatArray, spike_value: float
) -> Lif:
    """Return neurons that spike where what arrives now is over the threshold."""
    one, zero = np.array(1.0), np.array(0.0)
    return Lif(
        name=name,
        shape=shape,
        current_decay=one,
        voltage_decay=one,
        input_gain=one,
        bias=zero,
        initial_voltage=zero,
        threshold=threshold,
        reset=Reset.HARD,
        reset_amount=zero,
        comparison=Comparison.GREATER,
        spike_value=spike_value,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Integrator(Neuron):
    """Neurons that never spike; their voltage is read out."""

    emits = Signal.CURRENT
