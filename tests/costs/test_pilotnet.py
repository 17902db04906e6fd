"""PilotNet LIF: the counts that the anchors rest on are those of the chip."""

import numpy as np
import pytest

from snn_deploy.chip.events import ACCESS, FIRE, SYNAPTIC_OPERATION
from tests.conformance.test_recorded_traces import NEEDS_SHARED
from tests.costs.pilotnet import COUNTS, as_text, counted, on_74_neurocores, recorded

# Of the notebook's "Per core distribution": neurons of a neurocore, neurocores. Those
# at the edge hold fewer here; there they compute padding as well.
DISTRIBUTION = {
    "0": (3168, 13), "1": (3072, 25), "2": (2160, 13), "3": (2688, 3), "4": (2048, 3),
    "5": (2048, 2), "7": (9, 12), "8": (50, 1), "9": (10, 1), "10": (1, 1),
}  # fmt: skip
# thousands, of a neurocore and timestep, as its plot of activity shows them
PLOTTED_OPERATIONS = {"2": 131, "3": 151, "4": 52, "5": 51}


@NEEDS_SHARED
def test_recorded_counts_are_those_of_the_network(
    request: pytest.FixtureRequest,
) -> None:
    text = as_text(counted(on_74_neurocores()))

    if request.config.getoption("--update-golden"):
        COUNTS.write_text(text, encoding="utf-8")
    assert COUNTS.read_text(encoding="utf-8") == text


def test_the_neurocores_are_those_of_the_notebook() -> None:
    frame = recorded()

    found = {
        name: (frame.of(name)[..., ACCESS].max(), frame.of(name).shape[1])
        for name in dict.fromkeys(frame.layers)
    }
    assert found == DISTRIBUTION
    assert len(frame.layers) == 74


def test_the_busiest_neurocore_of_a_layer_does_what_the_chip_counted() -> None:
    frame = recorded()

    for layer, thousands in PLOTTED_OPERATIONS.items():
        busiest = frame.of(layer)[..., SYNAPTIC_OPERATION].mean(axis=0).max()
        assert busiest / 1000 == pytest.approx(thousands, rel=0.015)
    spikes = [frame.of(name)[..., FIRE].sum() / 16 for name in "12345"]
    np.testing.assert_allclose(spikes, [26928, 6248, 840, 433, 146], atol=0.6)
