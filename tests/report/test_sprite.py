"""sprite: every picture can be found again in the image, by its row and column."""

import base64
import io
import re

import numpy as np
import pytest
from matplotlib.image import imread

from snn_deploy.profile.closeups import Closeups
from snn_deploy.report.sprite import ACROSS, png, sprite
from tests.report.closeups import HEIGHT, WIDTH, closeups


@pytest.mark.parametrize("n", [1, 5, ACROSS, ACROSS + 3])
@pytest.mark.parametrize("colors", [(), (3,)])
def test_pictures_lie_in_rows(n: int, colors: tuple[int, ...]) -> None:
    size = n * HEIGHT * WIDTH * int(np.prod(colors))
    pictures = (np.arange(size) % 255).reshape(n, HEIGHT, WIDTH, *colors)

    image = np.rint(255 * imread(io.BytesIO(png(pictures.astype(np.uint8)))))

    for place in range(n):
        row, column = divmod(place, ACROSS)
        found = image[row * HEIGHT :, column * WIDTH :][:HEIGHT, :WIDTH]
        np.testing.assert_array_equal(
            found.reshape(pictures[place].shape), pictures[place]
        )


def test_the_style_sheet_holds_the_image() -> None:
    found = sprite(closeups(5))

    data = re.findall(r"base64,([^)]*)\)", found.style)[0]
    assert base64.b64decode(data).startswith(b"\x89PNG")
    assert found.places == {i: i for i in range(5)}
    assert "--column: 4; --row: 0" in found.show(4, "input 4")
    assert found.show(5, "input 5") == ""


def test_without_pictures_nothing_is_shown() -> None:
    empty = closeups(0)

    for found in (None, empty):
        assert sprite(found).style == ""
        assert sprite(found).show(0, "input 0") == ""
    assert isinstance(empty, Closeups)
