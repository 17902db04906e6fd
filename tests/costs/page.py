"""docs/costs.md: its tables are what the tests find."""

from pathlib import Path

import pytest

PATH = Path(__file__).parent.parent.parent / "docs" / "costs.md"


def check_page(name: str, table: str, request: pytest.FixtureRequest) -> None:
    """Hold the table called ``name`` to ``table``; write it with --update-golden."""
    text = PATH.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, rest = text.split(begin)
    _, after = rest.split(end)
    wanted = f"{before}{begin}{table}\n{end}{after}"
    if request.config.getoption("--update-golden"):
        PATH.write_text(wanted, encoding="utf-8")
        text = wanted
    assert text == wanted
