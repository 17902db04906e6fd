"""Build an ONNX graph: operators on 64-bit integers, constants, inputs, outputs."""

from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray

OPSET, IR_VERSION = 18, 9  # of ONNX 1.14 and ONNX Runtime 1.15, from 2023
Size = int | str


class Form:
    """Collects a graph; values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, AnyArray] = {}
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def op(self, kind: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        """Add an operator; return the name of its output."""
        from onnx import helper

        name = result or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        """Return the name of a constant."""
        array = np.asarray(values, dtype)
        for name, known in self.constants.items():
            if array.size == 1 and known.dtype == array.dtype and (
                known.shape == array.shape and known == array
            ):  # fmt: skip
                return name
        name = f"constant_{len(self.constants)}"
        self.constants[name] = array
        return name

    def row(self, values: AnyArray) -> str:
        """Return a constant for each neuron, or one if they are all equal."""
        first = values.flat[0]
        return self.constant(first if np.all(values == first) else values[np.newaxis])

    def cast(self, value: str, dtype: str) -> str:
        """Return a value as integers of another type."""
        from onnx import TensorProto

        return self.op("Cast", value, to=getattr(TensorProto, dtype))

    def input(self, name: str, *shape: Size, default: AnyArray | None = None) -> str:
        """Add an input; one with a default need not be given."""
        from onnx import TensorProto, helper

        info = helper.make_tensor_value_info(name, TensorProto.INT64, shape)
        self.inputs.append(info)
        if default is not None:
            self.constants[name] = np.asarray(default, np.int64)
        return name

    def output(self, name: str, value: str, *shape: Size) -> None:
        """Give a value out under a name."""
        from onnx import TensorProto, helper

        self.op("Identity", value, result=name)
        info = helper.make_tensor_value_info(name, TensorProto.INT64, shape)
        self.outputs.append(info)

    def model(self, name: str, notes: dict[str, str], text: str) -> Any:
        """Return the model, checked."""
        from onnx import checker, helper, numpy_helper

        graph = helper.make_graph(
            self.nodes,
            name,
            self.inputs,
            self.outputs,
            [numpy_helper.from_array(a, n) for n, a in self.constants.items()],
            doc_string=text,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="snn-deploy",
        )
        helper.set_model_props(model, notes)
        checker.check_model(model, full_check=True)
        return model
