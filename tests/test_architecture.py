"""The design, checked: which room imports which, what is imported when, compiler options."""

import ast
import graphlib
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import gmm_fast

PACKAGE = Path(gmm_fast.__file__).parent

# The rooms from the bottom up, and what of other packages each may import besides NumPy. A room
# imports from those above it in this list only.
ROOMS = {
    "errors": "",
    "log": "",
    "names": "",
    "text": "",
    "checks": "",
    "kernels": "numba llvmlite",
    "mixture": "scipy",
    "sources": "pyarrow flowio flowutils h5py zarr",
    "files": "pyarrow",
    "backends": "numba psutil threadpoolctl dask distributed",
    "em": "",
    "starts": "scipy sklearn threadpoolctl",
    "fitting": "",
    "selection": "",
    "plots": "matplotlib PIL",
    "estimator": "sklearn",
    "page": "jinja2 matplotlib sklearn",
    "cli": "click numba rich",
    "__main__": "",
}
LEVEL = {room: level for level, room in enumerate(ROOMS)}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


NAMES = {name_of(path) for path in modules()}


def room_of(name):
    return name.split(".")[0]


def imports(path):
    """(our modules, other top-level packages) that a file imports anywhere in it."""
    ours, others = set(), set()
    here = path.parent.relative_to(PACKAGE).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            others.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) + 1 - node.level], *(node.module or "").split(".")]
            base = ".".join(p for p in base if p)
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                ours.add(inner if inner in NAMES else base)
    assert "gmm_fast" not in others, f"{path}: ours are imported relative to the package"
    return ours - {""}, others - set(sys.stdlib_module_names)


def test_every_room_is_in_the_list():
    assert {room_of(name) for name in NAMES - {""}} == set(ROOMS), "give a new room its place"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_down(path):
    name = name_of(path)
    ours, others = imports(path)
    if not name:
        assert ours == {"errors"}
        return
    room = room_of(name)
    wrong = {other for other in ours if LEVEL[room_of(other)] > LEVEL[room]}
    assert not wrong, f"{name} imports {wrong} from above"
    strange = others - {"numpy", *ROOMS[room].split()}
    assert not strange, f"{name} imports {strange}"


def test_no_circles():
    """Also within rooms; a package that names its modules' content is not part of one."""
    graph = {}
    for path in modules():
        if path.name != "__init__.py":
            graph[name_of(path)] = {other for other in imports(path)[0] if "." in other}
    graphlib.TopologicalSorter(graph).prepare()


def test_what_is_asked_of_modules_is_there():
    names = (f"gmm_fast.{name}".rstrip(".") for name in sorted(NAMES - {"__main__"}))
    missing = []
    for module in [importlib.import_module(name) for name in names]:
        tree = ast.parse(Path(module.__file__).read_text())
        ours = ours_in(tree, module.__spec__.parent)
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in ours:
                    if not hasattr(ours[name], attr):
                        missing.append(f"{module.__name__}:{node.lineno}: {name}.{attr}")
    assert not missing


def ours_in(tree, package):
    """Our modules by the names that a module in that package imports them under."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            path = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            there = importlib.import_module(path)
            taken = {alias.asname or alias.name: getattr(there, alias.name) for alias in node.names}
            found |= {name: value for name, value in taken.items() if inspect.ismodule(value)}
    return found


def test_the_check_sees_imports():
    ours, others = imports(PACKAGE / "starts" / "optimum.py")
    assert {"em", "backends", "starts.seeding", "errors"} <= ours
    assert others == {"numpy"}
    ours, others = imports(PACKAGE / "kernels" / "kmeans.py")
    assert ours == {"kernels._options", "kernels.vector"}
    assert others == {"numpy", "numba"}
    assert "cli.commands" in imports(PACKAGE / "cli" / "main.py")[0]  # inside functions, too


def test_families_are_named_where_they_live():
    """Elsewhere a family is asked, so that adding one is one class; defaults are exempt."""
    words = {"full", "tied", "diag", "spherical"}
    homes = {"names", "mixture.families"}
    found = []
    for path in modules():
        name = name_of(path)
        if any(name == home or name.startswith(home + ".") for home in homes):
            continue
        tree = ast.parse(path.read_text())
        exempt = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.Lambda):
                defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
                exempt |= {id(inner) for default in defaults for inner in ast.walk(default)}
            if isinstance(node, ast.keyword) and node.arg == "default":
                exempt |= {id(inner) for inner in ast.walk(node.value)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value in words and id(node) not in exempt:
                found.append(f"{name}, line {node.lineno}: {node.value!r}")
    assert not found


@pytest.mark.parametrize("module", ["gmm_fast", "gmm_fast.cli"])
def test_importing_is_cheap(module):
    code = f"import sys, {module}; print(' '.join(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in run.stdout.split()}
    assert "gmm_fast" in loaded
    heavy = "numba llvmlite numpy scipy sklearn rich matplotlib jinja2 pyarrow h5py pandas polars"
    assert not loaded & {*heavy.split(), "dask"}


@pytest.mark.parametrize("module", ["gmm_fast.cli.commands", "gmm_fast.cli.models"])
def test_what_is_not_always_installed_is_imported_on_use(module):
    code = f"import sys, {module}; print(' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in run.stdout.split()}
    assert not loaded & {"pyarrow", "h5py", "zarr", "flowio", "flowutils", "matplotlib", "jinja2"}


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


def test_modules_and_functions_are_short():
    """A module has at most 450 lines, a function 60 without its docstring."""
    long = []
    for path in modules():
        text = path.read_text()
        if len(text.splitlines()) > 450:
            long.append(name_of(path))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                start = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
                if node.end_lineno - start > 60:
                    long.append(f"{name_of(path)}.{node.name}")
    # each option of a search by name, as scikit-learn's parameters are
    assert long == ["estimator.search.search"]
