"""A compiled network and its cutoff as C, for any processor."""

from pathlib import Path

import numpy as np

from snn_deploy.artifact import Artifact
from snn_deploy.cutoff.decision import GapCutoff, never
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.data.data import Data
from snn_deploy.errors import CalibrationError, DataError
from snn_deploy.exporters.c.decision import StopRule
from snn_deploy.exporters.c.folder import Limits, Sizes, write_c
from snn_deploy.exporters.c.vector import drawn_stimuli
from snn_deploy.version import __version__

N_INPUTS = 3  # of the test vector


def export_c(
    artifact: Artifact,
    folder: Path,
    *,
    data: Data | None = None,
    n_inputs: int = N_INPUTS,
    flash: int | None = None,
    ram: int | None = None,
) -> Sizes:
    """Write a compiled network as C99 that needs no library.

    Parameters
    ----------
    artifact : Artifact
        Its calibration, if it has one, stops inputs early in C too.
    folder : Path
        Made if it is missing; gets ``snn.h``, ``snn.c``, a test vector and how to use
        them.
    data : Data, optional
        Whose first inputs are the test vector; default: drawn at random.
    n_inputs : int
        Of the test vector.
    flash, ram : int, optional
        Bytes that the processor has.

    Returns
    -------
    Sizes
        What it takes.

    Raises
    ------
    FitError
        If it is too large, or C is not written for it.
    CalibrationError
        If its rule needs more than integers.
    DataError
        If inputs of the test vector are over before the network is.
    """
    graph = artifact.network.graph
    if artifact.calibration is not None and len(graph.heads) > 1:
        raise CalibrationError(
            f"{graph.name}: has {len(graph.heads)} heads, and the cutoff in C looks at "
            "all outputs; export the network before it is calibrated"
        )
    if data is None:
        stimuli = drawn_stimuli(graph, n_inputs)
    else:
        _refuse_shorter(data.take(range(min(n_inputs, len(data)))))
        stimuli = [data.stimulus(i) for i in range(min(n_inputs, len(data)))]
    return write_c(
        graph,
        folder,
        decision=decision_of(artifact.calibration, graph.training.timesteps),
        stimuli=stimuli,
        words={"VERSION": __version__, "SHA": artifact.sha256},
        limits=Limits(flash=flash, ram=ram),
    )


def _refuse_shorter(data: Data) -> None:
    n_timesteps = data.training.timesteps
    if np.any(data.ends < n_timesteps):
        raise DataError(
            f"an input of the test vector lasts {data.ends.min()} timesteps, and "
            f"snn_decide in C runs up to {n_timesteps}; give inputs that last as long, "
            "or none (in C: snn_step until the end of an input, then snn_answer)"
        )


def decision_of(calibration: Calibration | None, n_timesteps: int) -> StopRule:
    """Return a cutoff in numbers.

    Raises
    ------
    CalibrationError
        If the rule decides by a softmax.
    """
    if calibration is None:
        return StopRule(
            words="Never before: the network is not calibrated.",
            is_settled=never,
            betas=np.full(n_timesteps, np.inf),
        )
    cutoff = calibration.cutoff
    words = f"Rule {calibration.rule}: {calibration.method.in_words(calibration)}."
    if isinstance(cutoff, GapCutoff):
        betas = cutoff.betas(n_timesteps)
        return StopRule(words=words, is_settled=cutoff, betas=betas)
    if not calibration.gains.size:
        raise CalibrationError(
            f"the rule {calibration.rule} with the score {calibration.score} decides "
            "by a softmax, which integers are not enough for; calibrate with the rule "
            "risk or topk, and the score gap"
        )
    is_looked_at = np.isin(np.arange(1, n_timesteps + 1), calibration.looks)
    return StopRule(
        words=words,
        is_settled=cutoff,
        betas=np.where(is_looked_at, -np.inf, np.inf),
        gains=calibration.gains,
        steps=calibration.steps,
    )
