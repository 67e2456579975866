"""Sixteen numbers at once: a Numba type that is one LLVM vector, with the operators of a number.

The compiler turns `Lanes` into the packed instructions of the machine (one AVX-512 register of float32, two
of AVX2, four of SSE or NEON), whatever its vectoriser would have thought of a loop. Products and sums may be
fused; they are never reordered.

    + - * / < <= > >= & | -lanes             with lanes or with a number
    splat(x), ramp(x), steps(start, count)   x in each lane; x, x + 1, x + 2, ...; the same as int32
    where(mask, lanes, lanes or number), any_of(mask), least(a, b), greatest(a, b), whole(lanes)
    sums(tuple of lanes), first_of(lanes)    lane i holds the sum over the lanes of the i-th; the first lane

memory.py reads and writes lanes, functions.py has roots and powers.
"""

from __future__ import annotations

import operator
from typing import Any

import numba.extending
from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, register_model

intrinsic: Any = numba.extending.intrinsic  # functions of it are called without their typing context
LANES = 16
FLAGS = ("contract",)


class Lanes(types.Type):
    """LANES numbers of one Numba type."""

    def __init__(self, dtype: Any):
        self.dtype = dtype
        super().__init__(f"Lanes({dtype})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Lanes):
        bits = {types.boolean: ir.IntType(1), types.int32: ir.IntType(32), types.float32: ir.FloatType()}
        super().__init__(dmm, fe_type, ir.VectorType(bits.get(fe_type.dtype, ir.DoubleType()), LANES))


def constant(like: Any, value: Any) -> ir.Constant:
    """The number in each lane of a vector of like's element type."""
    return ir.Constant(ir.VectorType(like, LANES), [value] * LANES)


def _spread(builder: Any, value: Any) -> Any:
    """The number in each lane."""
    vector = ir.VectorType(value.type, LANES)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


def _vector(builder: Any, value: Any) -> Any:
    return value if isinstance(value.type, ir.VectorType) else _spread(builder, value)


# ---------------------------------------------------------------- operators


def _register(function: Any, emit: Any, *, compares: bool = False) -> None:
    """Makes function(lanes or number, lanes or number) known; emit(builder, a, b, is_float) writes it."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:  # noqa: ARG002
            lanes = next((a for a in args if isinstance(a, Lanes)), None)
            if lanes is None or len(args) != 2:
                return None
            if not all(a == lanes or isinstance(a, types.Number) for a in args):
                return None
            result = Lanes(types.boolean) if compares else lanes
            return signature(result, *(a if a == lanes else lanes.dtype for a in args))

    register: Any = infer_global(function)
    register(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ARG001
        lanes = next(a for a in sig.args if isinstance(a, Lanes))
        a, b = (_vector(builder, v) for v in args)
        return emit(builder, a, b, isinstance(lanes.dtype, types.Float))

    for kinds in ((Lanes, Lanes), (Lanes, types.Number), (types.Number, Lanes)):
        lower_builtin(function, *kinds)(lower)


def _arithmetic(name: str) -> Any:
    def emit(builder: Any, a: Any, b: Any, is_float: bool) -> Any:
        if is_float:
            return getattr(builder, "f" + name)(a, b, flags=FLAGS)
        return getattr(builder, name)(a, b)

    return emit


def _comparison(sign: str) -> Any:
    def emit(builder: Any, a: Any, b: Any, is_float: bool) -> Any:
        return builder.fcmp_ordered(sign, a, b) if is_float else builder.icmp_signed(sign, a, b)

    return emit


for _function, _name in ((operator.add, "add"), (operator.sub, "sub"), (operator.mul, "mul")):
    _register(_function, _arithmetic(_name))
_register(operator.truediv, _arithmetic("div"))
for _function, _name in ((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">=")):
    _register(_function, _comparison(_name), compares=True)
_register(operator.and_, lambda builder, a, b, _: builder.and_(a, b))
_register(operator.or_, lambda builder, a, b, _: builder.or_(a, b))


class _Negative(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:  # noqa: ARG002
        return signature(*args, *args) if isinstance(args[0], Lanes) else None


register_negative: Any = infer_global(operator.neg)
register_negative(_Negative)


@lower_builtin(operator.neg, Lanes)
def _negative(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ARG001
    return builder.fneg(args[0])


# ---------------------------------------------------------------- made of numbers


@intrinsic
def splat(typingctx, number):  # noqa: ARG001
    """The number in every lane."""
    return Lanes(number)(number), lambda context, builder, sig, args: _spread(builder, args[0])  # noqa: ARG005


@intrinsic
def ramp(typingctx, number):  # noqa: ARG001
    """number, number + 1, number + 2, ..."""

    def emit(context, builder, sig, args):  # noqa: ARG001
        steps = ir.Constant(ir.VectorType(args[0].type, LANES), [float(i) for i in range(LANES)])
        return builder.fadd(_spread(builder, args[0]), steps)

    return Lanes(number)(number), emit


# ---------------------------------------------------------------- choices and functions


@intrinsic
def where(typingctx, mask, a, b):  # noqa: ARG001
    """Lanes of a where the mask is set, else of b (or the number b)."""

    def emit(context, builder, sig, args):  # noqa: ARG001
        return builder.select(args[0], args[1], _vector(builder, args[2]))

    return a(mask, a, b if isinstance(b, Lanes) else a.dtype), emit


@intrinsic
def any_of(typingctx, mask):  # noqa: ARG001
    """Whether the mask is set anywhere."""

    def emit(context, builder, sig, args):  # noqa: ARG001
        bits = builder.bitcast(args[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.IntType(LANES)(0))

    return types.boolean(mask), emit


@intrinsic
def least(typingctx, a, b):  # noqa: ARG001
    """The smaller of each pair; b may be a number."""

    def emit(context, builder, sig, args):  # noqa: ARG001
        b = _vector(builder, args[1])
        return builder.select(builder.fcmp_ordered("<", args[0], b), args[0], b)

    return a(a, b if isinstance(b, Lanes) else a.dtype), emit


@intrinsic
def greatest(typingctx, a, b):  # noqa: ARG001
    """The larger of each pair; b may be a number."""

    def emit(context, builder, sig, args):  # noqa: ARG001
        b = _vector(builder, args[1])
        return builder.select(builder.fcmp_ordered(">", args[0], b), args[0], b)

    return a(a, b if isinstance(b, Lanes) else a.dtype), emit


@intrinsic
def steps(typingctx, start, count):  # noqa: ARG001
    """start, start + 1, ... as int32, none larger than count - 1."""

    def emit(context, builder, sig, args):  # noqa: ARG001
        whole = ir.IntType(32)
        lanes = ir.Constant(ir.VectorType(whole, LANES), list(range(LANES)))
        lanes = builder.add(_spread(builder, builder.trunc(args[0], whole)), lanes)
        last = _spread(builder, builder.sub(builder.trunc(args[1], whole), whole(1)))
        return builder.select(builder.icmp_signed("<", lanes, last), lanes, last)

    return Lanes(types.int32)(types.int64, types.int64), emit


@intrinsic
def whole(typingctx, a):  # noqa: ARG001
    """As int32; the lanes have to be numbers that fit."""
    lanes = Lanes(types.int32)

    def emit(context, builder, sig, args):  # noqa: ARG001
        return builder.fptosi(args[0], context.get_value_type(lanes))

    return lanes(a), emit


def _merge(builder: Any, a: Any, b: Any, half: int) -> Any:
    """In each block of 2 half lanes: the sums of a's halves, then those of b's; None stands for zeros."""
    if a is None:
        return None
    b = ir.Constant(a.type, None) if b is None else b
    low, high = [], []
    for lane in range(LANES):
        block, place = lane - lane % (2 * half), lane % (2 * half)
        source = block + place if place < half else LANES + block + place - half
        low.append(source)
        high.append(source + half)
    masks = (ir.Constant(ir.VectorType(ir.IntType(32), LANES), m) for m in (low, high))
    one, two = (builder.shuffle_vector(a, b, mask) for mask in masks)
    return builder.fadd(one, two)


@intrinsic
def sums(typingctx, many):  # noqa: ARG001
    """Lane i is the sum over the lanes of many[i], at most LANES of them; lanes beyond are 0."""

    def emit(context, builder, sig, args):  # noqa: ARG001
        parts = [builder.extract_value(args[0], i) for i in range(sig.args[0].count)]
        parts += [None] * (LANES - len(parts))
        half = LANES // 2
        while len(parts) > 1:
            # i goes with i + half: the first half of the lanes sums one, the second the other
            parts = [_merge(builder, parts[i], parts[i + half], half) for i in range(half)]
            half //= 2
        return parts[0]

    return many.dtype(many), emit


@intrinsic
def first_of(typingctx, lanes):  # noqa: ARG001
    """The first lane."""

    def emit(context, builder, sig, args):  # noqa: ARG001
        return builder.extract_element(args[0], ir.IntType(32)(0))

    return lanes.dtype(lanes), emit
