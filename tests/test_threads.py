"""BLAS stays on one thread while EM runs, and gets back what it had."""

import threading

import numpy as np
from threadpoolctl import ThreadpoolController

from gmm_fast import em
from gmm_fast.backends import LocalBackend
from gmm_fast.params import Params
from gmm_fast.sources import ArraySource
from gmm_fast.threads import serial_blas

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


def test_fits_that_overlap_do_not_restore_each_other():
    """The first one in leaves first; the second must not bring back a limit of one, nor lift it."""
    entered, leave = threading.Event(), threading.Event()

    def second():
        with serial_blas():
            entered.set()
            leave.wait(10)

    with BLAS.limit(limits=2):
        before = counts()
        other = threading.Thread(target=second)
        with serial_blas():
            other.start()
            entered.wait(10)
            assert set(counts()) <= {1}
        leave.set()
        other.join()
        assert counts() == before
