"""Read recipes: TOML files, and changes to them from the command line."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from snn_deploy.errors import ModelError
from snn_deploy.files.toml import read_toml
from snn_deploy.training import recipes
from snn_deploy.training.recipes import FineTuning, GridTuning, Recipe, Training

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_Table = TypeVar("_Table")
TrainingT = TypeVar("TrainingT", bound=Training)

_LAYERS: dict[str, type[recipes.Layer]] = {
    "conv": recipes.Conv,
    "whitening": recipes.Whitening,
    "linear": recipes.Linear,
    "batch_norm": recipes.BatchNorm,
    "tebn": recipes.Tebn,
    "avg_pool": recipes.AvgPool,
    "flatten": recipes.Flatten,
    "dropout": recipes.Dropout,
    "lif": recipes.Lif,
    "qcfs": recipes.QcfsActivation,
    "residual": recipes.Residual,
}
_LOSSES: dict[str, type[recipes.Loss]] = {
    "mean_output": recipes.MeanOutput,
    "tet": recipes.Tet,
    "running_count": recipes.RunningCount,
}
_REGULARIZERS = {"rcs": recipes.Rcs}


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe in the TOML file at ``path``.

    ``changes`` such as ``"seed=3"``, ``"training.epochs=5"`` and ``"layers.2.decay=1"``
    replace values of the file, or add them.

    Raises
    ------
    ModelError
        If the file is not TOML, lacks a key, or has one that means nothing here.
    """
    content = _load(path)
    for change in changes:
        _change(content, change)
    content["layers"] = _read_layers(content, "layers", str(path), "layer ")
    content["loss"] = _read_kind(_LOSSES, content.get("loss"), f"{path}: [loss]")
    content["training"] = _read_training(
        Training, content.get("training"), f"{path}: [training]"
    )
    first = content["training"]
    if "fine_tuning" in content:
        content["fine_tuning"] = tuple(
            _read_further(FineTuning, table, first, f"{path}: [[fine_tuning]] {index}")
            for index, table in enumerate(_as_list(content["fine_tuning"], path))
        )
    if "grid_tuning" in content:
        content["grid_tuning"] = _read_further(
            GridTuning, content["grid_tuning"], first, f"{path}: [grid_tuning]"
        )
    if "regularizer" in content:
        content["regularizer"] = _read_kind(
            _REGULARIZERS, content["regularizer"], f"{path}: [regularizer]"
        )
    if "activity" in content:
        where = f"{path}: [activity]"
        table = _as_table(content["activity"], where)
        content["activity"] = _read_table(recipes.Activity, table, where)
        for key in ("target", "weight"):
            _check_not_negative(getattr(content["activity"], key), key, where)
    recipe = _read_table(Recipe, content, str(path))
    _check(recipe, str(path))
    return recipe


def _load(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read, {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path}: not a TOML file, {error}") from error


def _check(recipe: Recipe, where: str) -> None:
    _check_positive(recipe.timesteps, "timesteps", where)
    _check_not_negative(recipe.seed, "seed", where)
    for index, layer in enumerate(recipe.all_layers):
        if isinstance(layer, recipes.Whitening) and index > 0:
            raise ModelError(
                f"{where}: a whitening is set by the training images; make it layer 0"
            )
        if isinstance(layer, recipes.Tebn) and layer.timesteps != recipe.timesteps:
            raise ModelError(
                f"{where}: a tebn has {layer.timesteps} timesteps, the recipe "
                f"{recipe.timesteps}; give both the same"
            )


def _change(content: dict[str, Any], change: str) -> None:
    """Set the value that ``change``, ``key=value``, names in a recipe's tables."""
    key, equals, text = change.partition("=")
    *folders, name = key.strip().split(".")
    if not equals or not name:
        raise ModelError(f"--set {change}: write key=value, as in training.epochs=5")
    table: Any = content
    for folder in folders:
        if isinstance(table, dict):
            table.setdefault(folder, {})
        table = _item(table, folder, change)
    if isinstance(table, dict):
        table[name] = _value(text.strip())
    else:
        _item(table, name, change)
        table[int(name)] = _value(text.strip())


def _item(table: Any, key: str, change: str) -> Any:
    if isinstance(table, dict):
        return table[key]
    if not isinstance(table, list):
        raise ModelError(
            f"--set {change}: {key!r} lies in {table!r}, which is no table"
        )
    if not (key.isdecimal() and int(key) < len(table)):
        raise ModelError(
            f"--set {change}: {key!r} is none of {len(table)} entries; count from 0"
        )
    return table[int(key)]


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a word without quotes


def _read_layers(
    table: Mapping[str, object], key: str, where: str, prefix: str
) -> tuple[recipes.Layer, ...]:
    layers = table.get(key, [])
    if not isinstance(layers, list) or not layers:
        raise ModelError(f"{where}: {key!r} must be a list of at least one layer")
    return tuple(
        _read_layer(layer, f"{where}: {prefix}{index}")
        for index, layer in enumerate(layers)
    )


def _read_layer(layer: object, where: str) -> recipes.Layer:
    """Read a layer, those of its branches first if it has any."""
    table = dict(_as_table(layer, where))
    if table.get("kind") == "residual":
        for key in ("body", "skip"):
            if key == "body" or key in table:
                table[key] = _read_layers(table, key, where, f"{key} ")
    return _read_kind(_LAYERS, table, where)


def _read_training(kind: type[TrainingT], table: object, where: str) -> TrainingT:
    training = _read_table(kind, _as_table(table, where), where)
    for key in ("epochs", "batch_size", "learning_rate"):
        _check_positive(getattr(training, key), key, where)
    for key in ("cutout", "max_shift", "patience", "weight_decay"):
        _check_not_negative(getattr(training, key), key, where)
    for key in ("label_smoothing", "momentum"):
        if not 0 <= getattr(training, key) < 1:
            raise ModelError(
                f"{where}: {key} is {getattr(training, key)}; it must lie from 0 to "
                "below 1"
            )
    if isinstance(training, FineTuning) and not 0 <= training.decay <= 1:
        raise ModelError(
            f"{where}: decay is {training.decay}; it must lie between 0 and 1"
        )
    if training.cycles and sum(training.cycles) != training.epochs:
        raise ModelError(
            f"{where}: cycles last {sum(training.cycles)} epochs together, and epochs "
            f"is {training.epochs}; make them equal"
        )
    if not 0 < training.held_out < 1:
        raise ModelError(
            f"{where}: held_out is {training.held_out}; it must lie between 0 and 1"
        )
    return training


def _read_further(
    kind: type[TrainingT], table: object, before: Training, where: str
) -> TrainingT:
    """Read a training that is like the one ``before`` where it says nothing else."""
    same = {field.name: getattr(before, field.name) for field in fields(before)}
    same |= {"optimizer": before.optimizer.value, "schedule": before.schedule.value}
    same |= {"cycles": ()}
    training = _read_training(kind, {**same, **_as_table(table, where)}, where)
    if training.held_out != before.held_out:
        raise ModelError(
            f"{where}: held_out is {training.held_out}, and {before.held_out} in "
            "[training]; leave it out, the same inputs are held out of both"
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
        _check_not_negative(value, key, where)
    else:
        _check_positive(value, key, where)
    if key in ("decay", "mse_weight", "probability", "share") and value > 1:
        raise ModelError(f"{where}: {key} is {value}; it must be at most 1")


def _check_not_negative(value: float, key: str, where: str) -> None:
    if not value >= 0:
        raise ModelError(f"{where}: {key} is {value}; it must not be negative")


def _check_positive(value: float, key: str, where: str) -> None:
    if not value > 0:
        raise ModelError(f"{where}: {key} is {value}; it must be positive")


def _as_table(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ModelError(f"{where}: must be a table, found {value!r}")
    return value


def _as_list(value: object, path: Path) -> list[object]:
    if not isinstance(value, list):
        raise ModelError(
            f"{path}: fine_tuning must be a list of tables; write [[fine_tuning]]"
        )
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
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind, value, key, where)
    if kind == tuple[int, ...]:
        return _lengths(value, key, where)
    if kind not in (bool, int, float, str):
        return value  # a part that has been read before
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ModelError(
            f"{where}: {key} is {value!r}; it must be of type {kind.__name__}"
        )
    return value


def _lengths(value: object, key: str, where: str) -> tuple[int, ...]:
    numbers = value if isinstance(value, list | tuple) else [value]
    if not all(type(number) is int and number > 0 for number in numbers):
        raise ModelError(f"{where}: {key} is {value!r}; it must list positive integers")
    return tuple(numbers)


def _member(kind: type[Enum], value: object, key: str, where: str) -> Enum:
    members = {str(member.value): member for member in kind}
    if value not in members:
        raise ModelError(f"{where}: {key} is {value!r}; {_hint(str(value), members)}")
    return members[str(value)]


def _hint(word: str, choices: Mapping[str, object]) -> str:
    close = get_close_matches(word, choices, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"choose from {', '.join(choices)}" if choices else "none is allowed"
