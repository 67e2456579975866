"""The siamese network: its layers, its one description, and what follows from that description.

`trace` writes the network down once, in terms of a handful of operations. Three kinds of
operations run it: torch (training), ONNX nodes (`export`), and intervals (`reach_px`), so
that the halo and the exported graph can't drift away from what was trained.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

# Features at 1/2, 1/4 and 1/8 of the resolution. With four bands: 0.50 and 1.98 million parameters.
WIDTHS = {"small": (24, 48, 96), "large": (48, 96, 192)}
MULTIPLE_PX = 8  # total stride: the network repeats itself exactly under shifts by so many pixels


class Conv(nn.Module):
    """Convolution, batch normalisation and, if wanted, ReLU. Nothing looks at the whole image."""

    def __init__(self, bands_in: int, bands_out: int, *, kernel: int = 3, stride: int = 1, relu: bool = True):
        super().__init__()
        # Even kernels of stride 2 keep a pixel block's centre in place, so nothing drifts by half a pixel.
        self.padding = (kernel - stride + 1) // 2
        self.kernel, self.stride, self.relu = kernel, stride, relu
        self.conv = nn.Conv2d(bands_in, bands_out, kernel, stride, self.padding, bias=False)
        self.norm = nn.BatchNorm2d(bands_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return torch.relu_(x) if self.relu else x

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution that this layer is at inference, float64 inside."""
        deviation = (self.norm.running_var.double() + self.norm.eps).sqrt()  # type: ignore[union-attr]
        gain = self.norm.weight.double() / deviation
        weight = self.conv.weight.double() * gain[:, None, None, None]
        bias = self.norm.bias.double() - self.norm.running_mean.double() * gain  # type: ignore[union-attr]
        return weight.float(), bias.float()


class Head(nn.Module):
    """A plain 3 x 3 convolution with a bias: four logits, the pixels of a 2 x 2 block."""

    kernel, stride, padding, relu = 3, 1, 1, False

    def __init__(self, bands_in: int):
        super().__init__()
        self.conv = nn.Conv2d(bands_in, 4, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)

    def folded(self) -> tuple[Tensor, Tensor]:
        assert self.conv.bias is not None
        return self.conv.weight, self.conv.bias


class Residual(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, bands: int):
        super().__init__()
        self.first = Conv(bands, bands)
        self.second = Conv(bands, bands, relu=False)


class Network(nn.Module):
    """Logits of change at full resolution for two dates that share every weight.

    forward(before, after): [N, band, y, x] each, y and x multiples of MULTIPLE_PX; returns [N, y, x].
    Swapping the dates changes nothing: only absolute differences of features reach the decoder.
    Fully convolutional siamese difference network: Caye Daudt et al. (2018), with a stride-2 stem.
    """

    def __init__(self, bands: int, size: str):
        super().__init__()
        fine, middle, deep = WIDTHS[size]
        self.stem = Conv(bands, fine, kernel=4, stride=2)
        self.fine = Conv(fine, fine)
        self.to_middle = Conv(fine, middle, kernel=2, stride=2)
        self.middle = Residual(middle)
        self.to_deep = Conv(middle, deep, kernel=2, stride=2)
        self.deep = nn.ModuleList([Residual(deep), Residual(deep)])
        # A 1 x 1 convolution to four times the features, then pixel shuffle: cheap, and unlike
        # interpolation its gradient is deterministic on every device.
        self.up_middle = Conv(deep, 4 * middle, kernel=1)
        self.join_middle = Conv(2 * middle, middle)
        self.refine_middle = Conv(middle, middle)
        self.up_fine = Conv(middle, 4 * fine, kernel=1)
        self.join_fine = Conv(2 * fine, fine)
        self.head = Head(fine)

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        return trace(self, TorchOps(), before, after)[:, 0]


Value = TypeVar("Value")


class Ops(Protocol[Value]):
    """What the network is made of."""

    def stack(self, before: Value, after: Value) -> Value:
        """Both dates as one batch."""
        ...

    def difference(self, both: Value) -> Value:
        """Absolute difference of the two halves of a batch."""
        ...

    def conv(self, layer: Conv | Head, x: Value) -> Value: ...

    def add_relu(self, x: Value, y: Value) -> Value: ...

    def concat(self, x: Value, y: Value) -> Value: ...

    def shuffle(self, x: Value) -> Value:
        """Four features become a block of 2 x 2 pixels."""
        ...


def trace(net: Network, ops: Ops[Value], before: Value, after: Value) -> Value:
    """The network, written with `ops`: logits [N, 1, y, x] of two [N, band, y, x]."""

    def residual(block: nn.Module, x: Value) -> Value:
        assert isinstance(block, Residual)
        return ops.add_relu(ops.conv(block.second, ops.conv(block.first, x)), x)

    fine = ops.conv(net.fine, ops.conv(net.stem, ops.stack(before, after)))
    middle = residual(net.middle, ops.conv(net.to_middle, fine))
    deep = ops.conv(net.to_deep, middle)
    for block in net.deep:
        deep = residual(block, deep)
    x = ops.shuffle(ops.conv(net.up_middle, ops.difference(deep)))
    x = ops.conv(net.join_middle, ops.concat(x, ops.difference(middle)))
    x = ops.shuffle(ops.conv(net.up_fine, ops.conv(net.refine_middle, x)))
    x = ops.conv(net.join_fine, ops.concat(x, ops.difference(fine)))
    return ops.shuffle(ops.conv(net.head, x))


class TorchOps:
    """Tensors; both dates go through the encoder as one batch, so they share its statistics."""

    def stack(self, before: Tensor, after: Tensor) -> Tensor:
        return torch.cat([before, after])

    def difference(self, both: Tensor) -> Tensor:
        before, after = both.chunk(2)
        return (before - after).abs()

    def conv(self, layer: nn.Module, x: Tensor) -> Tensor:
        return layer(x)

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.relu_(x + y)

    def concat(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([x, y], dim=1)

    def shuffle(self, x: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(x, 2)


Reach = tuple[int, int, int]


class ReachOps:
    """Intervals: element i of a map reads the input from `step * i + low` to `step * i + high`."""

    def stack(self, before: Reach, after: Reach) -> Reach:
        return self.concat(before, after)

    def difference(self, both: Reach) -> Reach:
        return both

    def conv(self, layer: Conv | Head, x: Reach) -> Reach:
        step, low, high = x
        before, after = layer.padding, layer.kernel - 1 - layer.padding
        return step * layer.stride, low - step * before, high + step * after

    def add_relu(self, x: Reach, y: Reach) -> Reach:
        return self.concat(x, y)

    def concat(self, x: Reach, y: Reach) -> Reach:
        assert x[0] == y[0]
        return x[0], min(x[1], y[1]), max(x[2], y[2])

    def shuffle(self, x: Reach) -> Reach:
        step, low, high = x
        return step // 2, low - step // 2, high


def reach_px(net: Network) -> int:
    """How far, in pixels, an output pixel looks to any side."""
    step, low, high = trace(net, ReachOps(), (1, 0, 0), (1, 0, 0))
    assert step == 1
    return max(-low, high)
