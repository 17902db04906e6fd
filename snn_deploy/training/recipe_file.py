"""Read recipes: TOML files, and changes to them from the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snn_deploy.errors import ModelError
from snn_deploy.files.schema import Schema, parse_value, read_toml
from snn_deploy.training import recipes
from snn_deploy.training.recipes import Recipe, Residual, Tebn, Whitening

_LAYERS: dict[str, type] = {
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
_LOSSES: dict[str, type] = {
    "mean_output": recipes.MeanOutput,
    "tet": recipes.Tet,
    "running_count": recipes.RunningCount,
}
_REGULARIZERS: dict[str, type] = {"rcs": recipes.Rcs}


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe in the TOML file at ``path``.

    ``changes`` such as ``"seed=3"``, ``"training.epochs=5"`` and ``"layers.2.decay=1"``
    replace values of the file, or add them.

    Raises
    ------
    ModelError
        If the file is not TOML, lacks a key, or has an unknown one.
    """
    content = read_toml(path, ModelError)
    for change in changes:
        _change(content, change)
    kinds = {recipes.Layer: _LAYERS, recipes.Loss: _LOSSES, recipes.Rcs: _REGULARIZERS}
    schema = Schema(file=str(path), error=ModelError, kinds=kinds)
    recipe = schema.build(Recipe, _with_trainings(content))
    _check_layers(recipe, schema)
    _check_trainings(recipe, schema)
    return recipe


def _with_trainings(content: dict[str, Any]) -> dict[str, Any]:
    """Return tables whose further trainings say what [training] says, if no other."""
    first = content.get("training")
    if not isinstance(first, dict):
        return content

    def whole(table: Any) -> Any:
        is_table = isinstance(table, dict)
        return {**first, **table} if is_table else table

    content = {"training": first, **content}  # its faults are found first
    if isinstance(tunings := content.get("fine_tuning"), list):
        content["fine_tuning"] = [whole(table) for table in tunings]
    if "grid_tuning" in content:
        content["grid_tuning"] = whole(content["grid_tuning"])
    return content


def _check_layers(recipe: Recipe, schema: Schema) -> None:
    for index, layer in enumerate(recipe.all_layers):
        if isinstance(layer, Whitening) and index > 0:
            raise schema.fault(
                "", "a whitening is set by the training images; make it layer 0"
            )
        if isinstance(layer, Tebn) and layer.timesteps != recipe.timesteps:
            raise schema.fault(
                "",
                f"a tebn has {layer.timesteps} timesteps, the recipe "
                f"{recipe.timesteps}; give both the same",
            )
        if isinstance(layer, Residual) and not layer.body:
            raise schema.fault("", "a residual has an empty 'body'; give it a layer")
    if not recipe.layers:
        raise schema.fault("", "'layers' is empty; give at least one layer")


def _check_trainings(recipe: Recipe, schema: Schema) -> None:
    paths = ["training", *(f"fine_tuning.{i}" for i in range(len(recipe.fine_tuning)))]
    for path, phase in zip([*paths, "grid_tuning"], recipe.phases, strict=False):
        if phase.held_out != recipe.training.held_out:
            raise schema.fault(
                path,
                f"'held_out' is {phase.held_out}, and {recipe.training.held_out} in "
                "[training]; leave it out, the same inputs are held out of both",
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
        table[name] = parse_value(text.strip())
    else:
        _item(table, name, change)
        table[int(name)] = parse_value(text.strip())


def _item(table: Any, key: str, change: str) -> Any:
    if isinstance(table, dict):
        return table[key]
    if not isinstance(table, list):
        raise ModelError(
            f"--set {change}: {key!r} lies in {table!r}, which is not a table"
        )
    if not (key.isdecimal() and int(key) < len(table)):
        raise ModelError(
            f"--set {change}: {key!r} is not one of {len(table)} entries; count from 0"
        )
    return table[int(key)]
