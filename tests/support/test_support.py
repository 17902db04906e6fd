"""docs/support.md says what the cases of its columns came to."""

import importlib
from pathlib import Path

import pytest

from snn_deploy.errors import ModelError
from tests.support.table import (
    COLUMNS,
    PATH,
    ROWS,
    cells_of,
    outcome,
    parse,
    render,
)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_says_what_its_cases_came_to(
    column: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cases = importlib.import_module(f"tests.support.{COLUMNS[column]}").CASES
    known = [row for rows in ROWS.values() for row in rows]
    assert set(cases) <= set(known)

    found = cells_of(column, cases, tmp_path)

    page = PATH.read_text(encoding="utf-8") if PATH.is_file() else ""
    written = parse(page)
    if request.config.getoption("--update-golden"):
        others = {k: v for k, v in written.items() if k[1] != column}
        PATH.write_text(render({**others, **found}), encoding="utf-8")
        return
    assert found == {k: v for k, v in written.items() if k[1] == column}, (
        "docs/support.md differs; if it should, run pytest tests/support "
        "--update-golden and read the diff"
    )


def test_the_page_is_written_by_nobody_else() -> None:
    page = PATH.read_text(encoding="utf-8")

    assert render(parse(page)) == page


def test_a_refusal_becomes_its_reason(tmp_path: Path) -> None:
    def refuse(folder: Path) -> None:
        raise ModelError("conv1: stride is 3,\n which cannot be; use 2")

    assert outcome(refuse, tmp_path) == "stride is 3, which cannot be"
    assert outcome(lambda folder: None, tmp_path) == "yes"


def test_a_wrong_result_is_no_refusal(tmp_path: Path) -> None:
    def differ(folder: Path) -> None:
        raise AssertionError("spikes differ")

    with pytest.raises(AssertionError):
        outcome(differ, tmp_path)
