"""Random changes of training images that leave their classes alone.

The numbers are drawn on the CPU, so that all devices show the same images.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from snn_deploy.training.recipes import Training


def augment(x: Tensor, training: Training, rng: np.random.Generator) -> Tensor:
    """Return images ``(n, ..., height, width)``, as bytes, as they are shown once."""
    x = move_at_random(x, training.max_shift, training.flip, rng)
    return cut_out_at_random(x, training.cutout, rng)


def move_at_random(
    x: Tensor, max_shift: int, flips: bool, rng: np.random.Generator
) -> Tensor:
    """Return every image moved by up to ``max_shift`` pixels in each direction.

    That is a random crop of the image with a black margin. If it ``flips``, about half
    of them are mirrored left to right.
    """
    n, height, width = len(x), *x.shape[-2:]
    top = left = torch.zeros(n, dtype=torch.int64)
    if max_shift > 0:
        corners = torch.from_numpy(rng.integers(0, 2 * max_shift + 1, size=(n, 2)))
        top, left = corners.unbind(1)
        x = functional.pad(x, (max_shift,) * 4)
    rows = top[:, None] + torch.arange(height)
    columns = torch.arange(width).expand(n, width)
    if flips:
        is_mirrored = torch.from_numpy(rng.random(n) < 0.5)
        columns = torch.where(is_mirrored[:, None], columns.flip(1), columns)
    elif max_shift == 0:
        return x
    columns = left[:, None] + columns
    images = torch.arange(n)[:, None, None]
    places = (images, rows[:, :, None], columns[:, None, :])
    image, row, column = (place.to(x.device) for place in places)
    # pixels with all that they hold, one after another
    moved = x.movedim((-2, -1), (1, 2))[image, row, column]
    return moved.movedim((1, 2), (-2, -1))


def cut_out_at_random(x: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    """Return the images with a grey square of ``size`` pixels at a random place.

    The middle of the square may be any pixel, so that the border cuts some off [1]_.

    References
    ----------
    .. [1] T. DeVries, G. W. Taylor, "Improved Regularization of Convolutional Neural
       Networks with Cutout", arXiv 1708.04552.
    """
    if size == 0:
        return x
    height, width = x.shape[-2:]
    each = (len(x), *(1,) * (x.ndim - 1))
    top = torch.from_numpy(rng.integers(0, height, each) - size // 2)
    left = torch.from_numpy(rng.integers(0, width, each) - size // 2)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    in_rows = (rows >= top) & (rows < top + size)
    in_columns = (columns >= left) & (columns < left + size)
    return x.masked_fill((in_rows & in_columns).to(x.device), 128)
