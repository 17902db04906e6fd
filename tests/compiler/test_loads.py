"""loads: layers of few bits take the memory of few, where the target stores them so."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import IntArray
from snn_deploy.chip.target import Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.map.partition import partition
from snn_deploy.errors import TargetError
from tests.build import dense, integers, population, rng, simulator

LOIHI = read_target("loihi1")


def stored(*formats: int, **precision: Any) -> Target:
    target = simulator()
    return replace(
        target,
        neurocore=replace(target.neurocore, weight_formats=formats),
        precision=replace(target.precision, **precision),
    )


def of_bits(n: int) -> IntArray:
    """Return weights of all values that ``n`` bits have."""
    step = 1 << (9 - n)
    return np.arange(-256, 256, step)[np.newaxis]


@pytest.mark.parametrize(
    ("n", "bits"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 8), (8, 8)]
)
def test_loihi_1_stores_the_fewest_bits_that_hold_all_weights(
    n: int, bits: int
) -> None:
    assert LOIHI.stored_bits(of_bits(n)) == bits


def test_without_formats_every_layer_has_the_bits_of_the_precision() -> None:
    assert stored(weight_bits=7).stored_bits(of_bits(2)) == 7


def test_odd_weights_of_one_sign_take_all_bits() -> None:
    assert LOIHI.stored_bits(np.array([[1, 255]])) == 8


def test_of_a_layer_of_zeros_nothing_is_known() -> None:
    assert LOIHI.stored_bits(np.zeros((3, 2), np.int64)) == 8


def test_every_layer_takes_the_memory_of_its_own_bits() -> None:
    draw = rng(1)
    layers = [population("few", (4,), offset=1), population("full", (6,), offset=2)]
    graph = integers(
        layers,
        [
            dense("input", "few", 64 * draw.integers(-4, 4, (4, 5))),
            dense("few", "full", 2 * draw.integers(-128, 128, (6, 4)) | 2),
        ],
        shape=(5,),
    )

    def bits(target: Target) -> list[int]:
        return [piece.synapse_bits for piece in partition(graph, target).pieces]

    assert bits(stored(3, 8)) == [4 * 5 * 3, 6 * 4 * 8]
    assert bits(stored()) == [4 * 5 * 8, 6 * 4 * 8]


@pytest.mark.parametrize("formats", [(3, 2), (2, 2), (0, 8), (8, 9), (4.0, 8)])
def test_formats_that_cannot_be_are_refused(formats: tuple[int, ...]) -> None:
    with pytest.raises(TargetError, match="give whole numbers from 1 to 8, ascending"):
        stored(*formats)


def test_formats_that_hold_not_all_bits_are_refused() -> None:
    with pytest.raises(
        TargetError, match=r"ends at 6, but weights have 8 bits .*; add 8"
    ):
        stored(2, 6)
