"""What it costs that the chip decides, against a host that polls.

    python -m benchmarks.on_chip FOLDER... [--limit 1000] [--data-dir DIR ...]

Each folder holds ``model.pt`` and the ``recipe.toml`` of its data. Prints a table in
Markdown: ``risk`` at 1 %, read at every timestep, or at the interval that takes the
least energy; held by the chip, which is read once, silent behind the answer or not; and
``retry:1``. By the embedded processors and by the host.
"""

from collections.abc import Iterator

from benchmarks.cases import parser_of_folders, trained
from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.costs.prices import MONITORS
from snn_deploy.cutoff.rules.rule import Calibration, Settings
from snn_deploy.data.data import Data
from snn_deploy.profile.calibrating import calibrated, decided_on_chip
from snn_deploy.profile.profile import Profile, profile_inputs
from snn_deploy.profile.schedules import means

HEAD = (
    "| network | monitor | decided | accuracy | timesteps | chip timesteps | synaptic "
    "operations | on all timesteps | energy | latency |\n" + "|---" * 10 + "|"
)


def cells(profile: Profile) -> Iterator[str]:
    """Yield the means of a profile."""
    found, full = means(profile.rows), means(profile.fixed_rows)
    yield f"{100 * found['accuracy']:.1f} %"
    yield f"{found['mean_timesteps']:.2f}"
    yield f"{found['mean_chip_timesteps']:.2f}"
    yield f"{found['mean_synaptic_operations']:,.0f}"
    yield f"{full['mean_synaptic_operations']:,.0f}"
    yield f"{1e6 * found['mean_energy_j']:,.1f} µJ"
    yield f"{1e6 * found['mean_latency_s']:,.1f} µs"


def main() -> None:
    """Measure every folder, a line at a time."""
    parser = parser_of_folders("price a chip that decides")
    parser.add_argument("--optimize", default="energy")
    options = parser.parse_args()
    target = read_target(options.target)
    print(HEAD)
    for trained_as, graph, split in trained(options):
        network = pack(compile_model(graph, target, optimize=options.optimize))
        here, there = (
            Data(x=part.x, y=part.y, training=graph.training)
            for part in (split.calibration, split.test)
        )

        def priced(
            artifact: Artifact,
            monitor: str,
            calibration: Calibration | None = None,
            data: Data = there,
        ) -> Profile:
            calibration = calibration or artifact.calibration
            assert calibration is not None
            return profile_inputs(
                artifact,
                open_backend("cpu"),
                data,
                cutoff=calibration.cutoff,
                calibration=calibration,
                monitor=monitor,
                limit=options.limit,
            )

        risk = calibrated(network, here, Settings())
        retry = calibrated(network, here, Settings(rule="retry", at=1))
        silent = decided_on_chip(risk, silences=True)
        for monitor in MONITORS:
            assert risk.calibration is not None
            ways = [("read at every timestep", priced(risk, monitor))]
            polled = [
                (
                    f"read every {every} timesteps",
                    priced(risk, monitor, risk.calibration.polled_every(every)),
                )
                for every in range(2, graph.training.timesteps + 1)
            ]
            ways.append(min(polled, key=lambda w: means(w[1].rows)["mean_energy_j"]))
            ways.append(("on the chip", priced(decided_on_chip(risk), monitor)))
            ways.append(("on the chip, then silent", priced(silent, monitor)))
            ways.append(("retry:1", priced(retry, monitor)))
            for name, profile in ways:
                line = trained_as, monitor, name, *cells(profile)
                print(f"| {' | '.join(line)} |", flush=True)


if __name__ == "__main__":
    main()
