"""chip: every neurocore with its limits, every loss, what neurons do."""

from dataclasses import replace

import numpy as np

from snn_deploy.profile.loads import Loads
from snn_deploy.report.chip import network_on_chip
from tests.report.profiles import network
from tests.report.reading import words

LOADS = Loads(
    packets=np.array([12.5]),
    sent=np.array([6.0]),
    injected=np.array([4.0]),
    busy_s=np.array([3e-6]),
)


def test_network_and_losses_are_listed() -> None:
    text = words(network_on_chip(network(), LOADS))

    assert "Neurocores in use: 1 of 128" in text
    assert "hidden (4), out (3)" in text
    assert "compartments of 8,192" in text
    assert "160 " in text  # synapse bits
    assert "12.5 4 3.00 µs" in text
    assert "round weights 7 0.5 0.25" in text
    assert "an answer is 2 chip timesteps behind its input" in text
    assert "Read-out, population out: spikes counted, sum over 6 timesteps" in text


def test_lossless_network_says_so() -> None:
    text = words(network_on_chip(network(changes=()), LOADS))

    assert "Nothing was lost" in text


def test_chips_are_counted() -> None:
    mapped = network()
    far = replace(mapped.cores[0], index=0, x=9, pieces=mapped.cores[0].pieces[:1])
    here = replace(mapped.cores[0], pieces=mapped.cores[0].pieces[1:])
    one, none = np.ones(2), np.zeros(2)
    loads = Loads(packets=one, sent=none, injected=none, busy_s=one)

    text = words(network_on_chip(replace(mapped, cores=(here, far)), loads))

    assert "Neurocores in use: 2 on 2 chips of 128" in text
