"""The design, checked: who imports whom, what is imported when, compiler options."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gmm_fast

PACKAGE = Path(gmm_fast.__file__).parent

# From the bottom up; a module imports from layers below its own only.
LAYERS = (
    ("errors", "kernels._options", "kernels.vector", "kernels.plain"),
    ("checks", "memory", "npyheader", "params", "stats", "outputs", "log"),
    ("kernels.cholesky", "kernels.elementary", "kernels.pairs"),
    ("archive", "sources", "options", "threads", "kernels.tiles", "kernels.kmeans"),
    ("families", "kernels.block", "kernels.moves", "kernels.newcomers", "kernels.products"),
    ("resolution",),
    ("kernels.gaussian",),
    ("kernels.short",),
    ("canvas", "forms", "modelfile", "projection", "regularisation", "sampling"),
    ("tablefiles",),
    ("drawing", "rescue", "views"),
    ("backends", "captions"),
    ("cloud", "em", "criteria"),
    ("newcomers", "partition", "checkpoint", "composition", "short", "spaces"),
    ("one_covariance",),
    ("evidence",),
    ("animation", "plots", "seeding", "race", "judge", "moves"),
    ("climbing", "named_starts", "wide"),
    ("starting",),
    ("optimum",),
    ("init",),
    ("convert", "fitting", "incremental", "resuming"),
    ("searching",),
    ("crossval",),
    ("choice",),
    ("selection",),
    ("arguments", "byhand", "names"),
    ("alike",),
    ("hooks",),
    ("estimator",),
    ("api", "progress", "report"),
    ("inputs", "page", "replacing"),
    ("picturing",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# A package named there as a whole is one layer: its modules may import one another.
WHOLE = {name for name in LEVEL if "." not in name}

# Who may import what is not ours, besides the standard library and NumPy.
THIRD_PARTY = {
    "numba": {"threads", "progress"} | {n for n in LEVEL if n.startswith("kernels.")},
    "llvmlite": {"kernels.vector"},
    "scipy": {"families", "forms", "judge", "moves", "one_covariance", "evidence", "resolution"},
    "threadpoolctl": {"threads", "named_starts"},
    "psutil": {"memory"},
    "sklearn": {"arguments", "estimator", "api", "convert", "named_starts", "page.writing"},
    "pyarrow": {
        *(f"sources.{name}" for name in ("arrow", "cells", "ipc", "parquet", "text", "unpack")),
        "tablefiles",
    },
    "flowio": {"sources.fcs"},
    "flowutils": {"sources.transforms"},
    "zarr": {"sources.zarr"},
    "h5py": {"sources.hdf5", "sources.sparse_hdf5"},
    "dask": {"backends.workers"},
    "distributed": {"backends.connect", "backends.tasks", "backends.workers"},
    "matplotlib": {"animation", "canvas", "drawing", "page.pictures", "plots"},
    "PIL": {"animation"},
    "rich": {"progress", "report"},
    "click": {"cli", "options", "report"},
    "jinja2": {"page.rendering"},
}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


NAMES = {name_of(path) for path in modules()}


def unit_of(name):
    """The entry of LAYERS that a module belongs to."""
    top = name.split(".")[0]
    return top if top in WHOLE else name


def imports(path):
    """(our modules, other top-level packages) that a file imports anywhere in it."""
    ours, others = set(), set()
    here = path.parent.relative_to(PACKAGE).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            ours |= {n.removeprefix("gmm_fast.") for n in names if n.startswith("gmm_fast")}
            others |= {n.split(".")[0] for n in names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            others.add(node.module.split(".")[0])
            if node.module.startswith("gmm_fast"):
                ours.add(node.module.removeprefix("gmm_fast").removeprefix("."))
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) + 1 - node.level], *(node.module or "").split(".")]
            base = ".".join(p for p in base if p)
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                ours.add(inner if inner in NAMES else base)
    return ours - {""}, others - {"gmm_fast"} - sys.stdlib_module_names


def test_every_module_has_a_layer():
    packages = {"", "kernels"}
    units = {unit_of(name) for name in NAMES - packages}
    assert units == set(LEVEL), "give a new module its place in LAYERS"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_down(path):
    name = name_of(path)
    if name in ("", "kernels"):
        assert imports(path)[0] <= {"errors"}
        return
    ours, others = imports(path)
    unit = unit_of(name)
    wrong = {o for o in ours if unit_of(o) != unit and LEVEL[unit_of(o)] >= LEVEL[unit]}
    assert not wrong, f"{name} imports {wrong} of its own layer or above"
    strange = {o for o in others if o != "numpy" and name not in THIRD_PARTY.get(o, ())}
    assert not strange, f"{name} imports {strange}"


def test_the_check_sees_imports():
    ours, others = imports(PACKAGE / "optimum.py")
    assert {"em", "backends", "seeding", "errors"} <= ours
    assert others == {"numpy"}
    ours, others = imports(PACKAGE / "kernels" / "kmeans.py")
    assert ours == {"kernels._options", "kernels.vector"}
    assert others == {"numpy", "numba"}
    assert "commands" in imports(PACKAGE / "cli.py")[0]  # inside functions, too


@pytest.mark.parametrize("module", ["gmm_fast", "gmm_fast.cli"])
def test_importing_is_cheap(module):
    code = f"import sys, {module}; print(' '.join(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in run.stdout.split()}
    assert "gmm_fast" in loaded
    assert not loaded & {
        "numba",
        "llvmlite",
        "numpy",
        "scipy",
        "sklearn",
        "rich",
        "matplotlib",
        "jinja2",
    }
    assert not loaded & {"matplotlib", "jinja2"}
    assert not loaded & {"pyarrow", "h5py", "pandas", "polars", "dask"}


def test_fastmath_is_one_constant():
    """`fastmath=True` assumes that neither -inf nor NaN occur: it breaks log-sum-exp."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "fastmath":
                assert isinstance(node.value, ast.Name), f"{path.name}, line {node.value.lineno}"
                assert node.value.id == "FASTMATH"
    from gmm_fast.kernels import _options

    assert _options.FASTMATH.issubset({"contract", "nsz"})  # and never reassoc: see there


def test_kernels_are_compiled_by_the_shared_decorators():
    """A `numba.njit` of one's own would miss the options and the fallback of the cache."""
    for path in (PACKAGE / "kernels").glob("*.py"):
        if path.name == "_options.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                names = [ast.unparse(d) for d in node.decorator_list]
                assert not any("jit" in n for n in names), f"{path.name}: {node.name}"
