"""convert_rates: activations become neurons that spike at the same rate."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snn_deploy.compiler.lower.convert_rates import convert_rates
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Training
from snn_deploy.ir.neurons import Qcfs
from snn_deploy.ir.nodes import Linear
from snn_deploy.ir.stimuli import Encoding, Stimulus
from tests.build import chain


@given(
    gray=st.lists(st.integers(0, 255), min_size=1, max_size=20),
    n_timesteps=st.sampled_from([1, 2, 4, 8, 16]),
    scale=st.sampled_from([0.25, 1.0, 2.0]),
)
def test_constant_input_gives_exactly_the_activation_of_as_many_levels(
    gray: list[int], n_timesteps: int, scale: float
) -> None:
    n = len(gray)
    weights = Linear(name="fc", weight=np.eye(n), bias=np.zeros(n))
    activation = Qcfs(name="act", shape=(n,), threshold=1.0, levels=n_timesteps)
    training = Training(
        timesteps=n_timesteps, encoding=Encoding.DIRECT, input_scale=scale * 255 / 256
    )  # inputs are multiples of 1/256: no rounding in float
    graph = chain(weights, activation, training=training)
    stimulus = Stimulus(values=np.array([gray]), is_constant=True)

    spiking = evaluate(convert_rates(graph), [stimulus])

    rate = spiking[0].mean(axis=0)
    np.testing.assert_array_equal(rate, evaluate(graph, [stimulus])[0, 0])
