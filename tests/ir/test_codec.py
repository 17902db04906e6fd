"""codec: what data types are called in files depends on no name in the code."""

import typing
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from typing import Any, ClassVar

import pytest

from snn_deploy.artifact import Artifact
from snn_deploy.ir import neurons, scatter
from snn_deploy.ir.codec import CodecError, decode, encode, tag_of
from snn_deploy.ir.graph import Graph

LAYERS = (neurons, scatter)  # all layers are known once these are imported

# files that people have hold these words; a type that is renamed keeps its word as TAG
MODEL_TAGS = (
    "Add AvgPool2d BatchNorm Channels Conv2d ConvTranspose2d Edge Flatten Graph Head "
    "Input Integrator Lif Linear MaxPool2d NamedInput Neuron Node Pool2d Qcfs Relu "
    "SameShape Section SparseLinear Tebn Training Upsample2d"
)
NETWORK_TAGS = (
    "Artifact Barrier Board Calibration Change ConvSynapses Cost DenseSynapses Head "
    "MappedNetwork Mesh NamedInput Neurocore NeurocoreLimits Piece Population "
    "Precision PriceSet Projection QuantizedGraph Source SparseSynapses Target Training"
)


def reachable(kind: Any) -> Iterator[type]:
    """Yield the data types that a value of ``kind`` may hold."""
    if isinstance(kind, type) and is_dataclass(kind):
        yield kind
        for hint in typing.get_type_hints(kind).values():
            yield from reachable(hint)
        for child in kind.__subclasses__():
            if not child.__name__.startswith("_"):  # of one module, never in a file
                yield from reachable(child)
    for part in typing.get_args(kind):
        yield from reachable(part)


@pytest.mark.parametrize(
    ("kind", "tags"), [(Graph, MODEL_TAGS), (Artifact, NETWORK_TAGS)]
)
def test_the_words_in_files_are_those_of_files_that_people_have(
    kind: type, tags: str
) -> None:
    assert {tag_of(found) for found in reachable(kind)} == set(tags.split())


@dataclass(frozen=True)
class Renamed:
    TAG: ClassVar[str] = "Old"

    value: int


def test_a_renamed_type_keeps_its_word() -> None:
    data = encode(Renamed(3), {})

    assert data == {"type": "Old", "value": 3}
    assert decode(Renamed, data, {}) == Renamed(3)


def test_a_name_of_the_code_is_not_taken_for_the_word() -> None:
    with pytest.raises(CodecError, match="'Renamed' is not of type Renamed"):
        decode(Renamed, {"type": "Renamed", "value": 3}, {})
