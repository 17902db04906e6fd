"""docs/profile.md says what the files of a profile hold."""

import pytest

from tests.profile.page import PATH, render


def test_the_page_is_up_to_date(request: pytest.FixtureRequest) -> None:
    text = render()

    if request.config.getoption("--update-golden"):
        PATH.write_text(text, encoding="utf-8")
    assert PATH.read_text(encoding="utf-8") == text
