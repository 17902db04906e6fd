"""layers: every layer by kind and shape, and every projection beside them."""

import re
from dataclasses import replace
from html import unescape

import numpy as np

from snn_deploy.report.layers import kind_of, layer_name, layers_figure
from tests.build import dense
from tests.report.profiles import network
from tests.report.reading import words


def test_layers_are_named_by_kind_and_shape() -> None:
    graph = network().graph

    assert kind_of(graph, "hidden") == "dense"
    assert layer_name(graph, "hidden") == "hidden (dense, 4)"
    assert layer_name(graph, "input") == "input (2)"


def test_the_diagram_holds_all_layers_in_words_and_numbers() -> None:
    markup = layers_figure(network())

    text = words(markup)
    assert "hidden dense 4 neurons on 1 neurocore" in text
    assert "2 populations of 7 neurons" in text
    held = re.findall('data-file="layers.csv"[^>]* data-text="([^"]*)"', markup)
    assert unescape(held[0]).splitlines()[1:] == [
        "input,input,2,2,0,",
        "hidden,dense,4,4,1,input",
        "out,dense,3,3,1,hidden",
    ]


def test_what_passes_a_layer_by_goes_around_it() -> None:
    mapped = network()
    past = dense("input", "out", np.ones((3, 2)), delay=2)
    skipping = (*mapped.graph.projections, past)
    graph = replace(mapped.graph, projections=skipping)

    plain, around = (
        re.findall(r'd="([^"]*)" class="axis"', layers_figure(found))
        for found in (mapped, replace(mapped, graph=graph))
    )

    assert [way.count("Q") for way in plain] == [0, 0]
    assert [way.count("Q") for way in around] == [0, 0, 2]
