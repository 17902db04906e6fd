"""augment: images are moved, mirrored and painted over, never mixed."""

import numpy as np
import pytest
import torch

from snn_deploy.training.augment import augment, cut_out_at_random, move_at_random
from snn_deploy.training.recipes import Training

NOTHING = Training(epochs=1, batch_size=1, learning_rate=1.0, weight_decay=0.0)


def test_shifted_image_keeps_what_stays_in_view() -> None:
    x = torch.zeros((20, 3, 1, 9, 9), dtype=torch.uint8)  # events look the same to it
    x[..., 3:6, 3:6] = 1

    shifted = move_at_random(x, 2, False, np.random.default_rng(0))

    assert shifted.shape == x.shape
    assert shifted.sum((2, 3, 4)).tolist() == [[9] * 3] * 20
    assert torch.equal(shifted[:, 0], shifted[:, 2])  # all timesteps alike
    places = {tuple(np.argwhere(image.numpy())[0].tolist()) for image in shifted[:, 0]}
    assert len(places) > 5


def test_about_half_of_the_images_are_mirrored() -> None:
    x = torch.arange(2 * 3, dtype=torch.uint8).reshape(1, 1, 2, 3)
    many = x.repeat(200, 1, 1, 1)

    flipped = move_at_random(many, 0, True, np.random.default_rng(0))

    is_same = (flipped == x).all(3).all(2).all(1)
    assert (flipped[~is_same] == x.flip(3)).all()
    assert 70 < is_same.sum() < 130


@pytest.mark.parametrize("n_channels", [1, 3])
def test_moved_image_is_a_crop_of_it_with_a_black_margin(n_channels: int) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(1, 256, (30, n_channels, 6, 5)).astype(np.uint8)
    memory = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)

    moved = move_at_random(memory, 2, True, np.random.default_rng(0)).numpy()

    framed = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    for image, source in zip(moved, framed, strict=True):
        crops = [source[:, i : i + 6, j : j + 5] for i in range(5) for j in range(5)]
        seen = [c for crop in crops for c in (crop, crop[..., ::-1])]
        assert any(np.array_equal(image, crop) for crop in seen)


def test_square_is_painted_over_and_cut_by_the_border() -> None:
    x = torch.full((400, 2, 8, 8), 200, dtype=torch.uint8)

    painted = cut_out_at_random(x, 4, np.random.default_rng(0)).numpy()

    is_grey = painted == 128
    assert set(np.unique(painted)) == {128, 200}
    np.testing.assert_array_equal(is_grey[:, 0], is_grey[:, 1])  # all channels
    sizes = is_grey[:, 0].sum((1, 2))
    assert (sizes.min(), sizes.max()) == (4, 16)  # a corner; all of it
    rows, columns = is_grey[:, 0].any(2).sum(1), is_grey[:, 0].any(1).sum(1)
    np.testing.assert_array_equal(rows * columns, sizes)  # a rectangle


def test_nothing_is_changed_unless_a_recipe_says_so() -> None:
    x = torch.arange(5 * 3 * 16, dtype=torch.uint8).reshape(5, 3, 4, 4)

    assert torch.equal(augment(x, NOTHING, np.random.default_rng(0)), x)
