"""Recipes: the TOML files that say how a reference network is built and trained."""

import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar, get_type_hints

from snn_deploy.errors import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_Table = TypeVar("_Table")


@dataclass(frozen=True, kw_only=True)
class Conv:
    """A convolution without a bias if a batch normalization follows."""

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    bias: bool = False


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A fully connected layer with a bias."""

    features: int


@dataclass(frozen=True, kw_only=True)
class BatchNorm:
    """A batch normalization; ``gain`` is the initial scale."""

    gain: float = 1.0


@dataclass(frozen=True, kw_only=True)
class AvgPool:
    """An average over squares that do not overlap."""

    kernel: int


@dataclass(frozen=True, kw_only=True)
class Flatten:
    """All values of an input in one row."""


@dataclass(frozen=True, kw_only=True)
class Dropout:
    """Values left out at random while training."""

    probability: float


@dataclass(frozen=True, kw_only=True)
class Lif:
    """Leaky integrate-and-fire neurons, see ``neurons.lif``."""

    decay: float
    surrogate_alpha: float = 10.0


@dataclass(frozen=True, kw_only=True)
class QcfsActivation:
    """The activation ``neurons.Qcfs``; ``threshold`` is the initial one."""

    levels: int
    threshold: float


@dataclass(frozen=True, kw_only=True)
class MeanOutput:
    """The loss ``losses.mean_output_loss``."""


@dataclass(frozen=True, kw_only=True)
class Tet:
    """The loss ``losses.tet_loss``."""

    mse_weight: float = 0.001


@dataclass(frozen=True, kw_only=True)
class RunningCount:
    """The loss ``losses.running_count_loss``."""

    gain: float


Layer = Conv | Linear | BatchNorm | AvgPool | Flatten | Dropout | Lif | QcfsActivation
Loss = MeanOutput | Tet | RunningCount

_LAYERS: dict[str, type[Layer]] = {
    "conv": Conv,
    "linear": Linear,
    "batch_norm": BatchNorm,
    "avg_pool": AvgPool,
    "flatten": Flatten,
    "dropout": Dropout,
    "lif": Lif,
    "qcfs": QcfsActivation,
}
_LOSSES: dict[str, type[Loss]] = {
    "mean_output": MeanOutput,
    "tet": Tet,
    "running_count": RunningCount,
}


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the weights are found."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    max_shift: int = 0  # pixels, in each direction, at random
    held_out: float = 0.1  # share of the training part that chooses the epoch


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the weights of a trained network."""

    name: str
    description: str
    data: str
    seed: int
    timesteps: int
    layers: tuple[Layer, ...]
    loss: Loss
    training: Training


def read_recipe(path: Path) -> Recipe:
    """Return the recipe in the TOML file at ``path``.

    Raises
    ------
    ModelError
        If the file is not TOML, lacks a key, or has one that means nothing here.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read, {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: not a TOML file, {error}") from error
    layers = content.get("layers", [])
    if not isinstance(layers, list) or not layers:
        raise ModelError(f"{path}: 'layers' must be a list of at least one layer")
    content["layers"] = tuple(
        _read_kind(_LAYERS, layer, f"{path}: layer {index}")
        for index, layer in enumerate(layers)
    )
    content["loss"] = _read_kind(_LOSSES, content.get("loss"), f"{path}: [loss]")
    content["training"] = _read_training(content.get("training"), f"{path}: [training]")
    recipe = _read_table(Recipe, content, str(path))
    _check_positive(recipe.timesteps, "timesteps", str(path))
    if recipe.seed < 0:
        raise ModelError(f"{path}: seed is {recipe.seed}; it must not be negative")
    return recipe


def _read_training(table: object, where: str) -> Training:
    training = _read_table(Training, _as_table(table, where), where)
    for key in ("epochs", "batch_size", "learning_rate"):
        _check_positive(getattr(training, key), key, where)
    if training.max_shift < 0 or training.weight_decay < 0:
        raise ModelError(f"{where}: max_shift and weight_decay must not be negative")
    if not 0 < training.held_out < 1:
        raise ModelError(
            f"{where}: held_out is {training.held_out}; it must lie between 0 and 1"
        )
    return training


def _read_kind(kinds: Mapping[str, type[_Table]], table: object, where: str) -> _Table:
    values = dict(_as_table(table, where))
    kind = values.pop("kind", None)
    if str(kind) not in kinds:
        raise ModelError(f"{where}: kind is {kind!r}; {_hint(str(kind), kinds)}")
    value = _read_table(kinds[str(kind)], values, f"{where} ({kind})")
    for field in fields(value):  # type: ignore[arg-type]
        _check_value(getattr(value, field.name), field.name, f"{where} ({kind})")
    return value


def _check_value(value: object, key: str, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    if key in ("padding", "mse_weight", "probability"):
        if value < 0:
            raise ModelError(f"{where}: {key} is {value}; it must not be negative")
    else:
        _check_positive(value, key, where)
    if key in ("decay", "mse_weight", "probability") and value > 1:
        raise ModelError(f"{where}: {key} is {value}; it must be at most 1")


def _check_positive(value: float, key: str, where: str) -> None:
    if not value > 0:
        raise ModelError(f"{where}: {key} is {value}; it must be positive")


def _as_table(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ModelError(f"{where}: must be a table, found {value!r}")
    return value


def _read_table(kind: type[_Table], table: Mapping[str, object], where: str) -> _Table:
    """Return ``kind`` made of ``table``, whose keys and types must be its fields."""
    types = get_type_hints(kind)
    for key in table:
        if key not in types:
            raise ModelError(f"{where}: unknown key {key!r}; {_hint(key, types)}")
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name not in table and field.default is MISSING:
            raise ModelError(f"{where}: has no {field.name!r}")
    values = {key: _convert(table[key], types[key], key, where) for key in table}
    return kind(**values)


def _convert(value: object, kind: type, key: str, where: str) -> object:
    if kind not in (bool, int, float, str):
        return value  # a part that has been read before
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ModelError(
            f"{where}: {key} is {value!r}; it must be of type {kind.__name__}"
        )
    return value


def _hint(word: str, choices: Mapping[str, object]) -> str:
    close = get_close_matches(word, choices, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"choose from {', '.join(choices)}" if choices else "none is allowed"
