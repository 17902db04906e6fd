"""The map of the chip: in the page, where one chooses its colors, and as a file."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path

from snn_deploy.files.writing import text_writer, write_whole
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.loads import Loads
from snn_deploy.report.chip_map import Coloring, colorings
from snn_deploy.report.markup import Html, element

CELL, SPACE = 14, 5  # of a neurocore; between tiles
CHIP_SPACE = 12  # more of it between chips
LINE = 16  # height of a line of the file
MOST_LINES = 24  # of a legend in the file
MOST_OUTLINES = 1 << 17  # of neurocores, in use or not; beyond: of tiles in use
MOST_TITLES = 2000  # neurocores that say what they are when pointed at
LEAST_WIDTH, MOST_PIXELS = 360, 1240  # of the file; a window shows all of its width
BORDER = 4  # of a chip, where there are several
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
        viewBox=f"{-BORDER} {-BORDER} {width + BORDER} {height + BORDER}",
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
    whole = max(width, LEAST_WIDTH) + 20
    scale = min(2.0, MOST_PIXELS / whole)
    zoom = max(1.0, 1.4 / scale)  # of words, so that they can be read
    parts: list[Html] = []
    top = 0.0
    for coloring in colorings(network, loads):
        title = f"{network.graph.name} on {network.target.name}, by {coloring.name}"
        panel = _panel(network, coloring, title, height, zoom)
        parts.append(element("g", *panel, transform=f"translate(10 {top:g})"))
        n_lines = min(len(coloring.legend), MOST_LINES)
        top += height + SPACE + zoom * LINE * (n_lines + 2.5)
    back = element("rect", width="100%", height="100%", fill=PAPER)
    drawing = element(
        "svg", back, *parts, xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {whole} {top:g}",
        width=f"{scale * whole:.0f}", height=f"{scale * top:.0f}",
        font_family="sans-serif", font_size="9", fill=INK,
    )  # fmt: skip
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{drawing}\n'


def _panel(
    network: MappedNetwork, coloring: Coloring, title: str, height: int, zoom: float
) -> Iterator[Html]:
    words = element("text", title, y=str(LINE), font_weight="bold")
    yield element("g", words, transform=f"scale({zoom:.2f})")
    top = zoom * 1.5 * LINE
    grid = _grid(network, [coloring], lambda i: {"fill": coloring.colors[i]})
    yield element("g", *grid, transform=f"translate(0 {top:g})")
    lines: list[Html] = []
    for i, (color, text) in enumerate(coloring.legend[:MOST_LINES]):
        y = LINE * i
        lines += (
            element("rect", x="0", y=str(y), width="9", height="9", fill=color),
            element("text", text, x="14", y=str(y + 8)),
        )
    place = f"translate(0 {top + height + SPACE:g}) scale({zoom:.2f})"
    yield element("g", *lines, transform=place)


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
    """Yield all chips' and tiles' outlines, and a square for each neurocore in use."""
    columns, rows = _tiles(network)
    if columns * rows > network.target.mesh.width * network.target.mesh.height:
        yield element("path", d=_borders(network), class_="chips", fill="none",
                      stroke=EMPTY)  # fmt: skip
    tiles: Iterable[tuple[int, int]] = product(range(columns), range(rows))
    if columns * rows * _per_tile(network) > MOST_OUTLINES:
        tiles = sorted({(core.x, core.y) for core in network.cores})
    places = ((*tile, k) for tile in tiles for k in range(_per_tile(network)))
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


def _borders(network: MappedNetwork) -> str:
    """Return the path around each chip, those between that are not in use as well."""
    mesh, (columns, rows) = network.target.mesh, _tiles(network)
    found = []
    for x, y in product(range(0, columns, mesh.width), range(0, rows, mesh.height)):
        left, top = _corner(network, x, y)
        right, below = _corner(network, x + mesh.width - 1, y + mesh.height - 1)
        side = CELL * _side(network) + 2 * BORDER
        across, down = right - left + side, below - top + side
        found.append(f"M{left - BORDER} {top - BORDER}h{across}v{down}h-{across}z")
    return "".join(found)


def _title(network: MappedNetwork, found: list[Coloring], position: int) -> list[Html]:
    if len(network.cores) > MOST_TITLES:
        return []
    core = network.cores[position]
    texts = "; ".join(f"{c.name}: {c.texts[position]}" for c in found)
    what = f"neurocore {core.index} on tile {core.x}, {core.y}; {texts}"
    return [element("title", what)]
