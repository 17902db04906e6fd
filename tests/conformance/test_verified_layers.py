"""The layers that verify simulates, one by one, are the reference, for any network."""

from dataclasses import replace

from hypothesis import given

from snn_deploy.compiler.lower.retime import retime
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.verify.causes import explain
from snn_deploy.verify.forms import integer_layers
from snn_deploy.verify.runs import record_integers
from tests.conformance.networks import ROOMY, Case, cases
from tests.conformance.tally import examples


@examples(100)
@given(case=cases(max_populations=3, max_timesteps=12))
def test_integer_layers_by_themselves_equal_the_reference(case: Case) -> None:
    training = replace(case.graph.training, timesteps=case.n_timesteps)
    graph = replace(case.graph, training=training)
    stimuli = [
        Stimulus(values=s.values, is_constant=s.is_constant) for s in case.stimuli
    ]

    for network in (graph, retime(graph, ROOMY)):
        layers = integer_layers(network)
        recorded, _ = record_integers(
            network, layers, stimuli, network.training.timesteps
        )  # fails if not equal

        for layer in layers.values():
            same = explain(
                (layer, layer), recorded.sent, case.n_timesteps, is_exact=True
            )
            assert same.first is None
