"""targets --costs: every constant of the model, with where it comes from."""

from pathlib import Path

import pytest

from snn_deploy.chip.target_file import target_names
from snn_deploy.files.writing import packaged_folder
from tests.cli.conftest import Command


@pytest.mark.parametrize("name", target_names())
def test_every_price_stands_there_with_its_source(command: Command, name: str) -> None:
    result = command("targets", name, "--costs")

    assert result.status == 0
    for text in ("23.6 pJ", "35.5 pJ", "1.70 pJ", "104 mW", "5.94 µJ", "350 µs"):
        assert text in result.out
    for text in ("Davies 2018", "Frady 2020", "Blouw 2019", "no public source"):
        assert text in result.out
    inherited = "no per-event energy of Loihi 2 is public"
    assert (inherited in result.out) == (name != "loihi1")


def test_a_target_without_costs_has_unknown_ones(
    command: Command, tmp_path: Path
) -> None:
    text = (packaged_folder("targets") / "loihi1.toml").read_text(encoding="utf-8")
    path = tmp_path / "bare.toml"
    path.write_text(text[: text.index("[cost.synaptic_operation]")], encoding="utf-8")

    result = command("targets", path, "--costs")

    assert result.status == 0
    assert "23.6 pJ" not in result.out
    assert result.out.count("no public source") > 15


def test_a_misspelled_target_is_refused(command: Command) -> None:
    error = command("targets", "lohi1", "--costs").error()

    assert "did you mean 'loihi1'?" in error


def edited(path: Path, old: str, new: str) -> Path:
    text = (packaged_folder("targets") / "loihi1.toml").read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_check_tells_what_a_right_file_describes_and_leaves_open(
    command: Command, tmp_path: Path
) -> None:
    path = edited(tmp_path / "mine.toml", "[cost.packet]", "[cost.injection]")

    result = command("targets", "--check", path)

    assert result.status == 0
    assert "right; loihi1, 32 chips, 128 neurocores of 1024 compartments" in result.out
    assert "call unknown: packet" in result.out


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("compartments = 1024", "", "[neurocore]: has no 'compartments'; add it"),
        ("compartments = 1024", "compartments = -3", "'compartments' is -3; at least"),
        ("neurocores = 128", "neurocores = 0", "[mesh]: 'neurocores' is 0; at least 1"),
        ("height = 4  # chips", "height = 0", "[board]: 'height' is 0; at least 1"),
        ("index_bits = 10", "index_bits = -1", "'index_bits' is -1; at least 0"),
        ("6, 8]", "6]", "weights have 8 bits"),
        ("[1, 2, 3,", "[3, 2,", "[3, 2, 4, 5, 6, 8]; give whole numbers from 1 to 8"),
        ("[1, 2, 3,", "[1.5, 2,", "give a list of whole numbers"),
        ("[1, 2, 3, 4, 5, 6, 8]", "8", "'weight_formats' is 8; give a list of whole"),
        ("index_bits = 10", "fan_in = 0", "'fan_in' is 0; at least 1 is needed"),
        ("index_bits = 10", "fan_out = -5", "'fan_out' is -5; at least 1 is needed"),
        ("index_bits = 10", "fan_in = 1.5", "'fan_in' is 1.5; give a whole number"),
        (
            "index_bits = 10",
            "fan_inn = 9",
            "unknown key 'fan_inn'; did you mean 'fan_in",
        ),
        ("cost.packet]", "cost.chip_crossin]", "did you mean 'chip_crossing'?"),
        (
            "[cost.packet]\nenergy_pj = 1.7",
            "[cost.chip_crossing]\nenergy_pj = -1.7",
            "[cost.chip_crossing]: 'energy_pj' is -1.7; give a number, 0 or more",
        ),
        ("synapses_per_block = 64", "synapses_per_block = 0", "at least 1 is needed"),
        ("neurons_per_axon = 512", "neurons_per_axon = 0.5", "give a whole number"),
        ("energy_pj = 23.6", "energy_pj = -1", "give a number, 0 or more"),
    ],
)
def test_check_refuses_a_number_that_is_missing_or_cannot_be(
    command: Command, tmp_path: Path, old: str, new: str, words: str
) -> None:
    error = command(
        "targets", "--check", edited(tmp_path / "mine.toml", old, new)
    ).error()

    assert "mine.toml: [" in error
    assert words in error


def test_check_tells_everything_that_is_wrong_at_once(
    command: Command, tmp_path: Path
) -> None:
    path = edited(tmp_path / "mine.toml", "compartments = 1024", "")
    text = path.read_text(encoding="utf-8")
    for old, new in (
        ("index_bits = 10", "index_bits = 1.5"),
        ("energy_pj = 23.6", "energy_pj = -1"),
        ("[cost.access]\nenergy_pj = 52", "[cost.access]\nenergy_pi = 52"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")

    result = command("targets", "--check", path)

    assert result.status == 1
    assert {line.partition("]: ")[2] for line in result.err.splitlines()} == {
        "'index_bits' is 1.5; give a whole number",
        "has no 'compartments'; add it",
        "unknown key 'energy_pi'; did you mean 'energy_pj'?",
        "'energy_pj' is -1; give a number, 0 or more",
    }
