"""Functions of lanes: roots, absolute values, powers of 2 and their logarithm; without a branch.

root(lanes), upward(lanes) (ceiling), size_of(lanes) (absolute value), exp2(lanes), log2(lanes)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from geolab.splats.rasterize.kernels.simd import FLAGS, LANES, constant, intrinsic


def _number(like: Any, value: float) -> Any:
    """The number in each lane, as float32 holds it if like is that: LLVM refuses others as constants."""
    return constant(like, float(np.float32(value)) if isinstance(like, ir.FloatType) else value)


def _unary(name: str) -> Any:
    """An intrinsic of one lanes argument that is LLVM's own."""

    @intrinsic
    def function(typingctx, a):  # noqa: ARG001
        def emit(context, builder, sig, args):  # noqa: ARG001
            suffix = f"v{LANES}{'f32' if sig.args[0].dtype == types.float32 else 'f64'}"
            kind = ir.FunctionType(args[0].type, [args[0].type])
            return builder.call(
                cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.{suffix}"), args
            )

        return a(a), emit

    return function


root = _unary("sqrt")
upward = _unary("ceil")
size_of = _unary("fabs")


# Taylor's coefficients for float64; for float32 the minimax polynomial of 2^x on -1/2..1/2 (error 8e-8)
_EXP2 = {
    32: (1.00000007, 0.693146967, 0.240221197, 0.0555071327, 0.00967554133, 0.00132764719),
    64: tuple(math.log(2.0) ** i / math.factorial(i) for i in range(14)),
}


@intrinsic
def exp2(typingctx, power):  # noqa: ARG001
    """2 to the power of each lane; meaningless beyond -126..127, but never a trap."""
    bits = power.dtype.bitwidth
    mantissa = 23 if bits == 32 else 52

    def emit(context, builder, sig, args):  # noqa: ARG001
        x, real, whole = args[0], args[0].type.element, ir.IntType(bits)
        magic = constant(real, 1.5 * 2.0**mantissa)  # adding it rounds: the low bits then hold the integer
        shifted = builder.fadd(x, magic)
        rest = builder.fsub(x, builder.fsub(shifted, magic))
        value = _number(real, _EXP2[bits][-1])
        for term in _EXP2[bits][-2::-1]:
            product = builder.fmul(value, rest, flags=FLAGS)
            value = builder.fadd(
                product, constant(real, np.float32(term) if bits == 32 else term), flags=FLAGS
            )
        integers = ir.VectorType(whole, LANES)
        exponent = builder.shl(builder.bitcast(shifted, integers), constant(whole, mantissa))
        return builder.bitcast(builder.add(builder.bitcast(value, integers), exponent), x.type)

    return power(power), emit


_SERIES = {32: 5, 64: 11}  # terms of the logarithm's series that matter


@intrinsic
def log2(typingctx, a):  # noqa: ARG001
    """Logarithm to the base 2 of positive lanes: of the mantissa m in 0.71..1.41 by the series of artanh.

    log2(m) = 2 / ln 2 (s + s^3 / 3 + s^5 / 5 + ...), s = (m - 1) / (m + 1).
    """
    bits = a.dtype.bitwidth
    mantissa, root_half = (23, 0x3F3504F3) if bits == 32 else (52, 0x3FE6A09E667F3BCD)

    def emit(context, builder, sig, args):  # noqa: ARG001
        x, real, whole = args[0], args[0].type.element, ir.IntType(bits)
        integers = ir.VectorType(whole, LANES)
        raw = builder.sub(builder.bitcast(x, integers), constant(whole, root_half))
        exponent = builder.ashr(raw, constant(whole, mantissa))
        scaled = builder.sub(builder.bitcast(x, integers), builder.shl(exponent, constant(whole, mantissa)))
        m, one = builder.bitcast(scaled, x.type), constant(real, 1.0)
        s = builder.fdiv(builder.fsub(m, one), builder.fadd(m, one))
        square = builder.fmul(s, s)
        series = _number(real, 2 / math.log(2.0) / (2 * _SERIES[bits] - 1))
        for term in range(_SERIES[bits] - 2, -1, -1):
            product = builder.fmul(series, square, flags=FLAGS)
            series = builder.fadd(product, _number(real, 2 / math.log(2.0) / (2 * term + 1)), flags=FLAGS)
        return builder.fadd(
            builder.sitofp(exponent, x.type), builder.fmul(series, s, flags=FLAGS), flags=FLAGS
        )

    return a(a), emit
