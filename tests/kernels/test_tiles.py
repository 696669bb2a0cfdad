"""The explicit-vector tiles against their plain twins, whatever the number of features."""

import os
import subprocess
import sys
from contextlib import ExitStack

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmm_fast.kernels import plain, products, tiles, vector
from gmm_fast.kernels.gaussian import LinearForm
from gmm_fast.kernels.tiles import BLOCK, STRIP_BYTES

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="vectors need the compiler")

RTOL = {np.float64: 1e-13, np.float32: 2e-5}
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])
features = st.sampled_from([2, 4, 6, 8, 10, 12, 18, 34])
fours = st.sampled_from([4, 8, 12, 20])
components = st.integers(1, 5)
seeds = st.integers(0, 2**16)

# what Python calls: the tiles themselves are parts of other functions
TILES = {
    tiles: (
        "triangular_joint",
        "diagonal_joint",
        "whiten",
        "best_component",
        "exponentials",
        "add_triangular",
        "add_outer",
        "add_diagonal",
        "transpose",
    ),
    products: ("squared_norm", "linear_joint", "copy_rows", "add_linear"),
}
run = {
    name: numba.njit(getattr(module, name).py_func, fastmath={"contract", "nsz"})
    for module, names in TILES.items()
    for name in names
}


class Block:
    """Arrays of one block with random contents."""

    def __init__(self, dtype, d, k, seed):
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.x = self.normal(d, BLOCK)
        self.means = self.normal(k, d)
        self.lower = np.tril(self.normal(k, d, d))
        self.scale = np.abs(self.normal(k, d)) + dtype(0.1)
        self.log_const = self.normal(k)
        self.h = -np.abs(self.normal(k, BLOCK))
        self.factor = np.abs(self.normal(BLOCK))
        self.strip = np.empty((d, STRIP_BYTES // np.dtype(dtype).itemsize), dtype)
        self.z = np.empty((d, BLOCK), dtype)

    def normal(self, *shape):
        return self.rng.normal(size=shape).astype(self.dtype)

    def sums(self, k, d):
        """n_k, s1, s2 of three lanes, not zero, so that adding shows."""
        shapes = (3, k), (3, k, d), (3, k, d, d)
        return [self.rng.normal(size=shape) for shape in shapes]


def both(name, arguments):
    """The arguments after the tile, and after its twin, each on copies."""
    found = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    want = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    run[name](*found)
    getattr(plain, name)(*want)
    return found, want


def agree(found, want, dtype):
    np.testing.assert_allclose(found, want, rtol=RTOL[dtype], atol=100 * RTOL[dtype])


@each_dtype
@settings(max_examples=20, deadline=None)
@given(d=features, k=components, seed=seeds)
def test_triangular_joint(dtype, d, k, seed):
    b = Block(dtype, d, k, seed)
    found, want = both("triangular_joint", (b.x, b.means, b.lower, b.log_const, b.strip, b.h))
    agree(found[-1], want[-1], dtype)


@each_dtype
@pytest.mark.parametrize("one", [True, False])
@settings(max_examples=15, deadline=None)
@given(d=features, k=components, seed=seeds)
def test_diagonal_joint(dtype, one, d, k, seed):
    b = Block(dtype, d, k, seed)
    scale = b.scale[:, :1].copy() if one else b.scale
    found, want = both("diagonal_joint", (b.x, b.means, scale, b.log_const, b.h))
    agree(found[-1], want[-1], dtype)


@each_dtype
def test_the_farthest_sample_has_a_finite_density(dtype):
    b = Block(dtype, 2, 3, 0)
    b.x[:] = np.sqrt(np.finfo(dtype).max)
    for name, shape in (("triangular_joint", b.lower), ("diagonal_joint", b.scale)):
        strip = (b.strip,) if name == "triangular_joint" else ()
        found, want = both(name, (b.x, b.means, shape, b.log_const, *strip, b.h))
        assert np.isfinite(found[-1]).all()
        agree(found[-1], want[-1], dtype)


@each_dtype
@settings(max_examples=15, deadline=None)
@given(d=features, seed=seeds)
def test_whiten(dtype, d, seed):
    b = Block(dtype, d, 1, seed)
    found, want = both("whiten", (b.x, b.lower[0], b.strip, b.z))
    agree(found[-1], want[-1], dtype)


@each_dtype
@settings(max_examples=15, deadline=None)
@given(k=components, seed=seeds, ties=st.booleans())
def test_best_component(dtype, k, seed, ties):
    b = Block(dtype, 2, k, seed)
    if ties:
        b.h = np.round(b.h)
    found, want = both("best_component", (b.h, b.factor, b.factor))
    np.testing.assert_array_equal(found[1], want[1])
    np.testing.assert_array_equal(found[2], want[2])


@each_dtype
@settings(max_examples=15, deadline=None)
@given(k=components, seed=seeds)
def test_exponentials(dtype, k, seed):
    b = Block(dtype, 2, k, seed)
    for got, want in zip(*both("exponentials", (10 * b.h, b.factor, b.factor)), strict=True):
        agree(got, want, dtype)


def exp(x):
    """The kernels' e**x for x <= 0, beside a component of which e**0 is taken."""
    x = np.append(x, np.zeros(-len(x) % BLOCK, x.dtype)).reshape(-1, 1, BLOCK)
    out = []
    for part in x:
        h = np.concatenate([np.zeros_like(part), part])
        run["exponentials"](h, np.empty(BLOCK, x.dtype), np.empty(BLOCK, x.dtype))
        out.append(h[1])
    return np.concatenate(out)


@pytest.mark.parametrize(("dtype", "cutoff"), [(np.float64, -50), (np.float32, -40)])
def test_exp(dtype, cutoff):
    """Measured: 1.05 units of the last place in float64, 1.08 in float32."""
    rng = np.random.default_rng(8)
    x = np.concatenate([np.linspace(cutoff, 0, 400_001), -(10.0 ** rng.uniform(-20, 0, 100_000))])
    x = np.maximum(x.astype(dtype), dtype(cutoff))
    want = np.exp(x.astype(np.longdouble))
    unit = np.spacing(want.astype(dtype)).astype(np.longdouble)
    assert (np.abs(exp(x)[: len(x)] - want) / unit).max() <= 1.5
    below = np.array([np.nextafter(dtype(cutoff), dtype(-np.inf)), -1e30, -np.inf], dtype)
    assert (exp(below)[:3] == 0).all()
    assert (exp(np.zeros(BLOCK, dtype)) == 1).all()


@each_dtype
@settings(max_examples=20, deadline=None)
@given(d=features, k=components, seed=seeds, lane=st.integers(0, 2))
def test_add_triangular(dtype, d, k, seed, lane):
    b = Block(dtype, d, k, seed)
    arguments = (b.x, b.means, b.h, b.factor, b.z, *b.sums(k, d), lane)
    (*_, n_k, s1, s2, _), (*_, want_n_k, want_s1, want_s2, _) = both("add_triangular", arguments)
    agree(n_k, want_n_k, dtype)
    agree(s1, want_s1, dtype)
    agree(np.tril(s2), np.tril(want_s2), dtype)


@each_dtype
@settings(max_examples=15, deadline=None)
@given(d=features, seed=seeds)
def test_add_outer(dtype, d, seed):
    b = Block(dtype, d, 2, seed)
    _, _, s2 = b.sums(2, d)
    found, want = both("add_outer", (b.x, s2, 1, 1))
    agree(np.tril(found[1]), np.tril(want[1]), dtype)


@each_dtype
@pytest.mark.parametrize("second", [True, False])
@settings(max_examples=15, deadline=None)
@given(d=fours, k=components, seed=seeds)
def test_add_diagonal(dtype, second, d, k, seed):
    b = Block(dtype, d, k, seed)
    n_k, s1, _ = b.sums(k, d)
    s2 = s1.copy() if second else s1[:, :, :0].copy()
    found, want = both("add_diagonal", (b.x, b.means, b.h, b.factor, n_k, s1, s2, 2))
    for got, expected in zip(found, want, strict=True):
        agree(got, expected, dtype)


@each_dtype
@pytest.mark.parametrize("d", [1, 3, 4, 7, 8])
@pytest.mark.parametrize("rows", [0, 8, 120, 128])
def test_transpose(dtype, d, rows):
    rng = np.random.default_rng(d)
    x = rng.normal(size=(300, d)).astype(dtype)
    center = rng.normal(size=d).astype(dtype)
    found, want = both("transpose", (x, 100, rows, center, np.zeros((d + 1, BLOCK), dtype)))
    np.testing.assert_array_equal(found[4], want[4])


def linear_form(b, k, quadratic):
    """Coefficients of k components, padded to fours."""
    kp, d = -(-k // 4) * 4, len(b.x)
    quad = -np.abs(b.normal(kp, d)) if quadratic else b.normal(0, 0)
    none = np.zeros((0, 0), b.dtype)
    return LinearForm(
        b.normal(kp, d), quad, b.normal(kp), b.normal(kp), b.normal(kp), b.x[:, 0], none
    )


@each_dtype
@pytest.mark.parametrize("quadratic", [True, False])
@settings(max_examples=15, deadline=None)
@given(d=fours, k=components, seed=seeds)
def test_linear_joint(dtype, quadratic, d, k, seed):
    b = Block(dtype, d, k, seed)
    form = linear_form(b, k, quadratic)
    found, want = both(
        "linear_joint", (b.x, np.abs(b.factor), form, b.normal(len(form.coef), BLOCK))
    )
    agree(found[-1], want[-1], dtype)


@each_dtype
def test_a_density_that_is_no_number_is_the_least(dtype):
    """Infinite squares, of both signs."""
    b = Block(dtype, 4, 2, 0)
    b.x[0, :3] = np.inf, -np.inf, np.finfo(dtype).max
    form = linear_form(b, 2, True)
    found, want = both("linear_joint", (b.x, b.factor, form, b.normal(4, BLOCK)))
    assert np.isfinite(found[-1]).all()
    assert (found[-1][:, :2] < np.finfo(dtype).min / 5).all()
    np.testing.assert_array_equal(found[-1][:, :3], want[-1][:, :3])


@each_dtype
@settings(max_examples=15, deadline=None)
@given(d=fours, seed=seeds)
def test_squared_norm(dtype, d, seed):
    b = Block(dtype, d, 1, seed)
    found, want = both("squared_norm", (b.x, b.factor))
    agree(found[-1], want[-1], dtype)


@each_dtype
@pytest.mark.parametrize("squares", [True, False])
@pytest.mark.parametrize("d", [4, 8, 12, 20])
def test_turn(dtype, squares, d):
    b = Block(dtype, d, 1, d)
    found, want = both("copy_rows", (b.x, squares, np.zeros((BLOCK, 2 * d + 3), dtype)))
    np.testing.assert_array_equal(found[-1], want[-1])


@each_dtype
@settings(max_examples=25, deadline=None)
@given(registers=st.integers(1, 5), k=st.integers(1, 9), seed=seeds, vanish=st.booleans())
def test_add_linear(dtype, registers, k, seed, vanish):
    b = Block(dtype, 4, k, seed)
    width = registers * vector.REGISTER_BYTES // np.dtype(dtype).itemsize
    h = np.zeros((-(-k // 4) * 4 + 1, BLOCK), dtype)
    h[:k] = b.h
    if vanish:
        h[seed % k] = 0
    n_k, s1 = b.rng.normal(size=(3, k)), b.rng.normal(size=(3, k, width))
    active = np.empty(len(h) - 1, np.int64)
    arguments = (b.normal(BLOCK, width), b.factor, h, np.abs(b.normal(BLOCK)), active, n_k, s1)
    (*_, got_n, got_1, got_2, _), (*_, n, one, two, _) = both(
        "add_linear", (*arguments, b.rng.normal(size=(3, k, 1)), 1)
    )
    agree(got_n, n, dtype)
    agree(got_1, one, dtype)
    agree(got_2, two, dtype)


@pytest.mark.parametrize("kernel", ["add_triangular", "add_diagonal"])
def test_a_component_without_responsibilities_is_passed_over(kernel):
    b = Block(np.float64, 4, 2, 1)
    b.h[1] = 0
    n_k, s1, s2 = b.sums(2, 4)
    z = (b.z,) if kernel == "add_triangular" else ()
    s2 = s2 if kernel == "add_triangular" else s2[:, :, 0].copy()
    before = n_k.copy(), s1.copy(), s2.copy()
    run[kernel](b.x, b.means, b.h, b.factor, *z, n_k, s1, s2, 0)
    for now, then in zip((n_k, s1, s2), before, strict=True):
        np.testing.assert_array_equal(now[:, 1], then[:, 1])
        assert (now[0, 0] != then[0, 0]).any()


def test_any_width_of_registers(tmp_path):
    """NEON's, AVX2's and AVX-512's: LLVM splits what this processor does not have.

    Its own width is that of all other tests. Each process compiles everything, so they do at once,
    and each has one dtype: the fewest numbers in a register, and the most.
    """
    narrow, wide = sorted({16, 32, 64} - {vector.REGISTER_BYTES})
    with ExitStack() as stack:
        running = [
            stack.enter_context(tiles_of_width(width, dtype, tmp_path / dtype))
            for width, dtype in ((narrow, "float64"), (wide, "float32"))
        ]
        for process in running:
            said = process.communicate()[0]
            assert process.returncode == 0, said
            assert "1 passed" in said


def tiles_of_width(width, dtype, folder):
    """A process that checks every tile once."""
    options = ["-q", "-p", "no:cacheprovider", "-k", f"agrees and {dtype}", __file__]
    code = (
        "import sys, pytest; from gmm_fast.kernels import vector;"
        f"vector.REGISTER_BYTES = {width};"
        f"sys.exit(pytest.main({options!r}))"
    )
    env = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, "-c", code], env=env, text=True, **pipes)


@each_dtype
def test_all_agrees_with_plain(dtype):
    """Every tile once, for `test_any_width_of_registers`."""
    b = Block(dtype, 12, 3, 5)
    n_k, s1, s2 = b.sums(3, 12)
    for name, arguments, where in (
        ("triangular_joint", (b.x, b.means, b.lower, b.log_const, b.strip, b.h), -1),
        ("diagonal_joint", (b.x, b.means, b.scale, b.log_const, b.h), -1),
        ("whiten", (b.x, b.lower[0], b.strip, b.z), -1),
        ("best_component", (b.h, b.factor, b.factor), 2),
        ("exponentials", (b.h, b.factor, b.factor), 0),
        ("add_diagonal", (b.x, b.means, b.h, b.factor, n_k, s1, s1, 1), 6),
        ("transpose", (b.x.T.copy(), 0, 128, b.scale[0], np.zeros((12, BLOCK), dtype)), 4),
        ("linear_joint", (b.x, b.factor, linear_form(b, 3, True), b.normal(4, BLOCK)), 3),
        ("copy_rows", (b.x, True, np.zeros((BLOCK, 24), dtype)), 2),
    ):
        found, want = both(name, arguments)
        agree(found[where], want[where], dtype)
    found, want = both("add_triangular", (b.x, b.means, b.h, b.factor, b.z, n_k, s1, s2, 1))
    agree(np.tril(found[-2]), np.tril(want[-2]), dtype)
