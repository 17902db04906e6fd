"""on_targets: the same answers everywhere, at each target's packets and prices."""

from dataclasses import replace

import pytest

from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target import Board, Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.retarget import retarget
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.errors import FitError
from snn_deploy.ir.mapped import GOALS
from snn_deploy.profile.profile import Profile, profile_inputs
from snn_deploy.profile.summary import summarize
from snn_deploy.profile.targets import lay_out, on_targets
from tests.build import simulator
from tests.profile.test_profile import artifact, data


def placed() -> Artifact:
    """Return the network where the compiler places it."""
    return pack(retarget(artifact().network.graph, simulator()))


def measure(network: Artifact) -> Profile:
    return profile_inputs(network, open_backend("cpu"), data(), cutoff=risk(20))


def small(chip: Target) -> Target:
    """Return a chip that holds four neurons on a neurocore."""
    return replace(
        chip, name="small", neurocore=replace(chip.neurocore, compartments=4)
    )


def tiny(chip: Target) -> Target:
    """Return a single chip with a single neurocore, of four neurons."""
    mesh = replace(chip.mesh, neurocores=1)
    return replace(small(chip), name="few", mesh=mesh, board=Board())


def test_prices_are_those_of_each_target() -> None:
    here = measure(placed())
    chip = here.artifact.network.target
    costs = dict(chip.costs)
    static = replace(costs["static"], power_w=1.0, power_high_w=2.0)
    hot = replace(chip, name="hot", costs=(*{**costs, "static": static}.items(),))

    own, other = on_targets(here, lay_out(here.artifact, [chip, hot]), measure)

    assert (own.target, other.target) == (chip.name, "hot")
    mine, theirs = (t.found["schedules"]["cutoff"] for t in (own, other))
    assert mine == summarize(here)["schedules"]["cutoff"]
    for key in (
        "mean_energy_neurocores_j",
        "mean_latency_s",
        "mean_packets",
        "accuracy",
    ):
        assert theirs[key] == mine[key]
    assert theirs["mean_energy_static_j"] == pytest.approx(mine["mean_latency_s"])
    assert theirs["mean_energy_static_high_j"] == pytest.approx(
        2 * mine["mean_latency_high_s"]
    )


def test_neurocores_are_those_of_each_target() -> None:
    here = measure(placed())
    chip = here.artifact.network.target

    own, other = on_targets(here, lay_out(here.artifact, [small(chip)]), measure)

    mine, theirs = (t.found["schedules"] for t in (own, other))
    assert other.found["neurocores"] == 5 + 3 + 1
    assert mine.keys() == theirs.keys()
    for schedule in here.runs:
        one, two = mine[schedule.value], theirs[schedule.value]
        for key in ("mean_spikes", "mean_synaptic_operations", "mean_timesteps"):
            assert one[key] == two[key]
        assert two["mean_packets"] > one["mean_packets"]
        assert two["mean_latency_s"] != one["mean_latency_s"]
    assert (own.found["tiles"], other.found["tiles"]) == (1, 3)
    assert (own.found["chips"], other.found["chips"]) == (1, 1)


@pytest.mark.parametrize("goal", [*GOALS, ""])
def test_each_target_is_mapped_for_the_goal_of_the_network(goal: str) -> None:
    chip = simulator()
    network = retarget(artifact().network.graph, chip, goal=goal or None)
    network = replace(network, goal=goal)  # none: as if by a placement
    costs = tuple(pair for pair in chip.costs if pair[0] not in ("access", "static"))
    bare = replace(small(chip), name="bare", costs=costs)

    others = lay_out(pack(network), [small(chip), bare])

    found = [other.artifact.network.goal for other in others if other.artifact]
    assert found == [goal or "energy", "cores"]


def test_a_target_that_cannot_is_told_and_the_others_are_not_lost() -> None:
    here = measure(placed())
    chip = here.artifact.network.target
    few = tiny(chip)

    others = lay_out(here.artifact, [few, small(chip)])
    found = on_targets(here, others, measure)

    assert [t.target for t in found] == [chip.name, "few", "small"]
    assert "does not fit few" in found[1].refusal
    assert found[1].found == {}
    assert found[2].refusal == ""
    assert summarize(here, found)["targets"][1]["refusal"] == found[1].refusal


def test_targets_of_which_none_can_are_refused_at_once() -> None:
    network = placed()
    chip = network.network.target
    few = tiny(chip)

    with pytest.raises(FitError, match="does not fit few"):
        lay_out(network, [few])


def test_loihi_2_says_that_its_energies_are_inherited() -> None:
    here = measure(placed())

    found = on_targets(here, lay_out(here.artifact, [read_target("loihi2")]), measure)

    assert "inherited from Loihi 1" in found[1].found["energy_note"]
