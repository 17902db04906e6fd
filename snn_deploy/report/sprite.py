"""Many small pictures in one image, shown by position."""

import base64
import io
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import AnyArray
from snn_deploy.profile.closeups import Closeups
from snn_deploy.report.markup import Html, element

ACROSS = 32  # pictures in a row of the image


@dataclass(frozen=True, kw_only=True)
class Sprite:
    """Where the picture of each input lies in the image."""

    places: dict[int, int]  # position of an input: of its picture
    style: Html  # rules that bring the image, once for the page

    def show(self, position: int, name: str) -> Html:
        """Return the picture of an input; nothing where there is none."""
        if position not in self.places:
            return Html("")
        row, column = divmod(self.places[position], ACROSS)
        return element(
            "span",
            class_="picture",
            role="img",
            aria_label=f"picture of {name}",
            style=f"--column: {column}; --row: {row}",
        )


def sprite(closeups: Closeups | None) -> Sprite:
    """Return the pictures as one image inside the style sheet."""
    if closeups is None or not closeups.pictures.size:
        return Sprite(places={}, style=Html(""))
    pictures = closeups.pictures
    n, height, width = pictures.shape[:3]
    data = base64.b64encode(png(pictures)).decode("ascii")
    style = (
        f".picture {{ --across: {min(n, ACROSS)}; --ratio: {height / width:.4f}; "
        f"background-image: url(data:image/png;base64,{data}); }}\n"
    )
    places = {int(p): i for i, p in enumerate(closeups.positions)}
    return Sprite(places=places, style=Html(style))


def png(pictures: AnyArray) -> bytes:
    """Return pictures ``(n, height, width)`` or with colors in rows, as a PNG file."""
    from PIL import Image

    n, height, width = pictures.shape[:3]
    across = min(n, ACROSS)
    down = -(-n // ACROSS)
    room = np.zeros((across * down, *pictures.shape[1:]), np.uint8)
    room[:n] = pictures
    grid = room.reshape(down, across, *pictures.shape[1:]).swapaxes(1, 2)
    whole = grid.reshape(down * height, across * width, *pictures.shape[3:])
    buffer = io.BytesIO()
    Image.fromarray(whole).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
