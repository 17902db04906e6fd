"""augment: images are moved, mirrored and painted over, never mixed."""

import numpy as np

from snn_deploy.training.augment import (
    augment,
    cut_out_at_random,
    flip_at_random,
    shift_at_random,
)
from snn_deploy.training.recipes import Training

NOTHING = Training(epochs=1, batch_size=1, learning_rate=1.0, weight_decay=0.0)


def test_shifted_image_keeps_what_stays_in_view() -> None:
    x = np.zeros((20, 3, 1, 9, 9), np.uint8)  # events look the same to it
    x[..., 3:6, 3:6] = 1

    shifted = shift_at_random(x, 2, np.random.default_rng(0))

    assert shifted.shape == x.shape
    assert shifted.sum((2, 3, 4)).tolist() == [[9] * 3] * 20
    assert np.array_equal(shifted[:, 0], shifted[:, 2])  # all timesteps alike
    places = {tuple(np.argwhere(image)[0].tolist()) for image in shifted[:, 0]}
    assert len(places) > 5


def test_about_half_of_the_images_are_mirrored() -> None:
    x = np.arange(2 * 3, dtype=np.uint8).reshape(1, 1, 2, 3)
    many = np.repeat(x, 200, axis=0)

    flipped = flip_at_random(many, np.random.default_rng(0))

    is_same = (flipped == x).all((1, 2, 3))
    assert (flipped[~is_same] == x[..., ::-1]).all()
    assert 70 < is_same.sum() < 130


def test_square_is_painted_over_and_cut_by_the_border() -> None:
    x = np.full((400, 2, 8, 8), 200, np.uint8)

    painted = cut_out_at_random(x, 4, np.random.default_rng(0))

    is_grey = painted == 128
    assert set(np.unique(painted)) == {128, 200}
    np.testing.assert_array_equal(is_grey[:, 0], is_grey[:, 1])  # all channels
    sizes = is_grey[:, 0].sum((1, 2))
    assert (sizes.min(), sizes.max()) == (4, 16)  # a corner; all of it
    rows, columns = is_grey[:, 0].any(2).sum(1), is_grey[:, 0].any(1).sum(1)
    np.testing.assert_array_equal(rows * columns, sizes)  # a rectangle


def test_nothing_is_changed_unless_a_recipe_says_so() -> None:
    x = np.random.default_rng(1).integers(0, 256, (5, 3, 4, 4), np.uint8)

    np.testing.assert_array_equal(augment(x, NOTHING, np.random.default_rng(0)), x)
