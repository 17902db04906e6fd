"""Random changes of training images that leave their classes alone."""

import numpy as np
import numpy.typing as npt

from snn_deploy.training.recipes import Training

_Images = npt.NDArray[np.uint8]


def augment(x: _Images, training: Training, rng: np.random.Generator) -> _Images:
    """Return images ``(n, ..., height, width)`` as they are shown once."""
    x = shift_at_random(x, training.max_shift, rng)
    if training.flip:
        x = flip_at_random(x, rng)
    return cut_out_at_random(x, training.cutout, rng)


def shift_at_random(x: _Images, max_shift: int, rng: np.random.Generator) -> _Images:
    """Return every image moved by up to ``max_shift`` pixels in each direction.

    That is a random crop of the image with a black margin.
    """
    if max_shift == 0:
        return x
    height, width = x.shape[-2:]
    margins = ((0, 0),) * (x.ndim - 2) + ((max_shift, max_shift),) * 2
    corners = rng.integers(0, 2 * max_shift + 1, size=(len(x), 2)).tolist()
    return np.stack(
        [
            image[..., top : top + height, left : left + width]
            for image, (top, left) in zip(np.pad(x, margins), corners, strict=True)
        ]
    )


def flip_at_random(x: _Images, rng: np.random.Generator) -> _Images:
    """Return the images, about half of them mirrored left to right."""
    mirrored = rng.random((len(x), *(1,) * (x.ndim - 1))) < 0.5
    return np.where(mirrored, x[..., ::-1], x)


def cut_out_at_random(x: _Images, size: int, rng: np.random.Generator) -> _Images:
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
    top = rng.integers(0, height, each) - size // 2
    left = rng.integers(0, width, each) - size // 2
    rows, columns = np.arange(height)[:, np.newaxis], np.arange(width)
    in_rows = (rows >= top) & (rows < top + size)
    in_columns = (columns >= left) & (columns < left + size)
    return np.where(in_rows & in_columns, np.uint8(128), x)
