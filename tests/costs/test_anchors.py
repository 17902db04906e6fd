"""The anchors: each modelled value lies where docs/costs.md says."""

import pytest

from snn_deploy.chip.target import CENTRAL
from tests.costs.anchors import ANCHORS, Anchor, summary, table
from tests.costs.page import check_page


@pytest.mark.parametrize("anchor", ANCHORS, ids=lambda anchor: anchor.what)
def test_the_model_is_as_far_from_silicon_as_it_is_said_to_be(anchor: Anchor) -> None:
    least, most = anchor.off

    found = anchor.off_by(float(anchor.band[CENTRAL]))

    assert least <= found <= most
    assert sorted(anchor.band) == [*anchor.band]


def test_the_table_of_the_anchors_is_up_to_date(request: pytest.FixtureRequest) -> None:
    check_page("anchors", f"{table()}\n\n{summary()}", request)
