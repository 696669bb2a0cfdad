"""Work shared out to threads; BLAS on one thread while EM runs, and what it had afterwards."""

import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from gmm_fast import em
from gmm_fast.backends import LocalBackend
from gmm_fast.params import Params
from gmm_fast.sources import ArraySource
from gmm_fast.threads import THREAD_WORK, serial_blas, share_out

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
from gmm_fast.threads import serial_blas

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
