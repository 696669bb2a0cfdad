"""Fits in children of every kind and from many threads, on every threading layer of Numba's: they
neither crash nor hang, and find the same bits. What runs is in `processes.py`."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.serial]

FORKS = "fork" in multiprocessing.get_all_start_methods()
PATIENCE = 300  # seconds until a process counts as hanging
TBB = Path(sys.prefix, "lib", "libtbb.so.12")  # where pip puts it, and no loader looks


def start(scenarios, folder, layer=None, threads=2):
    """A process that runs those scenarios, with that threading layer."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path]),
        "NUMBA_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",  # more threads than cores must not wait for each other awake
    }
    environment.pop("NUMBA_THREADING_LAYER", None)
    if layer is not None:
        environment["NUMBA_THREADING_LAYER"] = layer
    if layer == "tbb" and TBB.exists():
        paths = [str(TBB.parent), environment.get("LD_LIBRARY_PATH", "")]
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, paths))
    out, said = folder / "found.json", folder / "said.txt"
    code = f"import processes; processes.main({str(out)!r}, *{scenarios!r})"
    with said.open("wb") as output:  # not a pipe, which children that hang would hold open
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def found_by(process, folder):
    """(layer, what `processes.main` has found), once it has ended."""
    try:
        status = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        status = "hangs"
    finally:
        if process.poll() is None:
            end_all(process)
    said = (folder / "said.txt").read_text()
    assert status == 0, f"{folder.name}: {status}\n{said[-4000:]}"
    found = json.loads((folder / "found.json").read_text())
    return found.pop("layer"), found


def end_all(process):
    """End a process and its children."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """(layer, what is found) on one thread of the layer that Numba chooses."""
    folder = tmp_path_factory.mktemp("reference")
    layer, found = found_by(start(("reference",), folder, threads=1), folder)
    return layer, found["reference"]


@pytest.fixture(scope="module", params=[None, "omp", "workqueue", "tbb"], ids=str)
def layer(request, reference):
    """Each threading layer that is installed; None for the one that Numba chooses."""
    name = request.param
    if name == reference[0]:
        pytest.skip("tested as what Numba chooses")
    if name is not None:
        code = "import numba; numba.get_num_threads()"
        environment = os.environ | {"NUMBA_THREADING_LAYER": name}
        if name == "tbb" and TBB.exists():
            environment["LD_LIBRARY_PATH"] = str(TBB.parent)
        tried = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        if tried.returncode != 0:
            pytest.skip(f"Numba cannot load it: {tried.stderr.strip()[-200:]}")
    return name


SCENARIOS = {
    "many_threads": ("many_threads", "fork_after_fits") if FORKS else ("many_threads",),
    "fork_during_fits": ("fork_during_fits",),
    "new_processes": ("fork_before_fits", "new_processes") if FORKS else ("new_processes",),
}


def scenarios_of(name, layer):
    """Processes that begin anew do so once: on a layer by name each would be as its parent is."""
    once = FORKS and layer is not None
    return tuple(s for s in SCENARIOS[name] if not (once and s == "new_processes"))


@pytest.fixture(scope="module")
def running(layer, tmp_path_factory):
    """{name: (process, its folder)} of all scenarios, at once: each alone leaves cores idle."""
    processes = {}
    try:
        for name in SCENARIOS:
            if FORKS or name != "fork_during_fits":
                folder = tmp_path_factory.mktemp(f"{name}_{layer}")
                processes[name] = start(scenarios_of(name, layer), folder, layer), folder
        yield processes
    finally:
        for process, _ in processes.values():
            if process.poll() is None:
                end_all(process)


def check(running, name, layer, reference):
    """All digests are those of the reference; returns what scenarios say besides."""
    chosen, expected = reference
    used, found = found_by(*running[name])
    assert used == (layer or chosen)
    assert tuple(found) == scenarios_of(name, layer)
    others = {}
    for scenario, results in found.items():
        for where, result in results.items():
            kind = where.split(":")[0]
            if kind in expected:
                assert result == expected[kind], f"{scenario}, {where}"
            else:
                others[scenario, where] = result
    return others


def test_threads_that_fit_at_the_same_time(running, layer, reference):
    """And, in the same process, its children afterwards."""
    others = check(running, "many_threads", layer, reference)
    before, after = others.pop(("many_threads", "blas"))
    assert before == after
    if FORKS:
        assert others.pop(("fork_after_fits", "lost")) == [False, True]
        assert others.pop(("fork_after_fits", "shared")) == 4 * [True]
    assert not others


@pytest.mark.skipif(not FORKS, reason="this system cannot fork")
def test_children_of_a_process_that_fits_meanwhile(running, layer, reference):
    others = check(running, "fork_during_fits", layer, reference)
    (before, *after) = others.pop(("fork_during_fits", "blas"))
    assert all(counts == before for counts in after)  # no limit of another thread's fit stays
    assert not others


def test_children_of_a_process_that_has_run_nothing(running, layer, reference):
    """Forked ones have Numba's threads, as those that begin anew have."""
    others = check(running, "new_processes", layer, reference)
    if FORKS:
        assert others.pop(("fork_before_fits", "lost")) == [False]
    assert not others
