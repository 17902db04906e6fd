"""sources: every price with its source, and what has none."""

import re

from snn_deploy.profile.profile import Profile
from snn_deploy.profile.summary import summarize
from snn_deploy.report.sources import how_known
from tests.build import simulator
from tests.report.profiles import profile
from tests.report.reading import words


def known(profiled: Profile) -> str:
    return words(how_known(simulator(), summarize(profiled)))


def test_every_price_has_its_source() -> None:
    text = known(profile(unknown=("time of injection",)))

    for _, cost in simulator().costs:
        assert re.sub(r"\s+", " ", cost.source) in text
    assert simulator().energy_note[1:] in text
    assert "left out of every sum" in text
    assert "time of injection" in text


def test_complete_prices_leave_nothing_unknown() -> None:
    assert "nothing: every event has a price." in known(profile())
