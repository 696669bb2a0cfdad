"""Numba's disk cache must notice an edit in any file of the kernels package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gmm_fast.kernels import (
    _options,
    block,
    cholesky,
    gaussian,
    kmeans,
    newcomers,
    pairs,
    products,
    short,
    tiles,
)


def test_every_dispatcher_knows_every_file():
    names = {name for name, _, _ in _options._STAMP}
    assert names == {p.name for p in Path(_options.__file__).parent.glob("*.py")}
    dispatchers = [
        value
        for module in (block, cholesky, gaussian, kmeans, newcomers, pairs, products, short, tiles)
        for value in vars(module).values()
        if hasattr(value, "_cache")
    ]
    assert len(dispatchers) > 15
    for dispatcher in dispatchers:
        assert dispatcher._cache._cache_file._source_stamp == _options._STAMP


def test_an_edit_of_a_helper_in_another_file_is_noticed(tmp_path):
    package = tmp_path / "compiled"
    package.mkdir()
    shutil.copy(_options.__file__, package / "_options.py")
    (package / "__init__.py").write_text("")
    inner = package / "inner.py"
    (package / "outer.py").write_text(
        "from ._options import _decorator\n"
        "from .inner import change\n\n"
        "@_decorator()\n"
        "def call(x):\n"
        "    return change(x)\n"
    )
    source = "from ._options import helper\n\n@helper\ndef change(x):\n    return x {}\n"
    seen = []
    for operation in ("+ 1.0", "+ 1.0", "* 10.0 "):
        text = source.format(operation)
        if not inner.exists() or inner.read_text() != text:
            inner.write_text(text)
        seen.append(_run(tmp_path))
    (first, _), (second, hits), (third, _) = seen
    assert first == second == "4.0"
    assert hits == "1"  # the cache is used at all
    assert third == "30.0"


def _run(folder):
    code = "from compiled.outer import call; print(call(3.0), sum(call.stats.cache_hits.values()))"
    environment = os.environ | {"PYTHONPATH": str(folder)}
    environment.pop("NUMBA_DISABLE_JIT", None)
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.slow
def test_no_folder_for_compiled_kernels_is_told_once():
    """As in a read-only installation without a home."""
    code = (
        "from numba.core import caching\n"
        "impl = getattr(caching, 'CacheImpl', None) or caching._CacheImpl\n"  # its name changed
        "impl._locator_classes.clear()\n"
        "import numpy as np\n"
        "from gmm_fast.backends import LocalBackend\n"
        "from gmm_fast.sources import open_source\n"
        "for _ in range(3):\n"
        "    LocalBackend(open_source(np.eye(3)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == ""
    assert run.stderr.count("set NUMBA_CACHE_DIR to a writable folder") == 1
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.slow
def test_compiled_now_or_found_in_the_cache_gives_the_same_bits(tmp_path):
    """Sums are in the order they are written in, whatever else the process has compiled."""
    code = (
        "import numpy as np\n"
        "from gmm_fast.backends import LocalBackend\n"
        "from gmm_fast.mixture.params import Params\n"
        "from gmm_fast.sources import open_source\n"
        "rng = np.random.default_rng(0)\n"
        "x = rng.normal(size=(20_000, 4))\n"
        "params = Params(np.full(3, 1 / 3), x[:3], np.stack([np.eye(4)] * 3), 'full')\n"
        "for weights in (None, rng.uniform(size=len(x))):\n"
        "    s = LocalBackend(open_source(x), weights=weights).stats(params)\n"
        "    print(s.log_likelihood, s.log_max_resp, s.total_weight)\n"
        "    print(s.n_k.sum(), s.s1.sum(), s.s2.sum())\n"
        "from gmm_fast.kernels import gaussian\n"
        "import sys\n"
        "print(len(gaussian.triangular_pass.stats.cache_hits), file=sys.stderr)\n"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    done = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(2)
    ]
    assert [d.stderr.split()[-1] for d in done] == ["0", "1"]
    assert done[0].stdout == done[1].stdout


@pytest.mark.slow
def test_a_fit_compiles_the_kernel_of_its_family_and_no_other():
    """Each costs seconds in the first fit ever on a machine; starts of large data, too.

    The last one in float32: what it compiled beside its own would be one signature more.
    """
    code = (
        "import numpy as np; from gmm_fast import GaussianMixture; "
        "from gmm_fast.kernels import gaussian\n"
        "x = np.random.default_rng(0).normal(size=(40_000, 3))\n"
        "for family, dtype in (('tied', 'f8'), ('diag', 'f8'), ('full', 'f4')):\n"
        "    GaussianMixture(2, covariance_type=family, random_state=0).fit(x.astype(dtype))\n"
        "    kernels = [getattr(gaussian, name + '_pass') for name in\n"
        "               ('triangular', 'diagonal', 'linear')]\n"
        "    print(family, *(len(kernel.signatures) for kernel in kernels))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["tied 0 0 1", "diag 0 0 1", "full 1 0 1"]


@pytest.mark.slow
def test_threads_of_a_search_compile_nothing():
    """What they launch side by side was compiled, or loaded, before they began."""
    code = (
        "import threading, numpy as np; from gmm_fast import search\n"
        "from gmm_fast.kernels import gaussian; from gmm_fast.selection import searching\n"
        "from numba.core import event\n"
        "searching.SIDE_BY_SIDE = 0\n"
        "class Listener(event.Listener):\n"
        "    def on_start(self, _):\n"
        "        print(threading.current_thread() is threading.main_thread())\n"
        "    def on_end(self, _):\n"
        "        pass\n"
        "x = np.random.default_rng(0).normal(size=(300, 3))\n"
        "with event.install_listener('numba:compile', Listener()):\n"
        "    search(x, range(1, 5), covariance=['full', 'diag'], threads=2)\n"
        "print(len(gaussian.triangular_lanes.signatures), len(gaussian.linear_lanes.signatures))\n"
    )
    environment = os.environ | {"NUMBA_NUM_THREADS": "2"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    *compiled, last = run.stdout.splitlines()
    assert last == "1 1"
    assert "False" not in compiled
