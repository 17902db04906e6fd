"""The functions and methods of PyTorch, under one name for all spellings."""

from typing import Any

# one name for spellings that mean the same
_SAME = {
    "__getitem__": "getitem",
    "__setitem__": "setitem",
    "__rsub__": "rsub",
    "__rdiv__": "rdiv",
    "__rtruediv__": "rdiv",
    "__rpow__": "rpow",
    "__pow__": "pow",
    "__eq__": "eq",
    "__ne__": "ne",
    "__and__": "bitwise_and",
    "__or__": "bitwise_or",
    "__xor__": "bitwise_xor",
    "__invert__": "bitwise_not",
    "true_divide": "div",
    "divide": "div",
    "multiply": "mul",
    "subtract": "sub",
    "negative": "neg",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "absolute": "abs",
    "clip": "clamp",
    "reshape": "view",
    "_unsafe_view": "view",
    "view_as": "reshape_as",
    "concat": "cat",
    "concatenate": "cat",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "moveaxis": "movedim",
    "_softmax": "softmax",
    "_log_softmax": "log_softmax",
    "arctan": "atan",
    "_to_copy": "to",
    "float": "to",
    "double": "to",
    "half": "to",
    "bfloat16": "to",
    "int": "to",
    "long": "to",
    "bool": "to",
    "type": "to",
    "type_as": "to",
    "data": "detach",
    "alias": "detach",
    "clone": "detach",
    "contiguous": "detach",
    "cpu": "detach",
    "cuda": "detach",
    "requires_grad_": "detach",
}
# what a call may give that is no tensor: it is the same for all inputs of this shape
FACTS = {
    "__len__",
    "__hash__",
    "__repr__",
    "device",
    "dim",
    "dtype",
    "element_size",
    "get_device",
    "grad",
    "grad_fn",
    "is_complex",
    "is_contiguous",
    "is_cpu",
    "is_cuda",
    "is_floating_point",
    "is_leaf",
    "is_mkldnn",
    "is_quantized",
    "is_same_size",
    "is_sparse",
    "itemsize",
    "layout",
    "names",
    "nbytes",
    "ndim",
    "ndimension",
    "nelement",
    "numel",
    "output_nr",
    "requires_grad",
    "retain_grad",
    "retains_grad",
    "shape",
    "size",
    "storage_offset",
    "stride",
    "_version",
}
COMPARISONS = {"eq", "ge", "gt", "heaviside", "le", "lt", "ne", "sign", "bernoulli"}
# what gives the same values in another shape, or a part of them
VIEWS = {"detach", "flatten", "getitem", "permute", "select", "squeeze", "transpose"}
VIEWS |= {"unbind", "unsqueeze", "view"}
# which take no more of their first argument than its shape and type
_SIZED = (
    "zeros_like",
    "ones_like",
    "full_like",
    "new_zeros",
    "new_ones",
    "new_full",
    "new_tensor",
)
_RANDOM = {
    "bernoulli",
    "dropout",
    "exponential",
    "multinomial",
    "normal",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "uniform",
}
# what makes a number or a decision of a value
NUMBERS = (
    "__bool__",
    "__contains__",
    "__float__",
    "__format__",
    "__index__",
    "__int__",
    "item",
    "numpy",
    "tolist",
)


def name_of(function: Any) -> str:
    """Return how a function or a method is called where it is defined."""
    name = str(getattr(function, "__name__", function))
    if name == "__get__":  # of a property
        return str(function.__self__.__name__)
    return name if name.startswith("__") else name.partition(".")[0]


def canonical(name: str) -> str:
    """Return the one name of all spellings."""
    if name in _SAME:
        return _SAME[name]
    bare = name if name.startswith("__") else name.rstrip("_")
    return _SAME.get(bare, bare.strip("_") if name.startswith("__") else bare)


def values_used(name: str, given: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return those of the arguments of a call whose values, not sizes, are used."""
    arguments, options = given
    if canonical(name) == "to":  # of another tensor the type alone
        return arguments[:1], {}
    return (arguments[1:], options) if canonical(name) in _SIZED else given


def is_random(name: str, given: Any, options: Any) -> bool:
    """Return whether a call draws numbers."""
    return canonical(name) in _RANDOM and not _is_idle(name, given, options)


def _is_idle(name: str, given: Any, options: Any) -> bool:
    """Return whether a dropout is switched off."""
    named = dict(zip(("input", "p", "training"), given, strict=False))
    is_on = {"training": True, **named, **options}["training"]
    return name.startswith("dropout") and not is_on
