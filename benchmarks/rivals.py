"""What a cutoff saves against each of its rivals.

    python -m benchmarks.rivals FOLDER... [--limit 1000] [--data-dir DIR ...]

Each folder holds ``model.pt`` and the ``recipe.toml`` of its data. Prints a table in
Markdown: ``risk`` at 1 % and ``retry:1``, against the fixed timesteps chosen on the
calibration inputs, a single timestep for all, one pass of graded spikes, and all
timesteps in a stream; on few neurocores and as mapped by default; with the time of an
injected packet unknown, 10 and 50 ns.
"""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.cases import parser_of_folders, trained
from snn_deploy.artifact import pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target import Cost, Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.rules.rule import Settings
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import Split
from snn_deploy.ir.graph import Graph
from snn_deploy.profile.calibrating import calibrated
from snn_deploy.profile.profile import Profile, Schedule, profile_inputs
from snn_deploy.profile.rivals import fair
from snn_deploy.profile.schedules import means

GOALS = ("cores", "energy")
INJECTIONS = (None, 10e-9, 50e-9)  # [s] a packet; None: unknown
RULES = (("risk", 0), ("retry", 1))
RIVALS = {
    "best fixed": (Schedule.SERIAL_FIXED, Schedule.STREAMED_FIXED),
    "1 timestep": (Schedule.SERIAL_ONE, Schedule.STREAMED_ONE),
    "one pass": (Schedule.ONE_PASS, Schedule.STREAMED_ONE_PASS),
    "all, streamed": (Schedule.STREAMED,),
}
HEAD = (
    "| network | mapped for | injection | rule | timesteps | energy | "
    f"{' | '.join(f'against {name}' for name in RIVALS)} |\n"
    f"|---|---|---|---|---|---|{'---|' * len(RIVALS)}"
)


def injecting(target: Target, time_s: float | None) -> Target:
    """Return the target with a time of an injected packet."""
    if time_s is None:
        return target
    price = Cost(time_s=time_s, energy_j=0.0, source="asked for")
    costs = [(name, cost) for name, cost in target.costs if name != "injection"]
    return replace(target, costs=(*costs, ("injection", price)))


def profiled(
    graph: Graph, target: Target, goal: str, rule: tuple[str, int], split: Split, n: int
) -> Profile:
    """Return the profile of a network mapped for ``goal``, calibrated by ``rule``."""
    training = graph.training
    artifact = pack(compile_model(graph, target, optimize=goal))
    inputs = Data(x=split.calibration.x, y=split.calibration.y, training=training)
    artifact = calibrated(artifact, inputs, Settings(rule=rule[0], at=rule[1]))
    calibration = artifact.calibration
    assert calibration is not None
    return profile_inputs(
        artifact,
        open_backend("cpu"),
        Data(x=split.test.x, y=split.test.y, training=training),
        cutoff=calibration.cutoff,
        calibration=calibration,
        limit=n,
        has_rivals=True,
    )


def cells(profile: Profile) -> Iterator[str]:
    """Yield timesteps and energy of the cutoff, and what it takes more than rivals."""
    early = means(profile.rows)
    yield f"{early['mean_timesteps']:.2f}"
    yield f"{1e6 * early['mean_energy_j']:,.1f} µJ"
    as_good = {*fair(profile)}
    for name, schedules in RIVALS.items():
        there = [s for s in schedules if s in profile.runs]
        if name == "1 timestep" and not there:  # it is the best fixed one
            yield "as best fixed"
        elif not there:
            yield "all timesteps" if name == "best fixed" else "has none"
        else:
            best = min(means(profile.runs[s])["mean_energy_j"] for s in there)
            change = f"{early['mean_energy_j'] / best - 1:+.0%}"
            yield change if as_good & {*there} else f"({change}, answers worse)"


def main() -> None:
    """Measure every folder, a line at a time."""
    options = parser_of_folders("hold the cutoff against its rivals").parse_args()
    target = read_target(options.target)
    print(HEAD)
    for trained_as, graph, split in trained(options):
        for goal in GOALS:
            for time_s in INJECTIONS:
                for rule in RULES:
                    found = profiled(
                        graph,
                        injecting(target, time_s),
                        goal,
                        rule,
                        split,
                        options.limit,
                    )
                    known = "unknown" if time_s is None else f"{1e9 * time_s:.0f} ns"
                    line = (trained_as, goal, known, rule[0], *cells(found))
                    print(f"| {' | '.join(line)} |", flush=True)


if __name__ == "__main__":
    main()
