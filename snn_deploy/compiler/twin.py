"""The one-pass twin of a compiled network, from the artifact alone."""

from snn_deploy.compiler.lower.one_pass import one_pass
from snn_deploy.compiler.retarget import retarget
from snn_deploy.ir.mapped import MappedNetwork


def one_pass_twin(network: MappedNetwork) -> MappedNetwork:
    """Return what ``compile --one-pass`` gives for the model of ``network``.

    Of the same integers on the same target, laid out anew for the same goal:
    ``one_pass`` says how, and ``obstacles`` beside it whether there is one.

    Raises
    ------
    FitError
        If there is none, or it does not fit.
    """
    target = network.target
    return retarget(one_pass(network.graph, target), target, goal=network.goal)
