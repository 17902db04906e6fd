"""closeups: gap, threshold, stop and spikes of an input are where they belong."""

import re
from dataclasses import replace

import numpy as np
import pytest

from snn_deploy.profile.closeups import Closeups
from snn_deploy.profile.profile import Profile
from snn_deploy.report.closeups import LEFT, WIDTH, betas, closeups, drawing
from snn_deploy.report.sprite import sprite
from tests.report.closeups import closeup
from tests.report.closeups import closeups as by_hand
from tests.report.profiles import (
    N_TIMESTEPS,
    calibrated,
    network,
    profile,
    without_cutoff,
)
from tests.report.reading import words


def section(profiled: Profile, found: Closeups | None = None) -> str:
    found = by_hand() if found is None else found
    return closeups(profiled, found, sprite(found))


def test_cards_say_what_became_of_their_input() -> None:
    text = words(section(profile()))

    taken = "SVG PNG CSV"
    facts = "label 1, answer 1 (right), 1 timestep, 10.0 µJ, 1.00 ms"
    assert f"Input 0 {taken} {facts}" in text
    assert f"Input 20 {taken} label 1, answer 1 (right), 3 timesteps, 30.0 µJ" in text
    assert "hidden (dense, 4): 180 spikes; 4 of 40 neurons" in text
    assert "dashed: the threshold beta" in text


def test_the_stop_is_in_the_column_of_its_timestep() -> None:
    x = float(re.findall(r'd="M([\d.]+) [\d.]+V98" class="stop"', drawn(position=2))[0])

    assert x == pytest.approx(LEFT + WIDTH * 2.5 / N_TIMESTEPS, abs=0.1)


def test_gaps_are_drawn_to_scale() -> None:
    points = re.findall(r'd="M([^"]*)" class="gap"', drawn())[0].split("L")
    heights = [float(point.split()[1]) for point in points]

    assert len(points) == N_TIMESTEPS
    np.testing.assert_allclose(np.diff(heights), np.diff(heights)[0], atol=0.11)
    assert heights[0] > heights[-1]


def test_large_gaps_are_written_short() -> None:
    large = replace(closeup(0), gaps=200_000 * np.arange(N_TIMESTEPS))

    assert ">1.00 M<" in drawing(profile(), large)


def test_spikes_are_where_they_happened() -> None:
    runs = re.findall(r"M([\d.]+) (\d+)\.5h([\d.]+)", drawn())

    assert [
        (round(float(a)), int(neuron), round(float(n))) for a, neuron, n in runs
    ] == [(i, i, N_TIMESTEPS - i) for i in range(4)]


@pytest.mark.parametrize("rule", ["risk", "topk"])
def test_thresholds_on_the_gap_are_drawn(rule: str) -> None:
    values = np.array([np.inf, 3.0, 3.0, 2.0, 2.0, 2.0])
    artifact = calibrated(network(), rule=rule, betas=values)
    found = profile(artifact=artifact)

    np.testing.assert_array_equal(betas(found), values)
    limits = re.findall(r'd="([^"]*)" class="beta"', drawing(found, closeup(0)))[0]
    assert limits.count("M") == 5


def test_thresholds_of_other_scores_are_not() -> None:
    entropy = calibrated(network(), score="entropy")

    assert not len(betas(profile(artifact=entropy)))
    assert not len(betas(without_cutoff()))
    assert "beta" not in words(section(profile(artifact=entropy)))
    assert 'class="stop"' not in drawing(without_cutoff(), closeup(0))


def drawn(position: int = 0) -> str:
    return drawing(profile(), closeup(position))
