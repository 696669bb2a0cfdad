"""Numba's disk cache must notice an edit in any file of the kernels package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from gmm_fast.kernels import _options, block, gaussian, kmeans, pairs, products, tiles


def test_every_dispatcher_knows_every_file():
    names = {name for name, _, _ in _options._STAMP}
    assert names == {p.name for p in Path(_options.__file__).parent.glob("*.py")}
    dispatchers = [
        value
        for module in (block, gaussian, kmeans, pairs, products, tiles)
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
        "from ._options import _compiled\n"
        "from .inner import change\n\n"
        "@_compiled()\n"
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
