"""figures: pictures with captions, or a sentence where there is nothing to draw."""

import re

import numpy as np

from snn_deploy.profile.fixed import FixedCosts
from snn_deploy.profile.profile import Profile
from snn_deploy.profile.summary import summarize
from snn_deploy.report.figures import figures
from snn_deploy.report.front import points_of, unbeaten
from tests.report.profiles import CASES, early_rows, fixed_rows, profile, without_cutoff
from tests.report.reading import words


def drawn(profiled: Profile) -> str:
    return figures(profiled, summarize(profiled))


def test_every_picture_has_words() -> None:
    text = drawn(profile())

    pictures = re.findall("<figure>.*?</figure>", text, flags=re.DOTALL)
    assert len(pictures) == 7
    for picture in pictures:
        assert re.search(r'<svg role="img" aria-label="[^"]+"', picture)
        assert "<figcaption>" in picture


def test_captions_say_what_is_seen() -> None:
    text = words(drawn(profile()))

    assert "30 of 30 inputs stop before timestep 6; the mean is 2." in text
    assert "80.0 % at the first, 100.0 % at the last" in text
    assert "Diamond: the cutoff, 96.7 % at a mean of 2 timesteps" in text
    assert "with the cutoff 20.0 µJ; all timesteps 60.0 µJ" in text


def test_what_cannot_be_drawn_is_said() -> None:
    assert "No cutoff: every input took 6 timesteps." in words(drawn(without_cutoff()))
    assert "Unknown: the data have no labels." in words(drawn(CASES["no labels"]))
    no_prices = words(drawn(CASES["no prices"]))
    assert "Unknown: the target has no public price of energy." in no_prices


def test_parts_left_out_are_named() -> None:
    unknown = {f"energy_embedded_{end}": None for end in ("low_j", "j", "high_j")}
    few = profile(rows=early_rows(9, **unknown), fixed_rows=fixed_rows(9, **unknown))

    text = words(drawn(few))

    assert "Unknown, and left out: embedded." in text
    drawing = drawn(few).split('aria-label="Energy of an input, by part"')[1]
    keys = re.findall(r">(neurocores|mesh|static|reset|embedded)</text>", drawing)
    assert keys == ["neurocores", "static", "reset"]


def test_the_front_holds_the_ways_that_nothing_beats() -> None:
    points = points_of(profile())

    assert [p.text for p in points] == [
        "with cutoff, one by one", "6 timesteps, one by one", "6 timesteps, streamed"
    ]  # fmt: skip
    front = [p.text for p in unbeaten(points)]
    assert front[0] == "with cutoff, one by one"  # the cheapest, not the most right
    assert len(front) == 2


def test_fixed_timesteps_that_were_not_measured_on_all_inputs_say_on_how_many() -> None:
    costs = FixedCosts(
        n_inputs=5,
        timesteps=np.array([1, 6]),
        serial=np.array([1e-5, 7e-5]),
        streamed=np.array([np.nan, 6e-5]),
    )

    points = {p.text: p for p in points_of(profile(at_fixed=costs))}

    assert len(points) == 4  # an energy that is unknown is nowhere
    one = points["1 timestep, one by one"]
    assert (one.n_inputs, one.accuracy, one.energy_j) == (5, 0.8, 1e-5)
    assert points["6 timesteps, one by one"].n_inputs == 30  # measured on all
    text = words(drawn(profile(at_fixed=costs)))
    assert "no schedule above are means of 5 inputs" in text


def test_accuracy_and_activity_are_those_of_the_rows() -> None:
    text = words(drawn(profile()))

    assert "Lowest: class 1, 96.7 % of 30 inputs." in text
    assert "Layers that share a neurocore are counted together." in text
