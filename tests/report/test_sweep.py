"""sweep: the picture shows the front, has a title, and keeps its words inside."""

import re
from pathlib import Path
from typing import Any

from snn_deploy.report.sweep import COLUMNS, write_sweep


def outcome(
    accuracy: float, energy_j: float | None, refusal: str = ""
) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(COLUMNS, 0)
    del found["way"], found["is_unbeaten"]
    found |= {"mean_squared_error": None, "mean_absolute_error": None}
    numbers = {"accuracy": accuracy, "energy_j": energy_j, "mean_timesteps": 2.0}
    return {**found, **numbers, "target": "loihi-sim", "refusal": refusal}


def picture(folder: Path, *outcomes: dict[str, Any]) -> str:
    write_sweep(outcomes, [True] * len(outcomes), folder)
    return (folder / "sweep.svg").read_text(encoding="utf-8")


def test_the_picture_has_a_title_a_front_and_numbered_ways(tmp_path: Path) -> None:
    ways = outcome(0.9, 2e-5), outcome(0.95, 4e-5), outcome(0.93, 5e-5)

    drawn = picture(tmp_path, *ways, outcome(0, 0, "too large"))

    assert (
        "Accuracy against energy: 3 ways, numbered as in sweep.csv; 1 cannot" in drawn
    )
    assert "front: nothing is as good for less energy" in drawn
    front = re.findall(r'<path d="([^"]*)"[^>]*stroke: #dcdcd7', drawn)[0]
    assert len(re.findall("[ML]", front)) == 3  # two ways and the corner between them
    anchors = re.findall(r"text-anchor: end[^>]*>(\d)</text>", drawn)
    assert anchors == ["2", "3"]  # in the right half, and written to their left


def test_without_prices_and_without_ways_there_is_a_picture(tmp_path: Path) -> None:
    assert "mean timesteps" in picture(tmp_path, outcome(0.9, None))
    assert "0 ways" in picture(tmp_path, outcome(0, 0, "too large"))


def test_of_errors_the_front_is_the_lowest(tmp_path: Path) -> None:
    ways = [
        {**outcome(0, energy), "accuracy": None, "mean_squared_error": error}
        for energy, error in ((2e-5, 0.5), (4e-5, 0.1), (5e-5, 0.3))
    ]

    drawn = picture(tmp_path, *ways)

    assert "Error against energy: 3 ways" in drawn
    front = re.findall(r'<path d="([^"]*)"[^>]*stroke: #dcdcd7', drawn)[0]
    heights = [float(y) for y in re.findall(r"[ML] \S+ (\S+)", front)]
    assert len(heights) == 3
    assert heights[-1] > heights[0]  # lower in the picture
