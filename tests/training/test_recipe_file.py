"""recipe_file: a TOML file becomes a recipe or an error that names the key."""

from dataclasses import replace
from pathlib import Path

import pytest

from snn_deploy.errors import ModelError
from snn_deploy.ir.neurons import Reset
from snn_deploy.training.recipe_file import read_recipe
from snn_deploy.training.recipes import (
    Conv,
    Flatten,
    GridTuning,
    Lif,
    Linear,
    Rcs,
    Residual,
    Surrogate,
    Tebn,
    Tet,
)

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
    assert recipe.regularizer is None


def test_words_become_members_and_the_regularizer_is_read(tmp_path: Path) -> None:
    text = RECIPE.replace(
        '{ kind = "flatten" }',
        '{ kind = "lif", decay = 0.5, reset = "soft", surrogate = "triangle" }',
    )
    text += '\n[regularizer]\nkind = "rcs"\nweight = 0.01\n'

    recipe = read_recipe(_write(tmp_path, text))

    lif = Lif(decay=0.5, reset=Reset.SOFT, surrogate=Surrogate.TRIANGLE)
    assert recipe.layers[1] == lif
    assert recipe.regularizer == Rcs(weight=0.01, share=0.3)


def test_changes_replace_values_and_add_them(tmp_path: Path) -> None:
    changes = (
        "seed=7",
        "name = other",
        "training.max_shift=2",
        "layers.0.kernel=5",
        'regularizer = { kind = "rcs", weight = 1 }',
        "regularizer.share=0.5",
    )

    recipe = read_recipe(_write(tmp_path, RECIPE), changes)

    assert (recipe.seed, recipe.name, recipe.training.max_shift) == (7, "other", 2)
    assert recipe.layers[0] == Conv(channels=2, kernel=5)
    assert recipe.regularizer == Rcs(weight=1.0, share=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sed=4", r"recipe\.toml: unknown key 'sed'; did you mean 'seed'"),
        ("seed", "--set seed: write key=value"),
        ("=4", "--set =4: write key=value"),
        ("seed=x", "'seed' is 'x'; give a whole number, 0 or more"),
        (
            "training.epoch=1",
            r"\[training\]: unknown key 'epoch'; did you mean 'epochs",
        ),
        ("layers.3.kernel=1", "--set layers.3.kernel=1: '3' is not one of 3 entries"),
        ("layers.x=1", "'x' is not one of 3 entries; count from 0"),
        ("seed.x=1", "'x' lies in 3, which is not a table"),
        ("regularizer.weight=1", r"\[regularizer\]: 'kind' is None; choose from rcs"),
    ],
)
def test_wrong_change_is_refused(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_recipe(_write(tmp_path, RECIPE), (change,))


@pytest.mark.parametrize("path", sorted(MODELS.glob("*/recipe.toml")), ids=str)
def test_recipe_of_each_reference_model_is_valid(path: Path) -> None:
    assert read_recipe(path).name == path.parent.name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed =", "sed =", "unknown key 'sed'; did you mean 'seed'"),
        ("seed = 3\n", "", "has no 'seed'"),
        ("seed = 3", 'seed = "3"', "'seed' is '3'; give a whole number, 0"),
        ("seed = 3", "seed = true", "'seed' is True; give a whole number"),
        ("seed = 3", "seed = -3", "'seed' is -3; give a whole number, 0 or more"),
        (
            "timesteps = 4",
            "timesteps = 0",
            "'timesteps' is 0; give a whole",
        ),
        (
            "flatten",
            "flaten",
            r"\[layers\.1\]: 'kind' is 'flaten'; did you mean",
        ),
        ('"flatten"', '"flatten", kernel = 2', "unknown key 'kernel'; remove it"),
        ("kernel = 3", "kernal = 3", "unknown key 'kernal'; did you mean 'kernel'"),
        (
            "kernel = 3",
            "kernel = 0",
            r"\[layers\.0\]: 'kernel' is 0; give",
        ),
        (
            "kernel = 3",
            "kernel = 3, padding = -1",
            "'padding' is -1; give",
        ),
        (
            '"flatten"',
            '["flatten"]',
            r"\[layers\.1\]: 'kind' is \['flatten'\]; did",
        ),
        ('"tet"', '"tte"', r"\[loss\]: 'kind' is 'tte'; did you mean 'tet'"),
        (
            '"tet"',
            '"tet"\nmse_weight = 2',
            "'mse_weight' is 2; give",
        ),
        ("epochs = 1\n", "", r"\[training\]: has no 'epochs'"),
        ("epochs = 1", "epochs = 0", "'epochs' is 0; give a whole number, over 0"),
        (
            "epochs = 1",
            "epochs = 1\nheld_out = 1",
            "'held_out' is 1; give",
        ),
        ("epochs = 1", "epochs = 1\nmax_shift = -1", "'max_shift' is -1; give"),
        (
            "epochs = 1",
            "epochs = 1\npatience = -1",
            "'patience' is -1; give",
        ),
        (
            '"flatten"',
            '"lif", decay = 1, reset = "sof"',
            r"\[layers\.1\]: 'reset' is 'sof'; did you mean 'soft'",
        ),
        ("[training]", "[[training]]", r"\[training\]: is .*; write a table"),
        ("layers = [", "layers = []\n[rest]\nx = [", "unknown key 'rest'"),
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
    with pytest.raises(ModelError, match=r"recipe\.toml: no such file; check the path"):
        read_recipe(tmp_path / "recipe.toml")


RESIDUAL = """{ kind = "residual", body = [
    { kind = "conv", channels = 2, kernel = 3, padding = 1 },
    { kind = "lif", decay = 0.5 },
  ], skip = [ { kind = "conv", channels = 2, kernel = 1 } ] }"""


def test_branches_of_a_residual_layer_are_read(tmp_path: Path) -> None:
    text = RECIPE.replace('{ kind = "flatten" }', RESIDUAL)

    recipe = read_recipe(_write(tmp_path, text))

    assert recipe.layers[1] == Residual(
        body=(Conv(channels=2, kernel=3, padding=1), Lif(decay=0.5)),
        skip=(Conv(channels=2, kernel=1),),
    )
    assert len(recipe.all_layers) == 6


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("decay = 0.5", "decay = 2", r"\[layers\.1\.body\.1\]: 'decay' is 2"),
        ("kernel = 1", "kernal = 1", r"\[layers\.1\.skip\.0\]: unknown key 'kernal'"),
        ("skip", "skipp", r"\[layers\.1\]: unknown key 'skipp'"),
        ("body", "bodies", "unknown key 'bodies'; did you mean 'body'"),
    ],
)
def test_mistake_in_a_branch_is_named(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    text = RECIPE.replace('{ kind = "flatten" }', RESIDUAL.replace(old, new))

    with pytest.raises(ModelError, match=message):
        read_recipe(_write(tmp_path, text))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("[]", "'layers' is empty; give at least one layer"),
        ('[{ kind = "residual", body = [] }]', "an empty 'body'; give it a layer"),
    ],
)
def test_layers_that_hold_none_are_refused(
    layers: str, message: str, tmp_path: Path
) -> None:
    start, end = RECIPE.index("layers ="), RECIPE.index("[loss]")
    text = f"{RECIPE[:start]}layers = {layers}\n{RECIPE[end:]}"

    with pytest.raises(ModelError, match=message):
        read_recipe(_write(tmp_path, text))


def test_a_number_that_no_float_holds_is_refused(tmp_path: Path) -> None:
    text = RECIPE.replace("learning_rate = 1", "learning_rate = 1" + "0" * 400)

    with pytest.raises(ModelError, match="'learning_rate' is 1000"):
        read_recipe(_write(tmp_path, text))


def test_fine_tuning_is_like_training_where_it_says_nothing_else(
    tmp_path: Path,
) -> None:
    text = RECIPE + "flip = true\n[[fine_tuning]]\nepochs = 2\nlearning_rate = 0.1\n"

    training, tuning = read_recipe(_write(tmp_path, text)).phases

    same = replace(training, epochs=2, learning_rate=0.1)
    assert tuning == same
    assert tuning.flip


def test_grid_tuning_names_a_target_and_comes_last(tmp_path: Path) -> None:
    text = RECIPE + "[grid_tuning]\nepochs = 2\ntarget = 'loihi2'\n"
    text += "[[fine_tuning]]\nepochs = 3\n"

    recipe = read_recipe(_write(tmp_path, text))

    first, second, third = recipe.phases
    assert [first.epochs, second.epochs, third.epochs] == [1, 3, 2]
    assert isinstance(third, GridTuning)
    assert (third.target, third.batch_size) == ("loihi2", 10)


def test_tebn_has_the_timesteps_of_the_recipe(tmp_path: Path) -> None:
    text = RECIPE.replace('{ kind = "flatten" }', '{ kind = "tebn", timesteps = 4 }')

    recipe = read_recipe(_write(tmp_path, text))

    assert recipe.layers[1] == Tebn(timesteps=4, gain=1.0)
    with pytest.raises(ModelError, match="a tebn has 4 timesteps, the recipe 5; give"):
        read_recipe(_write(tmp_path, text), ("timesteps=5",))


def test_fine_tuning_holds_out_the_same_inputs(tmp_path: Path) -> None:
    text = RECIPE + "[[fine_tuning]]\nepochs = 2\nheld_out = 0.2\n"

    with pytest.raises(ModelError, match=r"'held_out' is 0\.2, and 0\.1 in \[train"):
        read_recipe(_write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[fine_tuning]\n",
            r"'fine_tuning' is not a list of tables; write \[\[fine_tuning\]\]",
        ),
        ("[[fine_tuning]]\nfilp = true\n", "unknown key 'filp'; did you mean 'flip'"),
    ],
)
def test_wrong_phase_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        read_recipe(_write(tmp_path, RECIPE + text))
