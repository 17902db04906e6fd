"""Recipes: everything that decides how a reference network is built and trained."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from snn_deploy.files.schema import (
    Allowed,
    Natural,
    NotNegative,
    Positive,
    PositiveInt,
    Share,
)
from snn_deploy.ir.neurons import Reset

ShareOverZero = Annotated[float, Allowed(over=0, most=1)]
ShareBelowOne = Annotated[float, Allowed(least=0, below=1)]


class Surrogate(Enum):
    """Norse's name of the gradient that stands in for that of a spike."""

    SUPER = "super"
    TRIANGLE = "triangle"


class Schedule(Enum):
    """How the learning rate goes from its largest value, or up to it first, to 0."""

    COSINE = "cosine"
    ONE_CYCLE = "one_cycle"


class Optimizer(Enum):
    """What changes the weights by their gradients."""

    ADAMW = "adamw"
    SGD = "sgd"  # with Nesterov's momentum


@dataclass(frozen=True, kw_only=True)
class Conv:
    """A convolution without a bias if a batch normalization follows."""

    channels: PositiveInt
    kernel: PositiveInt
    stride: PositiveInt = 1
    padding: Natural = 0
    bias: bool = False


@dataclass(frozen=True, kw_only=True)
class Whitening:
    """A fixed convolution that leaves the pixels of a square no correlation [1]_.

    Its ``2 * kernel**2 * n_channels`` outputs are the principal components of squares
    of the training images, each of variance 1, and their negatives.

    References
    ----------
    .. [1] K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv
       2404.00498.
    """

    kernel: PositiveInt


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A fully connected layer with a bias."""

    features: PositiveInt


@dataclass(frozen=True, kw_only=True)
class BatchNorm:
    """A batch normalization; ``gain`` is the initial scale."""

    gain: Positive = 1.0


@dataclass(frozen=True, kw_only=True)
class Tebn:
    """The normalization ``tebn.Tebn``; ``timesteps`` are those of the recipe."""

    timesteps: PositiveInt
    gain: Positive = 1.0


@dataclass(frozen=True, kw_only=True)
class AvgPool:
    """An average over squares that do not overlap."""

    kernel: PositiveInt


@dataclass(frozen=True, kw_only=True)
class Flatten:
    """All values of an input in one row."""


@dataclass(frozen=True, kw_only=True)
class Dropout:
    """Values left out at random while training."""

    probability: Share


@dataclass(frozen=True, kw_only=True)
class Lif:
    """Leaky integrate-and-fire neurons, see ``neurons.lif``."""

    decay: ShareOverZero
    reset: Reset = Reset.HARD
    surrogate: Surrogate = Surrogate.SUPER


@dataclass(frozen=True, kw_only=True)
class QcfsActivation:
    """The activation ``neurons.Qcfs``; ``threshold`` is the initial one."""

    levels: PositiveInt
    threshold: Positive


@dataclass(frozen=True, kw_only=True)
class Residual:
    """The sum of what two branches give; without layers, ``skip`` is the input."""

    body: "tuple[Layer, ...]"
    skip: "tuple[Layer, ...]" = ()


@dataclass(frozen=True, kw_only=True)
class MeanOutput:
    """The loss ``losses.mean_output_loss``."""


@dataclass(frozen=True, kw_only=True)
class Tet:
    """The loss ``losses.tet_loss``."""

    mse_weight: Share = 0.001


@dataclass(frozen=True, kw_only=True)
class RunningCount:
    """The loss ``losses.running_count_loss``."""

    gain: Positive


@dataclass(frozen=True, kw_only=True)
class Rcs:
    """The regularizer ``rcs.penalty``, added to the loss ``weight`` times."""

    weight: Positive
    share: ShareOverZero = (
        0.3  # of the timesteps, the last ones, that set the direction
    )


@dataclass(frozen=True, kw_only=True)
class Activity:
    """The regularizer ``activity.Activity``, added to the loss."""

    target: NotNegative
    weight: NotNegative = 1.0


Layer = (
    Conv
    | Whitening
    | Linear
    | BatchNorm
    | Tebn
    | AvgPool
    | Flatten
    | Dropout
    | Lif
    | QcfsActivation
    | Residual
)
Loss = MeanOutput | Tet | RunningCount


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the weights are found."""

    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: Positive
    weight_decay: NotNegative
    optimizer: Optimizer = Optimizer.ADAMW
    momentum: ShareBelowOne = 0.9  # of sgd
    schedule: Schedule = Schedule.COSINE  # of the learning rate
    bfloat16: bool = False  # convolutions and linear layers in half precision
    label_smoothing: ShareBelowOne = 0.0  # share of a label that goes to all classes
    max_shift: Natural = 0  # pixels, in each direction, at random
    flip: bool = False  # half of the images are mirrored
    cutout: Natural = 0  # pixels, the side of a square that is painted over
    held_out: Annotated[float, Allowed(over=0, below=1)] = (
        0.1  # share of the training part that chooses the epoch
    )
    patience: Natural = 0  # stop after so many epochs without a better one; 0: never


@dataclass(frozen=True, kw_only=True)
class GridTuning(Training):
    """How weights are found that lose nothing when they are rounded to a chip's grid.

    The optimizer changes full weights by the gradients at rounded ones. Batch
    normalizations keep their statistics, which are part of the grid.
    """

    target: str = "loihi-sim"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the weights of a trained network.

    With ``fine_tuning``, ``training`` shows every input once: for one timestep, which
    is fast, or to the activations of a network that will be converted. What it finds
    is then trained further as the spiking network it stands for, for all timesteps, by
    one phase after another. ``grid_tuning`` comes last.
    """

    name: str
    description: str
    data: str
    seed: Natural
    timesteps: PositiveInt
    layers: tuple[Layer, ...]
    loss: Loss
    training: Training
    fine_tuning: tuple[Training, ...] = ()
    grid_tuning: GridTuning | None = None
    regularizer: Rcs | None = None
    activity: Activity | None = None

    @property
    def phases(self) -> tuple[Training, ...]:
        """What is done one after another."""
        last = () if self.grid_tuning is None else (self.grid_tuning,)
        return (self.training, *self.fine_tuning, *last)

    def timesteps_of(self, phase: int) -> int:
        """Return for how many timesteps inputs are shown in phase number ``phase``."""
        return 1 if phase == 0 and self.fine_tuning else self.timesteps

    @property
    def all_layers(self) -> tuple[Layer, ...]:
        """The layers, those of branches included."""
        return tuple(_walk(self.layers))


def _walk(layers: tuple[Layer, ...]) -> Iterator[Layer]:
    for layer in layers:
        yield layer
        if isinstance(layer, Residual):
            yield from _walk(layer.body + layer.skip)
