"""Explicit SIMD vectors: a Numba type for a few registers of numbers, and its operations.

Plain loops over samples vectorise, but the compiler does not keep a tile of sums in registers; with
explicit vectors and the algebra of `tiles`, passes of full covariance became 1.4 to 2 times as
fast. Everything here becomes ordinary LLVM vector code, which LLVM splits or joins to fit the
processor, so any width gives the right answer anywhere; `REGISTER_BYTES` only selects the fast one.
It ran on AVX-512 and AVX2, with their widths and, in the tests, with that of NEON, which itself
was not available.

An index is a tuple, one number per dimension, never negative; nothing is checked.
"""

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model


def _register_bytes():
    """Width of the registers that Numba compiles for (by NUMBA_CPU_FEATURES, or this CPU)."""
    features = config.CPU_FEATURES
    if features is None:
        try:
            features = llvm.get_host_cpu_features().flatten()
        except RuntimeError:  # unknown to LLVM
            return 16
    features = features.split(",")
    return 64 if "+avx512f" in features else 32 if "+avx2" in features else 16


REGISTER_BYTES = _register_bytes()
# AVX2 has half as many registers as AVX-512 and NEON.
REGISTERS = 16 if REGISTER_BYTES == 32 else 32
# Registers of samples at a time, with four sums for each.
WIDE = 4 if REGISTERS == 32 else 2
_I32 = ir.IntType(32)


class Vector(types.Type):
    """`lanes` numbers of `dtype`."""

    def __init__(self, dtype, lanes):
        self.dtype = dtype
        self.lanes = lanes
        super().__init__(name=f"Vector({dtype}, {lanes})")

    @property
    def ir(self):
        return ir.VectorType(
            ir.DoubleType() if self.dtype.bitwidth == 64 else ir.FloatType(), self.lanes
        )


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, vector.ir)


def _vector(dtype, registers):
    dtype = types.unliteral(dtype)
    return Vector(dtype, registers.literal_value * REGISTER_BYTES * 8 // dtype.bitwidth)


def _pointer(context, builder, array_type, array, index_type, index):
    if array_type.layout != "C":
        raise TypingError(
            f"vectors lie along the last dimension of C-order arrays, not {array_type}"
        )
    data = context.make_array(array_type)(context, builder, array)
    parts = cgutils.unpack_tuple(builder, index)
    parts = [
        context.cast(builder, i, t, types.intp) for i, t in zip(parts, index_type, strict=True)
    ]
    return cgutils.get_item_pointer(context, builder, array_type, data, parts, wraparound=False)


def _spread(builder, value, vector):
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_I32, 0))
    return _shuffle(builder, one, one, [0] * vector.count)


def _shuffle(builder, a, b, lanes):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(lanes)), lanes))


@intrinsic(prefer_literal=True)
def lanes(_, array, registers):
    """How many numbers of the array's dtype `registers` registers hold."""
    count = _vector(array.dtype, registers).lanes

    def generate(context, builder, signature, args):
        return context.get_constant(types.intp, count)

    return types.intp(array, registers), generate


@intrinsic(prefer_literal=True)
def load(_, array, index, registers):
    """Load array[index] and what follows in the last dimension."""
    vector = _vector(array.dtype, registers)

    def generate(context, builder, signature, args):
        array_type, index_type, _ = signature.args
        pointer = _pointer(context, builder, array_type, args[0], index_type, args[1])
        found = builder.load(builder.bitcast(pointer, vector.ir.as_pointer()))
        found.align = vector.dtype.bitwidth // 8
        return found

    return vector(array, index, registers), generate


@intrinsic
def store(_, array, index, vector):
    """Write a vector to array[index] and what follows."""

    def generate(context, builder, signature, args):
        array_type, index_type, _ = signature.args
        pointer = _pointer(context, builder, array_type, args[0], index_type, args[1])
        done = builder.store(args[2], builder.bitcast(pointer, args[2].type.as_pointer()))
        done.align = vector.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, index, vector), generate


@intrinsic(prefer_literal=True)
def spread(_, array, index, registers):
    """array[index] in every lane."""
    vector = _vector(array.dtype, registers)

    def generate(context, builder, signature, args):
        array_type, index_type, _ = signature.args
        pointer = _pointer(context, builder, array_type, args[0], index_type, args[1])
        return _spread(builder, builder.load(pointer), vector.ir)

    return vector(array, index, registers), generate


@intrinsic(prefer_literal=True)
def splat(_, value, registers):
    """A number in every lane."""
    vector = _vector(value, registers)

    def generate(context, builder, signature, args):
        return _spread(builder, args[0], vector.ir)

    return vector(vector.dtype, registers), generate


def _lanewise(operation):
    @intrinsic
    def apply(_, a, b):
        def generate(context, builder, signature, args):
            return operation(builder, *args)

        return a(a, b), generate

    return apply


add = _lanewise(lambda builder, a, b: builder.fadd(a, b))
subtract = _lanewise(lambda builder, a, b: builder.fsub(a, b))
multiply = _lanewise(lambda builder, a, b: builder.fmul(a, b))
divide = _lanewise(lambda builder, a, b: builder.fdiv(a, b))
# Both return b if a and b cannot be compared.
smaller = _lanewise(lambda builder, a, b: builder.select(builder.fcmp_ordered("<", a, b), a, b))
larger = _lanewise(lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))


@intrinsic
def choose(_, a, b, if_larger, otherwise):
    """`if_larger` where a > b, else `otherwise`."""

    def generate(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return otherwise(a, b, if_larger, otherwise), generate


@intrinsic
def fma(_, a, b, c):
    """a b + c, rounded once."""

    def generate(context, builder, signature, args):
        vector = args[2].type
        name = f"llvm.fma.v{vector.count}f{c.dtype.bitwidth}"
        function = ir.FunctionType(vector, [vector] * 3)
        return builder.call(cgutils.get_or_insert_function(builder.module, function, name), args)

    return c(a, b, c), generate


@intrinsic
def sqrt(_, a):
    """The square root of each lane."""

    def generate(context, builder, signature, args):
        name = f"llvm.sqrt.v{a.lanes}f{a.dtype.bitwidth}"
        function = ir.FunctionType(a.ir, [a.ir])
        return builder.call(cgutils.get_or_insert_function(builder.module, function, name), args)

    return a(a), generate


def _fold(builder, vector, lanes):
    """Add the upper half to the lower one until only `lanes` are left."""
    while vector.type.count > lanes:
        half = vector.type.count // 2
        low = _shuffle(builder, vector, vector, list(range(half)))
        high = _shuffle(builder, vector, vector, list(range(half, 2 * half)))
        vector = builder.fadd(low, high)
    return vector


@intrinsic
def total(_, vector):
    """The sum of all lanes."""

    def generate(context, builder, signature, args):
        return builder.extract_element(_fold(builder, args[0], 1), ir.Constant(_I32, 0))

    return vector.dtype(vector), generate


def _four_totals(builder, a, b, c, d):
    """A vector of four sums: first within every four lanes, then over these."""
    count = a.type.count

    def pairs(u, v, even, odd):
        return builder.fadd(_shuffle(builder, u, v, even), _shuffle(builder, u, v, odd))

    if count == 2:
        ab, cd = pairs(a, b, [0, 2], [1, 3]), pairs(c, d, [0, 2], [1, 3])
        return _shuffle(builder, ab, cd, [0, 1, 2, 3])

    def in_fours(u, v, even, odd):  # lanes of four, 0 to 3 of u and 4 to 7 of v
        even, odd = (
            [i % 4 + i // 4 * count + first for first in range(0, count, 4) for i in lanes]
            for lanes in (even, odd)
        )
        return pairs(u, v, even, odd)

    ab = in_fours(a, b, [0, 4, 2, 6], [1, 5, 3, 7])
    cd = in_fours(c, d, [0, 4, 2, 6], [1, 5, 3, 7])
    return _fold(builder, in_fours(ab, cd, [0, 1, 4, 5], [2, 3, 6, 7]), 4)


@intrinsic
def add_totals(_, array, index, a, b, c, d):
    """Add the sums of four vectors to four consecutive float64 from array[index] on."""

    def generate(context, builder, signature, args):
        pointer = _pointer(context, builder, array, args[0], signature.args[1], args[1])
        sums = _four_totals(builder, *args[2:])
        four = ir.VectorType(ir.DoubleType(), 4)
        if sums.type != four:
            sums = builder.fpext(sums, four)
        pointer = builder.bitcast(pointer, four.as_pointer())
        before = builder.load(pointer)
        before.align = 8
        builder.store(builder.fadd(before, sums), pointer).align = 8
        return context.get_dummy_value()

    return types.void(array, index, a, b, c, d), generate


@intrinsic
def add_to(_, array, index, vector):
    """Add a vector to as many consecutive float64 from array[index] on."""

    def generate(context, builder, signature, args):
        pointer = _pointer(context, builder, array, args[0], signature.args[1], args[1])
        doubles = ir.VectorType(ir.DoubleType(), vector.lanes)
        added = args[2] if args[2].type == doubles else builder.fpext(args[2], doubles)
        pointer = builder.bitcast(pointer, doubles.as_pointer())
        before = builder.load(pointer)
        before.align = 8
        builder.store(builder.fadd(before, added), pointer).align = 8
        return context.get_dummy_value()

    return types.void(array, index, vector), generate


@intrinsic(prefer_literal=True)
def columns(_, array, index, groups):
    """Four vectors: array[index] and what lies below it, and the next three columns.

    Each has 4 x `groups` numbers. Rows are read four numbers at a time and transposed by shuffles.
    """
    count = groups.literal_value
    column = Vector(array.dtype, 4 * count)

    def generate(context, builder, signature, args):
        array_type, index_type, _ = signature.args
        four = ir.VectorType(column.ir.element, 4)
        row, at = (
            context.cast(builder, i, t, types.intp)
            for i, t in zip(cgutils.unpack_tuple(builder, args[1]), index_type, strict=True)
        )
        pair = types.UniTuple(types.intp, 2)

        def load_row(n):
            below = builder.add(row, context.get_constant(types.intp, n))
            position = cgutils.pack_array(builder, [below, at])
            pointer = _pointer(context, builder, array_type, args[0], pair, position)
            found = builder.load(builder.bitcast(pointer, four.as_pointer()))
            found.align = array.dtype.bitwidth // 8
            return found

        def each_group(lanes):  # the same shuffle in every four lanes
            return [
                4 * g + lane % 4 + lane // 4 * 4 * count for g in range(count) for lane in lanes
            ]

        rows = []
        for n in range(4):
            joined = load_row(n)
            for g in range(1, count):
                more = load_row(n + 4 * g)
                if g > 1:  # a shuffle needs operands of equal length
                    more = _shuffle(builder, more, more, [i % 4 for i in range(4 * g)])
                joined = _shuffle(builder, joined, more, list(range(4 * g + 4)))
            rows.append(joined)
        low = [_shuffle(builder, rows[i], rows[i + 1], each_group([0, 4, 2, 6])) for i in (0, 2)]
        high = [_shuffle(builder, rows[i], rows[i + 1], each_group([1, 5, 3, 7])) for i in (0, 2)]
        first, second = each_group([0, 1, 4, 5]), each_group([2, 3, 6, 7])
        turned = [
            _shuffle(builder, *low, first),
            _shuffle(builder, *high, first),
            _shuffle(builder, *low, second),
            _shuffle(builder, *high, second),
        ]
        return context.make_tuple(builder, signature.return_type, turned)

    return types.UniTuple(column, 4)(array, index, groups), generate


@intrinsic
def constant(_, like, value):
    """A number in every lane of a vector of the type of `like`."""
    value = types.unliteral(value)

    def generate(context, builder, signature, args):
        return _spread(builder, context.cast(builder, args[1], value, like.dtype), args[0].type)

    return like(like, value), generate


@intrinsic
def times_power_of_two(_, a, shifted):
    """a 2**n for the integer n in the low bits of `shifted`, through the exponent's bits."""

    def generate(context, builder, signature, args):
        width = a.dtype.bitwidth
        integers = ir.VectorType(ir.IntType(width), a.lanes)
        mantissa = ir.Constant(integers, [52 if width == 64 else 23] * a.lanes)
        bits, n = (builder.bitcast(v, integers) for v in args)
        return builder.bitcast(builder.add(bits, builder.shl(n, mantissa)), a.ir)

    return a(a, shifted), generate
