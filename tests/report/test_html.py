"""html: one page that is well-formed, complete, and needs nothing else."""

import re
from dataclasses import replace

import pytest

from snn_deploy.artifact import pack
from snn_deploy.profile.profile import Profile
from tests.build import simulator
from tests.report.profiles import CASES, network, page, profile
from tests.report.reading import Reader


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_page_is_well_formed_and_needs_nothing_else(case: Profile) -> None:
    text = page(case)

    reader = Reader(text)
    assert text.startswith("<!DOCTYPE html>")
    assert not reader.open
    assert len(reader.ids) == len(set(reader.ids))
    assert {"link", "img", "iframe"}.isdisjoint(reader.tags)
    assert reader.tags.count("script") == 2  # the data, and what sorts them
    assert all(link.startswith("#") for link in reader.links)
    assert {link[1:] for link in reader.links} <= set(reader.ids)
    assert not re.search(r"url\((?!#|data:)|@import|https?:(?!//www.w3.org)", text)
    assert not re.search(r"\b(nan|None)\b", reader.text)


def test_same_profile_gives_the_same_bytes() -> None:
    assert page(profile()) == page(profile())


def test_colors_are_the_style_sheet_s() -> None:
    found = re.findall("<svg.*?</svg>", page(profile()), flags=re.DOTALL)
    drawings = "".join(drawing for drawing in found if "Map of" not in drawing)

    assert "var(--early)" in drawings
    assert not re.findall(r"#[0-9a-f]{6}\b", drawings)


def test_hostile_names_are_only_text() -> None:
    hostile = "<script>alert('x')</script>\"&"
    target = replace(
        simulator(), name=hostile, description=hostile, energy_note=hostile
    )
    artifact = pack(network(target, name=hostile))

    text = page(profile(artifact=artifact, backend=hostile, unknown=(hostile,)))

    reader = Reader(text)
    assert reader.tags.count("script") == 2
    assert "<script>alert" not in text
    assert reader.text.count(hostile) >= 5
