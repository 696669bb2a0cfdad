"""Work shared out to threads; BLAS on one thread while EM runs, and what it had afterwards."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from cases import random_params
from threadpoolctl import ThreadpoolController

from gmm_fast import em
from gmm_fast.backends import LocalBackend, local
from gmm_fast.backends.threads import (
    THREAD_WORK,
    alone,
    importing,
    serial_blas,
    share_out,
    side_by_side,
    works_alone,
)
from gmm_fast.mixture.params import Params
from gmm_fast.sources import ArraySource

BLAS = ThreadpoolController().select(user_api="blas")


def counts():
    return [library["num_threads"] for library in BLAS.info()]


def test_blas_has_one_thread_in_a_fit_and_its_own_again_afterwards():
    x = np.random.default_rng(0).normal(size=(200, 2))
    start = Params(np.ones(1), np.zeros((1, 2)), np.eye(2)[None], "full")
    seen = []
    with BLAS.limit(limits=2):
        before = counts()
        em.fit(
            LocalBackend(ArraySource(x)),
            start,
            em.Settings(max_iter=2),
            callback=lambda *_: seen.append(counts()),
        )
        assert counts() == before
    assert seen
    assert all(count == 1 for found in seen for count in found)


def test_the_limit_is_lifted_after_an_error():
    with BLAS.limit(limits=2):
        before = counts()
        try:
            with serial_blas():
                raise KeyError
        except KeyError:
            pass
        assert counts() == before


def test_who_leaves_last_restores():
    """Not the first, while others are inside; nor what the second found: a limit of one."""
    code = """
import threading
import numpy, scipy.linalg
from threadpoolctl import ThreadpoolController
from gmm_fast.backends.threads import serial_blas

blas = ThreadpoolController().select(user_api="blas")
blas.limit(limits=2)  # in no context, which would hide what is to be seen
counts = lambda: [library["num_threads"] for library in blas.info()]
before = counts()
entered, leave = threading.Event(), threading.Event()

def second():
    with serial_blas():
        entered.set()
        leave.wait(10)

other = threading.Thread(target=second)
with serial_blas(), serial_blas():
    other.start()
    entered.wait(10)
    assert set(counts()) == {1}, counts()
assert set(counts()) == {1}, counts()
leave.set()
other.join()
assert counts() == before, counts()
with serial_blas():
    assert set(counts()) == {1}, counts()
assert counts() == before, counts()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_score_is_the_same_bits_whatever_blas_has():
    """OpenBLAS factorises a matrix of that size in another way on two threads."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(200, 400))
    params = Params(np.ones(1), np.zeros((1, 200)), (a @ a.T)[None], "full")
    backend = LocalBackend(ArraySource(rng.normal(size=(300, 200))))
    found = []
    for threads in (1, 2):
        with BLAS.limit(limits=threads):
            found += [out.log_prob.copy() for _, out in backend.score(params, log_prob=True)]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("work", [0, 2.5 * THREAD_WORK, 1e12])
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("grains", [1, 2, 3, 7])
def test_every_sample_is_shared_out_once(grains, threads, work):
    seen = []
    share_out(lambda start, stop: seen.append((start, stop)), 8 * grains, 8, threads, work)
    assert len(seen) == min(threads, grains, 1 + int(work // THREAD_WORK))
    counted = np.zeros(8 * grains)
    for start, stop in seen:
        assert start % 8 == stop % 8 == 0
        counted[start:stop] += 1
    assert (counted == 1).all()


def test_what_a_thread_raises_is_raised():
    def fail(start, stop):
        if start > 0:
            raise KeyError(start)

    with pytest.raises(KeyError):
        share_out(fail, 16, 8, 2, 1e12)


# Side by side -----------------------------------------------------------------------------------


def test_alone_is_a_matter_of_the_thread():
    assert not works_alone()
    with alone():
        assert works_alone()
        with alone():
            assert works_alone()
        assert works_alone()
        seen = []
        other = threading.Thread(target=lambda: seen.append(works_alone()))
        other.start()
        other.join()
        assert seen == [False]
        share_out(lambda *part: seen.append(part), 80, 8, 4, 1e12)
        assert seen[1:] == [(0, 80)]
    assert not works_alone()


def test_a_kernel_that_runs_alone_finds_the_same_bits(family, monkeypatch):
    monkeypatch.setattr(local, "THREAD_WORK", 1)
    x = np.random.default_rng(0).normal(size=(5000, 3))
    params = random_params(np.random.default_rng(1), family, 4, 3)
    one = LocalBackend(ArraySource(x))
    want = one.stats(params)

    def launched(*_):
        raise AssertionError("Numba's threads were asked for")

    monkeypatch.setattr(local, "run_kernel", launched)
    with alone():
        found = one.stats(params)
    for name in ("n_k", "s1", "s2"):
        np.testing.assert_array_equal(getattr(found, name), getattr(want, name))
    assert found.log_likelihood == want.log_likelihood


def test_side_by_side_returns_in_order():
    """Two at a time: each waits until the other has begun."""
    both = threading.Barrier(2)

    def work(item):
        assert works_alone()
        both.wait(10)
        return item, threading.current_thread().name

    found = side_by_side(work, range(4), 2)
    assert [item for item, _ in found] == [0, 1, 2, 3]
    assert len({name for _, name in found}) == 2


@pytest.mark.parametrize(("items", "threads"), [([], 2), ([7], 2), ([7, 8], 1)])
def test_what_needs_no_threads_runs_here(items, threads):
    here = threading.current_thread()

    def work(item):
        assert threading.current_thread() is here
        assert not works_alone()
        return item

    assert side_by_side(work, items, threads) == items


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit])
def test_an_error_ends_what_runs_beside_it(error):
    """At its next launch; what has not begun does not."""
    begun, ended = threading.Event(), []

    def work(item):
        if item == 1:
            begun.wait(10)
            raise error
        if item > 1:
            ended.append(item)
            return
        begun.set()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            works_alone()
        ended.append(item)

    with pytest.raises(error):
        side_by_side(work, [0, 1, 2, 3, 4], 2)
    assert 0 not in ended


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_waits_for_an_import(tmp_path, monkeypatch):
    """A child of a fork in the middle of one would wait for ever for the module's lock."""
    (tmp_path / "slowly_imported.py").write_text("import time\ntime.sleep(0.5)\n")
    monkeypatch.syspath_prepend(tmp_path)
    begun = threading.Event()

    def load():
        with importing():
            begun.set()
            import slowly_imported  # noqa: F401 - what it holds is of no interest

    thread = threading.Thread(target=load)
    thread.start()
    begun.wait()
    child = os.fork()
    if child == 0:
        import slowly_imported  # noqa: F401 - as above

        os._exit(7)
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    thread.join()
    if ended[0] == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended[1]) == 7
