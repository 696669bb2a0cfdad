"""exp and log as polynomials, because the compiler cannot vectorise calls of the C library."""

import numpy as np
from numba.extending import overload

from ._options import ORDERED, elementwise


@elementwise
def exp64(x):
    """e**x for x <= 0, to 1 ulp; 0 below -100, where a responsibility no longer counts."""
    t = max(x, -100.0)
    # Adding 1.5 * 2**52 rounds to an integer and leaves it in the low bits, ready to be
    # shifted into the exponent: AVX2 has no conversion from float64 to int64.
    shifted = t * 1.4426950408889634 + 6755399441055744.0
    n = shifted - 6755399441055744.0
    r = (t - n * 0.6931471803691238) - n * 1.9082149292705877e-10  # n ln 2 in two parts
    # (e^r - 1 - r) / r^2 interpolated at the Chebyshev nodes of |r| <= ln(2)/2: 1.7e-17.
    # By pairs (Estrin's scheme), a third shorter in latency than Horner's.
    r2 = r * r
    r4 = r2 * r2
    p0 = 0.50000000000000010211 + r * 0.16666666666666667452
    p2 = 0.041666666666624161903 + r * 0.0083333333333300644495
    p4 = 0.0013888888917196719077 + r * 0.00019841269863040545271
    p6 = 0.000024801521322368693266 + r * 2.7557268480310025526e-6
    p8 = 2.7620075879983366586e-7 + r * 2.5100375832561233664e-8
    p = (p0 + r2 * p2) + r4 * ((p4 + r2 * p6) + r4 * p8)
    p = p * r2 + r + 1.0
    bits = np.float64(p).view(np.int64) + (np.float64(shifted).view(np.int64) << np.int64(52))
    return np.int64(bits).view(np.float64) if x >= -100.0 else 0.0


@elementwise
def exp32(x):
    """As `exp64`, in float32; 0 below -80."""
    t = max(x, np.float32(-80.0))
    shifted = t * np.float32(1.4426950408889634) + np.float32(12582912.0)
    n = shifted - np.float32(12582912.0)
    r = (t - n * np.float32(0.693115234375)) - n * np.float32(3.19461849453e-5)
    r2 = r * r
    p0 = np.float32(0.5) + r * np.float32(0.16666577025597988)
    p2 = np.float32(0.041666554662050534) + r * np.float32(0.008363173074513711)
    p = p0 + r2 * (p2 + r2 * np.float32(0.0013926176119935579))
    p = p * r2 + r + np.float32(1.0)
    bits = np.float32(p).view(np.int32) + (np.float32(shifted).view(np.int32) << np.int32(23))
    return np.int32(bits).view(np.float32) if x >= np.float32(-80.0) else np.float32(0.0)


@elementwise
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


@elementwise
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
    return exp64(x) if isinstance(x, float) else exp32(x)


def log(x):
    return log64(x) if isinstance(x, float) else log32(x)


def _by_width(double, single):
    def choose(x):
        chosen = double if x.bitwidth == 64 else single
        return lambda x: chosen(x)

    return choose


overload(exp, jit_options={"fastmath": ORDERED})(_by_width(exp64, exp32))
overload(log, jit_options={"fastmath": ORDERED})(_by_width(log64, log32))
