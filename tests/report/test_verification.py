"""verification: the section on float against integers."""

from dataclasses import replace

from snn_deploy.profile.summary import summarize
from snn_deploy.report.html import render
from snn_deploy.report.verification import verification_section
from snn_deploy.verify.causes import Parting
from snn_deploy.verify.differences import Difference
from snn_deploy.verify.result import Accuracy, Fault, LayerReport, Verification
from tests.report.profiles import profile
from tests.report.reading import Reader

FIRST = Parting(
    timestep=2, input=7, neuron=(1, 4, 5), voltages=(0.25, -0.5), spikes=(1, 0)
)
LAYER = LayerReport(
    layer="hidden",
    shape=(2, 6, 6),
    spikes=True,
    differing=0.02,
    by_parameters=0.015,
    by_arithmetic=0.005,
    differing_alone=0.01,
    first=FIRST,
    inherited_from="stem",
    first_alone=FIRST,
    causes=("weights",),
    reproduced={"weights": 0.9, "bias": 0.1, "exponent": 0.001},
    saturations=1234,
    wraps=0,
)
NEVER = replace(
    LAYER, layer="out", differing=0.0, first=None, first_alone=None, causes=(),
    reproduced={}, inherited_from=None,
)  # fmt: skip
GAIN = {"mean": 0.01, "low": -0.02, "high": 0.04}
FOUND = Verification(
    errors=(),
    network="net",
    target="chip",
    n_inputs=40,
    timesteps=8,
    has_labels=True,
    differences=(),
    faults=(),
    layers=(LAYER, NEVER),
    forms=(
        Accuracy(form="float", accuracy=0.99, gain=GAIN),
        Accuracy(form="chip", accuracy=0.98, gain={**GAIN, "mean": 0.0}),
    ),
    restored=(Accuracy(form="hidden in float", accuracy=0.985, gain=GAIN),),
    lava=None,
    notes=(),
)
DIFFERENCE = Difference(
    layer="<b>", parameter="threshold", index=(3,), found="7", expected="8"
)
WRONG = replace(
    FOUND,
    differences=(DIFFERENCE,),
    faults=(Fault(layer="<b>", causes=("threshold",), first=FIRST),),
)


def test_the_section_says_where_layers_part_and_why() -> None:
    text = Reader(verification_section(FOUND)).text

    assert "The integers are exactly what the model compiles to." in text
    assert "2, 7, 1 4 5" in text
    assert "inherited from stem; alone: weights (90 %), bias (10 %)" in text
    assert "exponent (" not in text
    assert "never" in text
    assert "1,234" in text
    assert "+1.0 points" in text


def test_each_layer_has_a_bar_the_longest_of_the_largest_share() -> None:
    section = verification_section(FOUND)

    assert section.count("--share: 100.0%") == 1
    assert section.count("--share: 0.0%") == 1


def test_faults_are_listed_and_their_names_are_only_text() -> None:
    section = verification_section(WRONG)

    reader = Reader(section)
    assert (
        "not what the model compiles to. Parameters that differ: 1; layers"
        in reader.text
    )
    assert "<b>: threshold [3] is 7, expected 8" in reader.text
    assert "b" not in reader.tags


def test_the_page_with_it_is_well_formed() -> None:
    text = render(profile(), summarize(profile()), WRONG)

    reader = Reader(text)
    assert not reader.open
    assert "Float against integers" in reader.text
