from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snn_deploy.chip.target import (
    FAMILY,
    OTHER_COSTS,
    PRICED_EVENTS,
    Barrier,
    Cost,
    Target,
    band_of,
)
from snn_deploy.chip.target_file import read_target, target_from_table, target_names
from snn_deploy.errors import TargetError
from snn_deploy.files.writing import packaged_folder

Table = dict[str, Any]


def table() -> Table:
    """Return the smallest table that is a target."""
    return {
        "name": "tiny",
        "description": "a chip for tests",
        "neurocore": {
            "compartments": 4,
            "synaptic_memory_bits": 1024,
            "input_axons": 8,
            "output_axons": 8,
            "shares_kernels": True,
            "source": "made up",
        },
        "mesh": {
            "neurocores": 4,
            "neurocores_per_tile": 2,
            "height": 1,
            "width": 2,
            "source": "made up",
        },
        "precision": {
            "weight_bits": 8,
            "weight_exponent_min": -8,
            "weight_exponent_max": 7,
            "accumulator_bits": 24,
            "current_decay_offset": 1,
            "current_decay_min": 0,
            "delay_max": 62,
            "soft_reset": True,
            "graded_spikes": True,
            "per_neuron_parameters": True,
            "source": "made up",
        },
        "barrier": {
            "tiles": [1, 2],
            "time_ns": [10, 20],
            "time_high_ns": [100, 200],
            "source": "made up",
        },
        "cost": {"fire": {"energy_pj": 2, "time_ns": 3, "source": "made up"}},
    }


def tiny() -> Target:
    return target_from_table(table(), "tiny.toml")


# files that come along


@pytest.mark.parametrize("name", target_names())
def test_every_target_is_whole_and_sourced(name: str) -> None:
    target = read_target(name)

    assert target.name == name
    assert target.description
    for part in (target.neurocore, target.mesh, target.precision, target.barrier):
        assert part.source
    for cost, price in target.costs:
        assert cost in (*PRICED_EVENTS, *OTHER_COSTS)
        assert price.source


def test_a_file_of_ones_own_is_read_by_its_path(tmp_path: Path) -> None:
    text = (packaged_folder("targets") / "loihi2.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('name = "loihi2"', 'name = "mine"'), encoding="utf-8")

    target = read_target(str(path))

    assert target.name == "mine"
    assert target.precision == read_target("loihi2").precision


def test_targets_that_come_along_can_be_listed() -> None:
    assert target_names() == ["loihi-sim", "loihi1", "loihi2", "loihi2-netx"]


@pytest.mark.parametrize("other", ["loihi-sim", "loihi2-netx"])
def test_other_forms_of_loihi_2_cost_what_it_costs(other: str) -> None:
    simulated, chip = read_target(other), read_target("loihi2")

    for name in ("barrier", "costs", "price_set", "price_sets", "energy_note"):
        assert getattr(simulated, name) == getattr(chip, name)
    assert not chip.neurocore.reads_zeros
    assert not simulated.neurocore.reads_zeros


# units


def test_numbers_are_converted_to_si_units_where_the_file_is_read() -> None:
    price = tiny().cost("fire")

    assert price.energy_j == pytest.approx(2e-12)
    assert price.time_s == pytest.approx(3e-9)
    assert tiny().barrier.time_s == pytest.approx((10e-9, 20e-9))


def test_without_an_upper_end_the_band_is_the_central_value() -> None:
    price = tiny().cost("fire")

    assert price.energy_high_j == price.energy_j
    assert price.time_high_s == price.time_s


def test_a_price_that_nobody_gives_is_unknown_and_not_zero() -> None:
    assert tiny().cost("packet") == Cost(source="unknown")
    assert tiny().cost("fire").power_w is None


def test_the_barrier_lasts_as_long_as_its_last_entry_that_is_not_over() -> None:
    barrier = Barrier(
        tiles=(1, 4), time_s=(1.0, 2.0), time_high_s=(10.0, 20.0), source=""
    )

    assert [barrier.time(n) for n in (0, 1, 3, 4, 99)] == [1, 1, 1, 2, 2]
    assert barrier.time(4, "high") == 20
    assert barrier.time(4, "low") == 2


# refusals


def forget(part: str, key: str) -> Callable[[Table], object]:
    return lambda table: table[part].pop(key)


def put(part: str, key: str, value: object) -> Callable[[Table], object]:
    return lambda table: table[part].update({key: value})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.pop("name"), "t.toml: has no 'name'; add it"),
        (lambda t: t.pop("mesh"), "t.toml: has no 'mesh'; add it"),
        (forget("neurocore", "input_axons"), "[neurocore]: has no 'input_axons'; add"),
        (forget("precision", "source"), "t.toml: [precision]: has no 'source'; add it"),
        (
            put("precision", "delay_maxx", 3),
            "[precision]: unknown key 'delay_maxx'; did you mean 'delay_max'?",
        ),
        (
            put("mesh", "colour", "red"),
            "[mesh]: unknown key 'colour'; choose",
        ),
        (lambda t: t.update(owner="me"), "t.toml: unknown key 'owner'; choose from"),
        (
            put("neurocore", "neuron_bits", 64),
            "[neurocore]: 'neuron_bits' and 'output_axon_bits' are parts of 'memory_b",
        ),
        (put("neurocore", "compartments", 4.5), "is 4.5; give a whole number"),
        (put("neurocore", "compartments", True), "is True; give a whole number"),
        (put("neurocore", "compartments", "4"), "'compartments' is '4'; give a whole"),
        (put("neurocore", "compartments", 0), "'compartments' is 0; at least 1 is"),
        (put("mesh", "neurocores_per_tile", 0), "[mesh]: 'neurocores_per_tile' is 0"),
        (put("precision", "soft_reset", 1), "'soft_reset' is 1; give true or false"),
        (put("precision", "source", 3), "'source' is 3; give a text"),
        (put("precision", "weight_bits", 9), "'weight_bits' is 9; allowed is 2 to 8"),
        (put("precision", "accumulator_bits", 64), "is 64; allowed is 9 to 24"),
        (put("precision", "weight_exponent_max", -9), "is -9; allowed is -8 to 32"),
        (put("precision", "delay_max", -1), "'delay_max' is -1; allowed is 0 to"),
        (put("barrier", "time_ns", [1]), "[barrier]: tiles and times must be lists of"),
        (put("barrier", "tiles", [2, 1]), "tiles ascending; give a time for each"),
        (put("barrier", "tiles", []), "[barrier]: tiles and times must be lists"),
        (put("barrier", "time_ns", [1, -2]), "'time_ns' is "),
        (put("barrier", "time_ns", 3), "is 3; give a list of numbers, 0 or more"),
        (lambda t: t.update(mesh=3), "t.toml: [mesh]: is 3; write a table"),
        (lambda t: t.update(cost=3), "t.toml: [cost]: is 3; write a table"),
        (put("cost", "fire", 3), "[cost.fire]: is 3; write a table"),
        (
            put("cost", "fires", {}),
            "[cost]: unknown key 'fires'; did you mean 'fire'?",
        ),
        (
            put("cost", "xyz", {}),
            "[cost]: unknown key 'xyz'; choose from access,",
        ),
        (
            put("cost", "fire", {"energie_pj": 1, "source": ""}),
            "[cost.fire]: unknown key 'energie_pj'; did you mean 'energy_pj'?",
        ),
        (
            lambda t: t.update(costs=t.pop("cost")),
            "t.toml: unknown key 'costs'; did you mean 'cost'?",
        ),
        (
            lambda t: t.update(neurocores=t.pop("neurocore")),
            "t.toml: unknown key 'neurocores'; did you mean 'neurocore'?",
        ),
        (
            put("neurocore", "compartment", 3),
            "unknown key 'compartment'; did you mean 'compartments'?",
        ),
        (put("cost", "fire", {"energy_pj": 1}), "[cost.fire]: has no 'source'; add it"),
        (
            put("cost", "fire", {"energy_pj": -1, "source": ""}),
            "[cost.fire]: 'energy_pj' is -1; give a number, 0 or more",
        ),
        (
            put("cost", "fire", {"energy_pj": True, "source": ""}),
            "[cost.fire]: 'energy_pj' is True; give a number, 0 or more",
        ),
        (
            put("barrier", "time_ns", [67, -1, 156, 200]),
            "[barrier]: 'time_ns' is [67, -1, 156, 200]; give a list of numbers",
        ),
        (
            put("cost", "fire", {"energy_pj": float("nan"), "source": ""}),
            "[cost.fire]: 'energy_pj' is nan; give a number, 0 or more",
        ),
        (
            put("cost", "fire", {"energy_pj": 2, "energy_high_pj": 1, "source": ""}),
            "[cost.fire]: 'energy_high_j' is under 'energy_j', or alone; give both",
        ),
        (
            put("cost", "fire", {"energy_pj": 2, "energy_low_pj": 3, "source": ""}),
            "[cost.fire]: 'energy_low_j' is over 'energy_j', or alone; give both",
        ),
        (
            put("cost", "fire", {"time_low_ns": 1, "source": ""}),
            "'time_low_s' is over 'time_s', or alone",
        ),
        (
            put("barrier", "time_low_ns", [30, 30]),
            "[barrier]: times 3e-08 s, 1e-08 s, 1e-07 s are not low, central, high",
        ),
        (
            put("cost", "fire", {"energy_high_pj": 1, "source": ""}),
            "'energy_high_j' is under 'energy_j', or alone",
        ),
        (
            put("cost", "fire", {"energy_pj": 1, "energy_nj": 1, "source": ""}),
            "[cost.fire]: 'energy_nj' is given in two units; give one",
        ),
        (put("precision", "delay_max", 3.0), "is 3.0; give a whole number"),
        (
            put("cost", "fire", {"energy_kj": 1, "source": ""}),
            "[cost.fire]: unknown key 'energy_kj'; did you mean 'energy_j'?",
        ),
    ],
)
def test_a_table_that_is_no_target_is_refused_with_the_place(
    spoil: Callable[[Table], object], message: str
) -> None:
    spoilt = table()
    spoil(spoilt)

    with pytest.raises(TargetError) as caught:
        target_from_table(spoilt, "t.toml")

    assert message in str(caught.value)
    assert str(caught.value).startswith("t.toml: ")
    assert "; " in str(caught.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(TargetError, match=r"none\.toml: no such file; check the path"):
        read_target("none.toml")


@pytest.mark.parametrize(
    "content", [b"name = ", b"\xff\xfe", b"name = 'a'\nname = 'b'"]
)
def test_a_file_that_is_no_toml_is_refused_in_one_line(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "t.toml"
    path.write_bytes(content)

    with pytest.raises(TargetError, match="not a TOML file") as caught:
        read_target(str(path))

    assert "\n" not in str(caught.value)


def test_a_folder_is_no_target(tmp_path: Path) -> None:
    (tmp_path / "t.toml").mkdir()

    with pytest.raises(TargetError, match="not a TOML file"):
        read_target(str(tmp_path / "t.toml"))


# sets of prices


def two_sets() -> Table:
    """Return a target whose events have prices by two sources."""
    found = table()
    found["price_set"] = "one"
    found["cost"]["static"] = {"power_mw": 5, "source": "measured"}
    found["prices"] = {
        "two": {
            "barrier": {"tiles": [1], "time_ns": [7], "source": "two"},
            "cost": {"update": {"energy_pj": 9, "source": "two"}},
        }
    }
    return found


def test_another_set_prices_events_and_barrier_and_nothing_else() -> None:
    target = target_from_table(two_sets(), "t.toml")

    other = target.with_prices("two")

    assert other.cost("update").energy_j == pytest.approx(9e-12)
    assert other.cost("fire").energy_j is None  # these sources do not give it
    assert other.barrier.time(1) == pytest.approx(7e-9)
    assert other.cost("static") == target.cost("static")
    back = other.with_prices("one")
    assert {*back.costs} == {*target.costs}
    assert back.barrier == target.barrier
    assert back.price_set == target.price_set == "one"


def test_a_set_that_there_is_not_is_refused_with_those_there_are() -> None:
    target = target_from_table(two_sets(), "t.toml")

    with pytest.raises(TargetError, match="'three'; choose from one, two"):
        target.with_prices("three")
    with pytest.raises(TargetError, match="'two'; its file has one set only"):
        tiny().with_prices("two")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.pop("price_set"), "'price_set' is ''; give the prices of [cost]"),
        (lambda t: t.update(price_set="two"), "'price_set' is 'two'; give the prices"),
        (
            lambda t: t["prices"]["two"]["cost"].update(static={"source": ""}),
            "[prices.two.cost]: unknown key 'static'",
        ),
        (lambda t: t["prices"]["two"].pop("barrier"), "[prices.two]: has no 'barrier'"),
    ],
)
def test_sets_that_say_nothing_certain_are_refused(
    spoil: Callable[[Table], object], message: str
) -> None:
    spoilt = two_sets()
    spoil(spoilt)

    with pytest.raises(TargetError) as caught:
        target_from_table(spoilt, "t.toml")

    assert message in str(caught.value)


FAMILIES = {"davies": "Davies 2018", "sana-fe": "SANA-FE"}


@pytest.mark.parametrize("name", ["loihi1", "loihi-sim"])
@pytest.mark.parametrize("price_set", FAMILIES)
def test_no_set_mixes_sources_for_the_energies_of_events(
    name: str, price_set: str
) -> None:
    target = read_target(name).with_prices(price_set)

    others = {words for key, words in FAMILIES.items() if key != price_set}
    for event in FAMILY:
        cost = target.cost(event)
        assert None not in band_of(cost, "energy_j")
        assert FAMILIES[price_set] in cost.source
        assert not any(words in cost.source for words in others)


# what is paid for each chip


def test_a_price_is_of_each_chip_or_of_the_board() -> None:
    chip = table()
    for name in ("static", "embedded"):
        chip["cost"][name] = {"power_mw": 5, "source": ""}
    usual = target_from_table(chip, "t.toml")
    chip["cost"]["static"]["per_chip"] = False
    chip["cost"]["embedded"]["per_chip"] = True
    other = target_from_table(chip, "t.toml")

    assert [usual.number_of(name, 8) for name in ("static", "embedded")] == [8, 1]
    assert [other.number_of(name, 8) for name in ("static", "embedded")] == [1, 8]
    chip["cost"]["fire"]["per_chip"] = True
    with pytest.raises(TargetError, match=r"\[cost.fire\]: 'per_chip' is for static"):
        target_from_table(chip, "t.toml")


def test_the_host_of_an_earlier_file_is_the_embedded_processors_of_now(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chip = table()
    chip["cost"]["host"] = {"power_mw": 65, "source": ""}

    target = target_from_table(chip, "t.toml")

    assert "[cost.host] without [cost.embedded]" in caplog.text

    assert target.cost("embedded").power_w == pytest.approx(0.065)
    assert target.cost("host").power_w is None
    chip["cost"]["embedded"] = {"power_mw": 30, "source": ""}
    both = target_from_table(chip, "t.toml")
    assert both.cost("host").power_w == pytest.approx(0.065)
