"""A LiteRT file as a Keras network again, with weights that can be trained further.

Knows the operators that convolutional encoders such as the shipped MobileNetV2 convert to. Batch normalisation is
part of the convolutions in such a file, and stays so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as flat
from numpy.typing import NDArray

from schemas.errors import ConfigurationError

_DTYPES = {
    flat.TensorType.FLOAT32: np.float32,
    flat.TensorType.FLOAT16: np.float16,
    flat.TensorType.INT32: np.int32,
}
_ACTIVATIONS = {
    flat.ActivationFunctionType.NONE: None,
    flat.ActivationFunctionType.RELU: "relu",
    flat.ActivationFunctionType.RELU6: "relu6",
}
_OPERATORS = {value: name for name, value in vars(flat.BuiltinOperator).items() if isinstance(value, int)}


class UnknownNetworkError(ConfigurationError):
    """The file holds operators that cannot be brought back into a network."""


def network_of(content: bytes) -> Any:
    """Build the Keras network of a ``.tflite`` file with one input and one output.

    Raises ``UnknownNetworkError`` for operators that are not known here; tune the network's ``.keras`` file then.
    """
    return _Reader(content).network()


class _Reader:
    """Walks the operators in their order, which is the order of execution."""

    def __init__(self, content: bytes) -> None:
        self._model = flat.Model.GetRootAs(content, 0)
        self._graph = self._model.Subgraphs(0)
        self._values: dict[int, Any] = {}
        self._known: dict[str, Callable[[Any, list[int]], Any]] = {
            "MUL": lambda _, inputs: self._scaled(inputs),
            "ADD": lambda _, inputs: self._sum(inputs),
            "PAD": lambda _, inputs: self._padded(inputs),
            "CONV_2D": self._convolution,
            "DEPTHWISE_CONV_2D": self._depthwise,
            "MEAN": lambda _, inputs: self._pooled(inputs),
        }

    def network(self) -> Any:
        """The whole of it."""
        graph = self._graph
        given, found = int(graph.Inputs(0)), int(graph.Outputs(0))
        shape = graph.Tensors(given).ShapeAsNumpy().tolist()
        inputs = keras.Input(tuple(shape[1:]), name="rgb_0_to_255")
        self._values[given] = inputs
        for number in range(graph.OperatorsLength()):
            operator = graph.Operators(number)
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            name = _OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            tensors = [int(index) for index in operator.InputsAsNumpy()]
            target = int(operator.Outputs(0))
            if name == "DEQUANTIZE":
                self._values[target] = self._constant(tensors[0]).astype(np.float32)
            elif name in self._known:
                self._values[target] = self._known[name](operator, tensors)
            else:
                raise UnknownNetworkError(
                    f"the operator {name} of this .tflite cannot be trained; give the .keras file it was made from"
                )
        return keras.Model(inputs, self._values[found])

    def _constant(self, index: int) -> NDArray[Any]:
        if index in self._values:
            constant: NDArray[Any] = self._values[index]
            return constant
        tensor = self._graph.Tensors(index)
        data = self._model.Buffers(tensor.Buffer()).DataAsNumpy()
        if isinstance(data, int) or tensor.Type() not in _DTYPES:
            raise UnknownNetworkError(
                "a weight of this .tflite is quantised; give the .keras file it was made from"
            )
        return np.frombuffer(data.tobytes(), _DTYPES[tensor.Type()]).reshape(tensor.ShapeAsNumpy())

    def _is_constant(self, index: int) -> bool:
        return index not in self._values or isinstance(self._values[index], np.ndarray)

    def _scaled(self, inputs: list[int]) -> Any:
        x, factor = inputs
        return keras.layers.Rescaling(self._constant(factor).tolist())(self._values[x])

    def _sum(self, inputs: list[int]) -> Any:
        x, other = inputs
        if self._is_constant(other):
            offset = self._constant(other).tolist()
            return keras.layers.Rescaling(1.0, offset)(self._values[x])
        return keras.layers.Add()([self._values[x], self._values[other]])

    def _padded(self, inputs: list[int]) -> Any:
        x, amounts = inputs
        rows, columns = self._constant(amounts)[1:3].tolist()
        return keras.layers.ZeroPadding2D((tuple(rows), tuple(columns)))(self._values[x])

    def _pooled(self, inputs: list[int]) -> Any:
        x, axes = inputs
        if sorted(self._constant(axes).tolist()) not in ([1, 2], [2]):
            raise UnknownNetworkError("a mean over other axes than height and width; give the .keras file")
        return keras.layers.GlobalAveragePooling2D()(self._values[x])

    def _convolution(self, operator: Any, inputs: list[int]) -> Any:
        options = flat.Conv2DOptions()
        options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
        kernel = self._constant(inputs[1]).astype(np.float32).transpose(1, 2, 3, 0)  # OHWI -> HWIO
        layer = keras.layers.Conv2D(kernel.shape[3], kernel.shape[:2], **self._windows(options))
        return self._applied(layer, options, inputs, kernel)

    def _depthwise(self, operator: Any, inputs: list[int]) -> Any:
        options = flat.DepthwiseConv2DOptions()
        options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
        kernel = self._constant(inputs[1]).astype(np.float32).transpose(1, 2, 3, 0)  # 1HWC -> HWC1
        layer = keras.layers.DepthwiseConv2D(kernel.shape[:2], **self._windows(options))
        return self._applied(layer, options, inputs, kernel)

    def _windows(self, options: Any) -> dict[str, Any]:
        padding = "same" if options.Padding() == flat.Padding.SAME else "valid"
        return {"strides": (options.StrideH(), options.StrideW()), "padding": padding}

    def _applied(self, layer: Any, options: Any, inputs: list[int], kernel: NDArray[np.float32]) -> Any:
        activation = options.FusedActivationFunction()
        if activation not in _ACTIVATIONS:
            raise UnknownNetworkError("an activation of this .tflite cannot be trained; give the .keras file")
        y = layer(self._values[inputs[0]])
        layer.set_weights([kernel, self._constant(inputs[2]).astype(np.float32)])
        name = _ACTIVATIONS[activation]
        return y if name is None else keras.layers.Activation(name)(y)
