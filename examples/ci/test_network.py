"""Tests of a trained network on the simulated chip; run them with pytest.

The files beside it are yours: ``model.pt`` (snn_deploy.save), ``model.snn`` (compiled
and calibrated), inputs ``test.npz`` and ``few.npz``, and ``spikes.npz``, written by

    snn-deploy compile model.pt --target loihi-sim -o model.snn
    snn-deploy calibrate model.snn --data calib.npz --budget 0.01
    snn-deploy run model.snn --data few.npz --record spikes -o spikes.npz
"""

from pathlib import Path

import pytest

from snn_deploy.profile.profile import Profile
from snn_deploy.testing import (
    assert_accuracy,
    assert_energy,
    assert_fits,
    assert_same_spikes,
    assert_timesteps,
    measure,
)

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def profile() -> Profile:
    return measure(FOLDER / "model.snn", FOLDER / "test.npz")


def test_it_fits() -> None:
    assert_fits(FOLDER / "model.pt", "loihi-sim")


def test_it_is_right(profile: Profile) -> None:
    assert_accuracy(profile, at_least=0.95)


def test_it_answers_early(profile: Profile) -> None:
    assert_timesteps(profile, at_most=1.5)


def test_it_costs_little(profile: Profile) -> None:
    assert_energy(profile, at_most=100e-6)


def test_no_spike_has_changed() -> None:
    assert_same_spikes(FOLDER / "model.snn", FOLDER / "few.npz", FOLDER / "spikes.npz")
