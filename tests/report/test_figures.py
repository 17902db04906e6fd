"""figures: pictures with captions, or a sentence where there is nothing to draw."""

import re

from snn_deploy.profile.profile import Profile
from snn_deploy.profile.summary import summarize
from snn_deploy.report.figures import figures
from tests.report.profiles import CASES, early_rows, fixed_rows, profile, without_cutoff
from tests.report.reading import words


def drawn(profiled: Profile) -> str:
    return figures(profiled, summarize(profiled))


def test_every_picture_has_words() -> None:
    text = drawn(profile())

    pictures = re.findall("<figure>.*?</figure>", text, flags=re.DOTALL)
    assert len(pictures) == 4
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
    assert "neurocores static reset Modelled" in text
