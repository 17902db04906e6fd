"""Populations: registers that are too small for a value, and what to do then."""

from typing import Any

import numpy as np
import pytest

from snn_deploy.errors import PassError
from tests.build import population


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"reset_amount": np.array(1 << 23)},
            "n: reset_amount is 8388608, allowed is 0 to 8388607; .* train with a "
            "smaller reset amount, or with larger weights",
        ),
        ({"refractory": 64}, "n: refractory is 64, .* train with a refractory in that"),
    ],
)
def test_a_value_over_its_register_is_refused_with_what_a_user_can_do(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(PassError, match=words):
        population("n", (3,), **changes)
