"""exp and log as polynomials, as the compiler cannot vectorise calls of the C library."""

import numpy as np
from numba.extending import overload

from ._options import FASTMATH
from .vector import add, choose, constant, fma, multiply, subtract, times_power_of_two


def exp64(x):
    """e**x for a vector of x <= 0, to 1 ulp; 0 below -50, where its square is negligible."""
    # Adding 1.5 * 2**52 rounds to an integer and leaves it in the low bits, ready to be
    # shifted into the exponent: AVX2 has no conversion from float64 to int64. Far below -50 the
    # result is nonsense, which the last line discards.
    magic = constant(x, 6755399441055744.0)
    shifted = fma(x, constant(x, 1.4426950408889634), magic)
    n = subtract(shifted, magic)
    r = fma(n, constant(x, -0.6931471803691238), x)  # n ln 2 in two parts
    r = fma(n, constant(x, -1.9082149292705877e-10), r)
    # (e^r - 1 - r) / r^2 interpolated at the Chebyshev nodes of |r| <= ln(2)/2: 1.7e-17.
    # Even and odd powers apart: two short chains instead of a long one, and no power but r^2.
    s = multiply(r, r)
    even = fma(s, constant(x, 2.7620075879983366586e-7), constant(x, 0.000024801521322368693266))
    odd = fma(s, constant(x, 2.5100375832561233664e-8), constant(x, 2.7557268480310025526e-6))
    even = fma(s, even, constant(x, 0.0013888888917196719077))
    odd = fma(s, odd, constant(x, 0.00019841269863040545271))
    even = fma(s, even, constant(x, 0.041666666666624161903))
    odd = fma(s, odd, constant(x, 0.0083333333333300644495))
    even = fma(s, even, constant(x, 0.50000000000000010211))
    odd = fma(s, odd, constant(x, 0.16666666666666667452))
    p = fma(fma(r, odd, even), s, add(r, constant(x, 1.0)))
    return choose(constant(x, -50.0), x, constant(x, 0.0), times_power_of_two(p, shifted))


def exp32(x):
    """As `exp64`, in float32; 0 below -40."""
    magic = constant(x, 12582912.0)
    shifted = fma(x, constant(x, 1.4426950408889634), magic)
    n = subtract(shifted, magic)
    r = fma(n, constant(x, -0.693115234375), x)
    r = fma(n, constant(x, -3.19461849453e-5), r)
    s = multiply(r, r)
    even = fma(s, constant(x, 0.0013926176119935579), constant(x, 0.041666554662050534))
    odd = fma(s, constant(x, 0.008363173074513711), constant(x, 0.16666577025597988))
    even = fma(s, even, constant(x, 0.5))
    p = fma(fma(r, odd, even), s, add(r, constant(x, 1.0)))
    return choose(constant(x, -40.0), x, constant(x, 0.0), times_power_of_two(p, shifted))


def log64(x):
    """ln x for x >= 1, to 2 ulp."""
    bits = np.float64(x).view(np.int64)
    m = np.int64((bits & np.int64(0xFFFFFFFFFFFFF)) | np.int64(0x3FF0000000000000)).view(np.float64)
    # the exponent's bits under those of 2**52 are the number 2**52 + exponent
    e = np.int64((bits >> np.int64(52)) | np.int64(0x4330000000000000)).view(np.float64)
    e = e - (4503599627370496.0 + 1023.0)
    e = e + 1.0 if m > 1.4142135623730951 else e
    m = 0.5 * m if m > 1.4142135623730951 else m
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    # (2 atanh(s) - 2s) / s^3 for s^2 <= 0.0295: 4.5e-18
    p = 0.1461644968504340586
    p = p * z + 0.15331721600556041269
    p = p * z + 0.1818288912526172208
    p = p * z + 0.22222211134795079855
    p = p * z + 0.28571428625975484921
    p = p * z + 0.3999999999989950449
    p = p * z + 0.66666666666666696862
    return e * 0.6931471803691238 + (e * 1.9082149292705877e-10 + (s * z * p + 2.0 * s))


def log32(x):
    """As `log64`, in float32."""
    bits = np.float32(x).view(np.int32)
    m = np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32)
    e = np.int32((bits >> np.int32(23)) | np.int32(0x4B000000)).view(np.float32)
    e = e - np.float32(8388608.0 + 127.0)
    e = e + np.float32(1.0) if m > np.float32(1.4142135) else e
    m = np.float32(0.5) * m if m > np.float32(1.4142135) else m
    s = (m - np.float32(1.0)) / (m + np.float32(1.0))
    z = s * s
    p = np.float32(0.29579949392971785)
    p = p * z + np.float32(0.399887805670219820)
    p = p * z + np.float32(0.66666685039575855)
    return e * np.float32(0.693115234375) + (
        e * np.float32(3.19461849453e-5) + (s * z * p + np.float32(2.0) * s)
    )


def exp(x):
    raise NotImplementedError("vectors exist only in compiled code")


def log(x):
    return log64(x) if isinstance(x, float) else log32(x)


@overload(exp, inline="always")
def _exp(x):
    return exp64 if x.dtype.bitwidth == 64 else exp32


def _log(x):
    return log64 if x.bitwidth == 64 else log32


overload(log, jit_options={"fastmath": FASTMATH})(_log)
