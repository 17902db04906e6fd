"""picture_files: each picture of the report, as a file that stands for itself."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from snn_deploy.profile.profile import Profile
from snn_deploy.report.picture_files import write_pictures
from tests.report.closeups import closeups
from tests.report.profiles import CASES, profile, without_cutoff

SVG = "{http://www.w3.org/2000/svg}"
CLOSE = ["input-0.svg", "input-10.svg", "input-20.svg", "map.svg"]
ENERGY = ["energy_inputs.svg", "energy_parts.svg"]


def written(found: Profile, folder: Path) -> list[str]:
    write_pictures(found, closeups(), folder)
    return sorted(path.name for path in (folder / "pictures").iterdir())


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (profile(), ["accuracy.svg", *ENERGY, "timesteps.svg"]),
        (without_cutoff(), ["accuracy.svg", *ENERGY]),
        (CASES["no labels"], [*ENERGY, "timesteps.svg"]),
        (CASES["no prices"], ["accuracy.svg", "timesteps.svg"]),
    ],
)
def test_what_the_report_shows_is_written(
    found: Profile, names: list[str], tmp_path: Path
) -> None:
    assert written(found, tmp_path) == sorted([*names, *CLOSE])


def test_files_need_no_style_sheet(tmp_path: Path) -> None:
    for name in written(profile(), tmp_path):
        text = (tmp_path / "pictures" / name).read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)

        assert root.tag == f"{SVG}svg"
        assert len(list(root.iter(f"{SVG}path"))) > 0
        assert "var(--" not in text
    assert "#0068a8" in (tmp_path / "pictures" / "timesteps.svg").read_text(
        encoding="utf-8"
    )


def test_pictures_of_an_earlier_profile_are_gone(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "input-77.svg").write_text("old")
    (folder / "notes.txt").write_text("mine")

    names = written(without_cutoff(accuracy_at=np.zeros(0)), tmp_path)

    assert names == sorted([*ENERGY, *CLOSE, "notes.txt"])
