"""recipes: a TOML file becomes a recipe or an error that names the key."""

from pathlib import Path

import pytest

from snn_deploy.errors import ModelError
from snn_deploy.training.recipes import Conv, Flatten, Linear, Tet, read_recipe

MODELS = Path(__file__).parents[2] / "models"
RECIPE = """
name = "tiny"
description = "a test"
data = "mnist5k"
seed = 3
timesteps = 4
layers = [
  { kind = "conv", channels = 2, kernel = 3 },
  { kind = "flatten" },
  { kind = "linear", features = 10 },
]

[loss]
kind = "tet"

[training]
epochs = 1
batch_size = 10
learning_rate = 1
weight_decay = 0.0
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_recipe_is_read_with_its_defaults(tmp_path: Path) -> None:
    recipe = read_recipe(_write(tmp_path, RECIPE))

    assert (recipe.name, recipe.seed, recipe.timesteps) == ("tiny", 3, 4)
    assert recipe.layers == (
        Conv(channels=2, kernel=3),
        Flatten(),
        Linear(features=10),
    )
    assert recipe.loss == Tet(mse_weight=0.001)
    assert recipe.training.learning_rate == 1.0
    assert recipe.training.held_out == 0.1


@pytest.mark.parametrize("path", sorted(MODELS.glob("*/recipe.toml")), ids=str)
def test_recipe_of_each_reference_model_is_valid(path: Path) -> None:
    assert read_recipe(path).name == path.parent.name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed =", "sed =", "unknown key 'sed'; did you mean 'seed'"),
        ("seed = 3\n", "", "has no 'seed'"),
        ("seed = 3", 'seed = "3"', "seed is '3'; it must be of type int"),
        ("seed = 3", "seed = true", "seed is True; it must be of type int"),
        ("seed = 3", "seed = -3", "seed is -3; it must not be negative"),
        ("timesteps = 4", "timesteps = 0", "timesteps is 0; it must be positive"),
        ("flatten", "flaten", "layer 1: kind is 'flaten'; did you mean 'flatten'"),
        ('"flatten"', '"flatten", kernel = 2', "unknown key 'kernel'; none is allowed"),
        ("kernel = 3", "kernal = 3", "unknown key 'kernal'; did you mean 'kernel'"),
        ("kernel = 3", "kernel = 0", r"layer 0 \(conv\): kernel is 0; it must be posi"),
        ("kernel = 3", "kernel = 3, padding = -1", "padding is -1; it must not be neg"),
        ('"flatten"', '["flatten"]', r"layer 1: kind is \['flatten'\]; did you mean"),
        ('"tet"', '"tte"', r"\[loss\]: kind is 'tte'; did you mean 'tet'"),
        ('"tet"', '"tet"\nmse_weight = 2', "mse_weight is 2.0; it must be at most 1"),
        ("epochs = 1\n", "", r"\[training\]: has no 'epochs'"),
        ("epochs = 1", "epochs = 0", "epochs is 0; it must be positive"),
        ("epochs = 1", "epochs = 1\nheld_out = 1", "held_out is 1.0; it must lie betw"),
        ("epochs = 1", "epochs = 1\nmax_shift = -1", "must not be negative"),
        ("[training]", "[[training]]", r"\[training\]: must be a table"),
        ("layers = [", "layers = []\nrest = [", "at least one layer"),
        ("seed = 3", "seed", "not a TOML file"),
    ],
)
def test_mistake_is_refused_by_name(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in RECIPE
    path = _write(tmp_path, RECIPE.replace(old, new))

    with pytest.raises(ModelError, match=message) as caught:
        read_recipe(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"recipe\.toml: cannot be read, No such file"):
        read_recipe(tmp_path / "recipe.toml")
