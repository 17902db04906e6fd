"""SpikingJelly's model zoo, imported beside an empty torchvision where that is broken.

It imports one function of torchvision, to download weights, which nothing here calls.
"""

import sys
import types

try:
    import torchvision  # noqa: F401
except (ImportError, RuntimeError):  # not there, or built for another torch
    for loaded in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[loaded]
    stand_in = types.ModuleType("torchvision")
    utils = types.ModuleType("torchvision._internally_replaced_utils")
    vars(utils)["load_state_dict_from_url"] = None
    sys.modules |= {stand_in.__name__: stand_in, utils.__name__: utils}

from spikingjelly.activation_based.model import (
    ms_resnet,
    parametric_lif_net,
    sew_resnet,
    spiking_resnet,
    spiking_vgg,
)

__all__ = [
    "ms_resnet",
    "parametric_lif_net",
    "sew_resnet",
    "spiking_resnet",
    "spiking_vgg",
]
