"""The map of the chip: in the page, where one chooses its colors, and as a file."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

from snn_deploy.files import text_writer, write_whole
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.loads import Loads
from snn_deploy.report.chip_map import Coloring, colorings
from snn_deploy.report.markup import Html, element

CELL, SPACE = 14, 5  # of a neurocore; between tiles
CHIP_SPACE = 12  # more of it between chips
LINE = 16  # height of a line of the file
MOST_LINES = 24  # of a legend in the file
MOST_TITLES = 2000  # neurocores that say what they are when pointed at
LEAST_WIDTH = 360  # of the file
INK, PAPER, EMPTY = "#1c1d1f", "#ffffff", "#b9bcc0"


def map_figure(network: MappedNetwork, loads: Loads | None) -> Html:
    """Return the map with buttons that choose what its colors mean."""
    found = colorings(network, loads)
    buttons = [
        element(
            "label",
            element(
                "input", type="radio", name="colors", value=coloring.key,
                **({"checked": ""} if i == 0 else {}),
            ),
            f" {coloring.name}",
        )
        for i, coloring in enumerate(found)
    ]  # fmt: skip
    width, height = _size(network)

    def colors(position: int) -> dict[str, str]:
        pairs = [f"--{c.key}: {c.colors[position]}" for c in found]
        return {"style": "; ".join(pairs)}

    drawing = element(
        "svg",
        *_grid(network, found, colors),
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=f"Map of the chip, {len(network.cores)} neurocores in use; the "
        "table below says what they do",
        style=f"max-width: {2 * width}px",
    )
    return element(
        "figure",
        element("h3", "Where it lies"),
        element("fieldset", element("legend", "Neurocores colored by"), *buttons),
        drawing,
        *(_legend(coloring) for coloring in found),
        class_="map broad",
    )


def _legend(coloring: Coloring) -> Html:
    lines = [
        element("li", element("i", class_="key", style=f"background: {color}"), text)
        for color, text in coloring.legend
    ]
    return element("ul", *lines, class_=f"legend {coloring.key}")


def write_map(network: MappedNetwork, loads: Loads | None, path: Path) -> None:
    """Write the map as an SVG file."""
    write_whole(path, text_writer(map_file(network, loads)))


def map_file(network: MappedNetwork, loads: Loads | None = None) -> str:
    """Return the map as an SVG file, a panel for each meaning of its colors."""
    width, height = _size(network)
    parts: list[Html] = []
    top = 0
    for coloring in colorings(network, loads):
        title = f"{network.graph.name} on {network.target.name}, by {coloring.name}"
        panel = _panel(network, coloring, title, height)
        parts.append(element("g", *panel, transform=f"translate(10 {top})"))
        top += 2 * LINE + height + LINE * min(len(coloring.legend), MOST_LINES)
    whole, below = max(width, LEAST_WIDTH) + 20, top + LINE
    back = element("rect", width="100%", height="100%", fill=PAPER)
    drawing = element(
        "svg", back, *parts, xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {whole} {below}", width=str(2 * whole), height=str(2 * below),
        font_family="sans-serif", font_size="9", fill=INK,
    )  # fmt: skip
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{drawing}\n'


def _panel(
    network: MappedNetwork, coloring: Coloring, title: str, height: int
) -> Iterator[Html]:
    yield element("text", title, y=str(LINE), font_weight="bold")
    grid = _grid(network, [coloring], lambda i: {"fill": coloring.colors[i]})
    yield element("g", *grid, transform=f"translate(0 {LINE + 6})")
    for i, (color, text) in enumerate(coloring.legend[:MOST_LINES]):
        y = LINE + 6 + height + LINE * i
        yield element("rect", x="0", y=str(y), width="9", height="9", fill=color)
        yield element("text", text, x="14", y=str(y + 8))


def _size(network: MappedNetwork) -> tuple[int, int]:
    """Return width and height of the drawing: all chips that are in use."""
    columns, rows = _tiles(network)
    x, y = _corner(network, columns - 1, rows - 1)
    return x + _pitch(network), y + _pitch(network)


def _tiles(network: MappedNetwork) -> tuple[int, int]:
    """Return how many tiles lie side by side, and in a column; whole chips."""
    mesh = network.target.mesh
    right = max(core.x for core in network.cores)
    below = max(core.y for core in network.cores)
    return (
        mesh.width * (right // mesh.width + 1),
        mesh.height * (below // mesh.height + 1),
    )


def _corner(network: MappedNetwork, x: int, y: int) -> tuple[int, int]:
    """Return where a tile begins; chips lie side by side, as on their board."""
    mesh, pitch = network.target.mesh, _pitch(network)
    return (
        x * pitch + x // mesh.width * CHIP_SPACE,
        y * pitch + y // mesh.height * CHIP_SPACE,
    )


def _pitch(network: MappedNetwork) -> int:
    return CELL * _side(network) + SPACE


def _side(network: MappedNetwork) -> int:
    """Return how many neurocores of a tile lie side by side."""
    return math.isqrt(_per_tile(network) - 1) + 1


def _per_tile(network: MappedNetwork) -> int:
    return network.target.mesh.neurocores_per_tile


def _cell(network: MappedNetwork, x: int, y: int, k: int) -> tuple[int, int]:
    """Return where neurocore ``k`` of a tile is drawn."""
    left, top = _corner(network, x, y)
    row, column = divmod(k, _side(network))
    return left + CELL * column + 1, top + CELL * row + 1


def _grid(
    network: MappedNetwork,
    found: list[Coloring],
    look: Callable[[int], dict[str, str]],
) -> Iterator[Html]:
    """Yield all tiles' outlines, and a square for each neurocore in use."""
    columns, rows = _tiles(network)
    places = product(range(columns), range(rows), range(_per_tile(network)))
    outlines = [
        "M{} {}h{}v{}h-{}z".format(*_cell(network, *place), *[CELL - 2] * 3)
        for place in places
    ]
    yield element("path", d="".join(outlines), class_="empty", fill="none",
                  stroke=EMPTY, stroke_width="0.6")  # fmt: skip
    used: Counter[tuple[int, int]] = Counter()
    for position, core in enumerate(network.cores):
        tile = core.x, core.y
        x, y = _cell(network, *tile, used[tile])
        used[tile] += 1
        size = str(CELL - 2)
        title = _title(network, found, position)
        yield element(
            "rect", *title, x=str(x), y=str(y), width=size, height=size,
            class_="core", **look(position),
        )  # fmt: skip


def _title(network: MappedNetwork, found: list[Coloring], position: int) -> list[Html]:
    if len(network.cores) > MOST_TITLES:
        return []
    core = network.cores[position]
    texts = "; ".join(f"{c.name}: {c.texts[position]}" for c in found)
    what = f"neurocore {core.index} on tile {core.x}, {core.y}; {texts}"
    return [element("title", what)]
