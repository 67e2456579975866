"""Lanes from arrays and back: neighbours (load, store) or numbers picked by index (pick, put)."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from geolab.splats.rasterize.kernels.simd import LANES, Lanes, intrinsic


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    place = builder.gep(data, [index])
    vector = context.get_value_type(Lanes(array_type.dtype))
    return builder.bitcast(place, vector.as_pointer())


@intrinsic
def load(typingctx, array, index):  # noqa: ARG001
    """The lanes array[index], array[index + 1], ... of a flat contiguous array; index is trusted."""

    def emit(context, builder, sig, args):
        place = _address(context, builder, sig.args[0], *args)
        return builder.load(place, align=sig.args[0].dtype.bitwidth // 8)

    return Lanes(array.dtype)(array, types.intp), emit


@intrinsic
def store(typingctx, array, index, lanes):  # noqa: ARG001
    """Writes the lanes to array[index], array[index + 1], ..."""

    def emit(context, builder, sig, args):
        place = _address(context, builder, sig.args[0], args[0], args[1])
        builder.store(args[2], place, align=sig.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, Lanes(array.dtype)), emit


def _places(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """Pointers to array[index * stride + offset], lane by lane."""
    data = context.make_array(sig.args[0])(context, builder, args[0]).data
    for lane in range(LANES):
        index = builder.sext(builder.extract_element(args[1], ir.IntType(32)(lane)), ir.IntType(64))
        yield lane, builder.gep(data, [builder.add(builder.mul(index, args[2]), args[3])])


@intrinsic
def pick(typingctx, array, index, stride, offset):  # noqa: ARG001
    """Lanes array[index * stride + offset] of a flat contiguous array; indices (int32 lanes) are trusted."""

    def emit(context, builder, sig, args):
        lanes = ir.Constant(context.get_value_type(sig.return_type), ir.Undefined)
        for lane, place in _places(context, builder, sig, args):
            lanes = builder.insert_element(lanes, builder.load(place), ir.IntType(32)(lane))
        return lanes

    return Lanes(array.dtype)(array, index, types.int64, types.int64), emit


@intrinsic
def put(typingctx, array, index, stride, offset, lanes):  # noqa: ARG001
    """Writes the lanes to array[index * stride + offset]; of equal indices the last lane stays."""

    def emit(context, builder, sig, args):
        for lane, place in _places(context, builder, sig, args):
            builder.store(builder.extract_element(args[4], ir.IntType(32)(lane)), place)
        return context.get_dummy_value()

    return types.void(array, index, types.int64, types.int64, Lanes(array.dtype)), emit
