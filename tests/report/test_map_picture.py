"""map_picture and chip_map: every neurocore is where it lies, in the colors it says."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.loads import Loads
from snn_deploy.report.chip_map import colorings, utilization
from snn_deploy.report.map_picture import CELL, CHIP_SPACE, SPACE, map_figure, map_file
from tests.report.profiles import network
from tests.report.reading import Reader

SVG = "{http://www.w3.org/2000/svg}"


def loads(*packets: float) -> Loads:
    n = np.array(packets)
    return Loads(packets=n, injected=0 * n, busy_s=1e-6 * n)


def on_two() -> MappedNetwork:
    """Return a network with a population on each of two neurocores of a tile."""
    mapped = network()
    one = mapped.cores[0]
    cores = [replace(one, index=i, pieces=(p,)) for i, p in enumerate(one.pieces)]
    return replace(mapped, cores=tuple(cores))


def test_neurocores_lie_on_their_tiles() -> None:
    mapped = network()  # one neurocore, on the tile 1, 2 of four each

    root = ElementTree.fromstring(map_file(mapped))

    panels = root.findall(f"{SVG}g")
    assert len(panels) == 2
    for panel in panels:
        core = panel.find(f".//{SVG}rect[@class='core']")
        assert core is not None
        pitch = 2 * CELL + SPACE
        assert (core.get("x"), core.get("y")) == (str(pitch + 1), str(2 * pitch + 1))
    empty = root.find(f".//{SVG}path[@class='empty']")
    assert empty is not None
    assert empty.get("d", "").count("M") == 128


def test_neurocores_of_a_tile_lie_side_by_side() -> None:
    markup = map_file(on_two())

    places = re.findall(r'x="(\d+)" y="(\d+)"[^>]*class="core"', markup)
    assert len(set(places[:2])) == 2


def test_chips_lie_side_by_side() -> None:
    mapped = network()  # a chip has 8 x 4 tiles
    far = replace(mapped.cores[0], x=9, y=2)

    markup = map_file(replace(mapped, cores=(far,)))

    pitch = 2 * CELL + SPACE
    x, y = 9 * pitch + CHIP_SPACE + 1, 2 * pitch + 1
    assert re.findall(r'x="(\d+)" y="(\d+)"[^>]*class="core"', markup) == [
        (str(x), str(y)), (str(x), str(y))
    ]  # fmt: skip
    empty = re.findall(r'd="([^"]*)" class="empty"', markup)[0]
    assert empty.count("M") == 2 * 128
    borders = re.findall(r'd="([^"]*)" class="chips"', markup)[0]
    width, height = 8 * pitch - SPACE + 8, 4 * pitch - SPACE + 8
    around = f"h{width}v{height}h-{width}z"
    assert borders == f"M-4 -4{around}M{8 * pitch + CHIP_SPACE - 4} -4{around}"


def test_one_chip_has_no_border_and_a_wide_board_fits_a_window() -> None:
    mapped = network()
    far = replace(mapped.cores[0], x=200, y=2)

    wide = ElementTree.fromstring(map_file(replace(mapped, cores=(far,))))

    assert 'class="chips"' not in map_file(mapped)
    assert int(wide.get("width", "")) <= 1240


def test_colors_say_how_much() -> None:
    found = {c.key: c for c in colorings(on_two(), loads(0.0, 1.0))}

    assert [*found] == ["layer", "use", "traffic", "busy"]
    assert len(set(found["layer"].colors)) == 2
    assert found["traffic"].colors[0] == "#440154"  # none
    assert found["traffic"].colors[-1] == "#fde725"  # the most
    assert found["traffic"].texts[-1] == "1"
    assert found["traffic"].legend[-1] == ("#fde725", "most: 1")
    assert found["busy"].texts[-1] == "1.00 µs"


def test_unknown_times_have_no_colors() -> None:
    mapped = on_two()
    unknown = Loads(packets=np.ones(2), injected=np.zeros(2), busy_s=np.full(2, np.nan))

    assert [c.key for c in colorings(mapped, unknown)] == ["layer", "use", "traffic"]
    assert [c.key for c in colorings(mapped, None)] == ["layer", "use"]


def test_utilization_is_that_of_the_scarcest_resource() -> None:
    mapped = network()
    core = mapped.cores[0]
    limits = mapped.target.neurocore

    assert limits.memory_bits
    assert utilization(mapped, core) == max(
        7 / limits.compartments,
        160 / limits.synaptic_memory_bits,
        6 / limits.input_axons,
        (160 + 7 * limits.neuron_bits + 4 * limits.output_axon_bits)
        / limits.memory_bits,
    )


def test_the_figure_has_a_button_and_a_legend_for_each_coloring() -> None:
    markup = map_figure(on_two(), loads(1.0, 2.0))

    reader = Reader(markup)
    assert not reader.open
    assert reader.tags.count("input") == 4
    assert re.findall(r'ul class="legend (\w+)"', markup) == [
        "layer", "use", "traffic", "busy"
    ]  # fmt: skip
    assert "neurocore 0 on tile 1, 2; layer: hidden (4)" in reader.text


@pytest.mark.parametrize("name", ["<b>&\"'", "2"])
def test_names_are_only_text(name: str) -> None:
    root = ElementTree.fromstring(map_file(network(name=name)))

    titles = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert any(title.startswith(name) for title in titles)
