"""The model outside of training: an ONNX graph, and the predictor that detection calls.

The graph is built node by node from the network's own description (`network.trace`) with the
batch normalisation folded into the convolutions, so no exporter is needed and nothing of the
training remains in it.
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from geolab import store
from geolab.change.model import Model
from geolab.change.network import Conv, Head, trace
from geolab.errors import BadInput

Array = NDArray[Any]
Device = Literal["auto", "cpu", "cuda"]

# What DepthToSpace(mode=CRD) and Split(num_outputs) need; every onnxruntime since 1.15 reads it.
OPSET = 18
IR_VERSION = 9


class OnnxOps:
    """ONNX nodes; a value is the name of a tensor."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}

    def _node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        names = [f"{kind.lower()}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def stack(self, before: str, after: str) -> str:
        return self._node("Concat", before, after, axis=0)[0]

    def difference(self, both: str) -> str:
        before, after = self._node("Split", both, outputs=2, axis=0, num_outputs=2)
        return self._node("Abs", self._node("Sub", before, after)[0])[0]

    def conv(self, layer: Conv | Head, x: str) -> str:
        weight, bias = (self._weight(t) for t in layer.folded())
        kernel, stride, pad = [layer.kernel] * 2, [layer.stride] * 2, [layer.padding] * 4
        y = self._node("Conv", x, weight, bias, kernel_shape=kernel, strides=stride, pads=pad)[0]
        return self._node("Relu", y)[0] if layer.relu else y

    def add_relu(self, x: str, y: str) -> str:
        return self._node("Relu", self._node("Add", x, y)[0])[0]

    def concat(self, x: str, y: str) -> str:
        return self._node("Concat", x, y, axis=1)[0]

    def shuffle(self, x: str) -> str:
        return self._node("DepthToSpace", x, blocksize=2, mode="CRD")[0]

    def probability(self, logits: str) -> str:
        axis = self.constant(np.array([1], dtype=np.int64))
        return self._node("Squeeze", self._node("Sigmoid", logits)[0], axis)[0]

    def _weight(self, tensor: torch.Tensor) -> str:
        return self.constant(tensor.detach().cpu().numpy().astype(np.float32))

    def constant(self, values: Array) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name


def onnx_bytes(model: Model) -> bytes:
    """The model as an ONNX file: before, after [N, band, y, x] normalised -> probability [N, y, x].

    N, y and x are free; y and x must be multiples of `model.multiple_px`.
    """
    ops = OnnxOps()
    result = ops.probability(trace(model.network, ops, "before", "after"))
    ops.nodes.append(helper.make_node("Identity", [result], ["probability"]))
    image = ["N", model.bands, "y", "x"]
    graph = helper.make_graph(
        ops.nodes,
        "geolab-change",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, image) for n in ("before", "after")],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", "y", "x"])],
        list(ops.weights.values()),
    )
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="geolab"
    )
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def write_onnx(model: Model, path: str | Path) -> Path:
    """The path, at which the model's ONNX file now lies."""
    store.write_bytes(path, onnx_bytes(model))
    return Path(path)


# ---------------------------------------------------------------- prediction


class Predictor(Protocol):
    """Probability of change [N, y, x], float32 0..1, of two normalised stacks [N, band, y, x]."""

    def __call__(self, before: Array, after: Array) -> Array: ...


def predictor(model: Model, *, device: Device = "auto", workers: int = 1) -> Predictor:
    """A callable that gives the probability of change; the same bits for every batch and worker count.

    device: "cpu" is onnxruntime, "cuda" is torch, "auto" is CUDA where there is one.
    workers: CPU threads; each works on a tile of its own.
    Raises BadInput for CUDA on a machine without it.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise BadInput("device", found=repr(device), expected="auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise BadInput("device", found="cuda, but torch sees no GPU here", expected="cpu or auto")
    if device == "cuda" or (device == "auto" and torch.cuda.is_available()):
        return TorchPredictor(model, torch.device("cuda"))
    return OnnxPredictor(onnx_bytes(model), multiple_px=model.multiple_px, workers=workers)


class OnnxPredictor:
    """onnxruntime on the CPU.

    Every image of a batch is a run of its own on one thread: summation order then can't depend
    on how many images or workers there are, and on two cores it is no slower than sharing each
    image between threads.
    """

    def __init__(self, graph: bytes, *, multiple_px: int, workers: int = 1):
        import onnxruntime  # 0.3 s: only where a model is run

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="geolab-predict")
        self._multiple_px = multiple_px

    def __call__(self, before: Array, after: Array) -> Array:
        _check_tiles(before, after, self._multiple_px)
        out = np.empty((len(before), *before.shape[2:]), dtype=np.float32)

        def one(index: int) -> None:
            feed = {"before": before[index : index + 1], "after": after[index : index + 1]}
            out[index] = np.asarray(self._session.run(None, feed)[0])[0]

        if len(before) == 1:
            one(0)
        else:
            for _ in self._pool.map(one, range(len(before))):
                pass  # raises what a thread raised
        return out


class TorchPredictor:
    """torch, on a GPU; also the CPU path that onnxruntime is compared with."""

    def __init__(self, model: Model, device: torch.device):
        network = copy.deepcopy(model.network).to(device)  # the model itself stays where it is
        self._network = network.to(memory_format=torch.channels_last).eval()  # pyright: ignore[reportCallIssue]
        self._device, self._multiple_px = device, model.multiple_px

    def __call__(self, before: Array, after: Array) -> Array:
        _check_tiles(before, after, self._multiple_px)
        with torch.inference_mode():
            dates = [torch.from_numpy(date).to(self._device) for date in (before, after)]
            return self._network(*dates).sigmoid().float().cpu().numpy()


def _check_tiles(before: Array, after: Array, multiple_px: int) -> None:
    if before.shape != after.shape or before.ndim != 4:
        found = f"{before.shape} and {after.shape}"
        raise BadInput("tiles", found=found, expected="two equal shapes [N, band, y, x]")
    if before.shape[2] % multiple_px or before.shape[3] % multiple_px:
        found = f"{before.shape[2]} x {before.shape[3]} px"
        raise BadInput("tile size", found=found, expected=f"multiples of {multiple_px} px")
