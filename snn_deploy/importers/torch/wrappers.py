"""Take off what training puts around a module, and bring it to the processor."""

import torch
from torch import nn

from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.frameworks import copied

# what holds a module, by the name it has there
INNER = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "OptimizedModule": "_orig_mod",  # of torch.compile
}


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module that was wrapped, with everything in main memory.

    The module itself where nothing is to be done, else a copy if more than the
    outermost wrapper changes.

    Raises
    ------
    ModelError
        If its tensors have no values.
    """
    model = _innermost(model)
    tensors = [t for module in model.modules() for t in _tensors(module)]
    if any(tensor.is_meta for tensor in tensors):
        raise ModelError(
            f"{type(model).__name__}: has tensors on the device 'meta', which holds no "
            "values; load the trained ones"
        )
    is_elsewhere = any(tensor.device.type != "cpu" for tensor in tensors)
    if is_elsewhere or any(_innermost(m) is not m for m in model.modules()):
        model = copied(model).cpu()
        for module in list(model.modules()):
            _simplify(module)
    return model


def _simplify(module: nn.Module) -> None:
    """Take wrappers off children, bring tensors that are not registered to memory."""
    for name, child in list(module.named_children()):
        setattr(module, name, _innermost(child))
    for name, value in list(vars(module).items()):
        if isinstance(value, torch.Tensor):
            setattr(module, name, value.cpu())


def without_wrappers(name: str) -> str:
    """Return the name of a tensor as it is without any wrapper."""
    return ".".join(p for p in name.split(".") if p not in INNER.values())


def _innermost(module: nn.Module) -> nn.Module:
    """Return what wrappers hold; any other module itself."""
    while type(module).__module__.startswith("torch."):
        name = INNER.get(type(module).__name__)
        if name is None:
            break
        module = getattr(module, name)
    return module


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    """Return the tensors that a module itself holds, registered or not."""
    held = (*module._parameters.values(), *module._buffers.values())
    return [t for t in (*held, *vars(module).values()) if isinstance(t, torch.Tensor)]
