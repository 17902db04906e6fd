"""inputs: the table's data are the profile's, and it is bounded."""

import json
import re
from typing import Any

import numpy as np
import pytest

from snn_deploy.profile.profile import Profile
from snn_deploy.report import inputs as module
from snn_deploy.report.input_columns import RESULTS, Column, results
from snn_deploy.report.inputs import PAGE_ROWS, inputs
from snn_deploy.report.sprite import sprite
from tests.report.closeups import closeups
from tests.report.profiles import (
    CASES,
    changed,
    early_rows,
    fixed_rows,
    profile,
    row,
    without_cutoff,
)
from tests.report.reading import words


def section(profiled: Profile) -> str:
    return inputs(profiled, sprite(closeups()), frozenset({0}))


def data(profiled: Profile) -> dict[str, Any]:
    found = re.findall(r'id="data">(.*?)</script>', section(profiled))[0]
    parsed: dict[str, Any] = json.loads(found)
    return parsed


def values(profiled: Profile, key: str) -> list[Any]:
    columns = {column["key"]: column for column in data(profiled)["columns"]}
    found: list[Any] = columns[key]["values"]
    return found


def test_data_are_the_profile_s() -> None:
    found = profile()

    assert values(found, "index") == list(range(30))
    assert values(found, "energy")[:3] == [10.0, 20.0, 30.0]
    assert values(found, "static")[:3] == [3.0, 6.0, 9.0]
    assert values(found, "timesteps") == found.rows.column("timesteps").tolist()
    assert values(found, "full") == [1] * 30
    assert data(found)["subsets"]["wrong"] == [29]
    assert data(found)["subsets"]["changed"] == [29]
    assert data(found)["subsets"]["late"] == []
    assert data(found)["close"] == [0]


def test_the_first_page_is_there_without_a_script() -> None:
    text = words(section(profile()))

    assert "input label given answer measured at all timesteps measured" in text
    assert "energy µJ, modelled" in text
    assert " 2 1 1 1 right 30.0 12.0 9.00 3.00 6.00 3.00 3 6 300 3,000 " in text
    assert text.count(" right ") + text.count(" lost by stopping ") == PAGE_ROWS


def test_answers_lost_by_stopping_are_told_from_other_wrong_ones() -> None:
    early = [row(0, 1), row(1, 1, prediction=2), row(2, 1, prediction=2)]
    full = [row(0, 6), row(1, 6), row(2, 6, prediction=2)]

    found = profile(3, rows=early, fixed_rows=full)

    assert [RESULTS[i] for i in results(found)] == [
        "right", "lost by stopping", "wrong"
    ]  # fmt: skip
    assert {RESULTS[i] for i in results(CASES["no labels"])} == {"no label"}


def test_unknown_costs_are_null_and_do_not_sort() -> None:
    found = CASES["no prices"]

    assert values(found, "energy") == [None] * 30
    assert data(found)["by"] == "latency"
    assert data(found)["parts"] == []
    assert 'id="strip"' not in section(found)
    assert "Energies are unknown" in words(section(found))
    assert "unknown" in words(section(found))


def test_parts_without_a_price_are_left_out_and_named() -> None:
    unknown = {f"energy_embedded_{end}": None for end in ("low_j", "j", "high_j")}
    rows = early_rows(3, **unknown)
    found = profile(3, rows=[changed(r, energy_reset_j=1e-9) for r in rows])

    assert data(found)["parts"] == ["neurocores", "static", "reset"]
    assert values(found, "neurocores")[:3] == [4.0, 8.0, 12.0]
    assert values(found, "reset")[:3] == [0.001] * 3
    assert re.findall(r"(neurocores|static|reset)<small>(\w+), ", section(found)) == [
        ("neurocores", "µJ"), ("static", "µJ"), ("reset", "µJ")
    ]  # fmt: skip
    assert "Unknown, and left out: embedded. Highest:" in words(section(found))


@pytest.mark.parametrize("case", CASES)
def test_every_case_has_a_table(case: str) -> None:
    found = data(CASES[case])

    n = len(CASES[case].rows)
    assert all(len(column["values"]) == n for column in found["columns"])
    assert len(found["subsets"]["all"]) == n


def test_without_labels_or_cutoff_nothing_refers_to_them() -> None:
    assert {*data(CASES["no labels"])["subsets"]} == {"all", "changed", "late"}
    assert {*data(without_cutoff())["subsets"]} == {"all", "wrong"}


def test_of_too_many_inputs_those_worth_a_look_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 4)
    found = profile()

    text = words(section(found))

    assert "Of 30 inputs the 4 most worth a look are here." in text
    assert 29 in values(found, "index")  # the wrong one
    assert len(values(found, "index")) == 4


def test_costs_keep_five_digits() -> None:
    exact = early_rows(3, energy_neurocores_j=1.23456789e-5)

    assert values(profile(3, rows=exact), "neurocores") == [12.346] * 3


def test_hostile_text_cannot_end_the_data() -> None:
    assert "<" not in re.findall(r'id="data">(.*?)</script>', section(profile()))[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(59.34, "59.3"), (0.00123456, "0.00123"), (250.0, "250"), (3.0, "3.00"),
     (0.0, "0.00"), (1293.0, "1,290"), (9.996, "10.0"), (float("nan"), "unknown")],
)  # fmt: skip
def test_costs_have_three_digits(value: float, text: str) -> None:
    column = Column(
        key="a", name="a", note="J, modelled", values=np.array([value]), is_cost=True
    )

    assert column.text(0) == text


def test_counts_have_all_their_digits() -> None:
    column = Column(key="a", name="a", note="measured", values=np.array([1293, 7]))

    assert [column.text(row) for row in range(2)] == ["1,293", "7"]


def test_changed_answers_need_no_labels() -> None:
    rows = early_rows(3, label=None)
    found = profile(
        3,
        rows=(changed(rows[0], prediction=0), *rows[1:]),
        fixed_rows=fixed_rows(3, label=None),
    )

    assert data(found)["subsets"]["changed"] == [0, 2]
