"""Checkpoints: a fit that was stopped anywhere ends with the bits of one that was not."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cases import backend, draw, random_params
from invoking import run

from gmm_fast import em, fitting
from gmm_fast.backends import local
from gmm_fast.cli import progress, resuming
from gmm_fast.errors import DataError, Interrupted
from gmm_fast.files import outputs
from gmm_fast.files.archive import read_archive, write_archive
from gmm_fast.files.modelfile import read_model
from gmm_fast.fitting import checkpoint
from gmm_fast.fitting.checkpoint import Checkpoint, Job, Keeper, read_checkpoint, write_checkpoint
from gmm_fast.mixture.params import Params
from gmm_fast.selection import searching

ARRAYS = ("weights", "means", "covariances")


def bits(result):
    """All of a result that must not depend on interruptions."""
    arrays = [getattr(result.params, name) for name in ARRAYS]
    facts = {k: v for k, v in result.facts().items() if k != "seconds"}
    return [(a.dtype, a.shape, a.tobytes()) for a in arrays], facts


def bits_of_model(path):
    params, facts = read_model(path)
    return bits(em.FitResult.from_facts(params, facts))


class Stop(Exception):
    """Stands for whatever ends a fit from outside."""


@pytest.fixture
def quick_disk(monkeypatch):
    """Many small files, none of which has to survive a power cut."""
    monkeypatch.setattr(outputs.os, "fsync", lambda _: None)


# The loop ------------------------------------------------------------------------------------


def plain_case(family):
    rng = np.random.default_rng(3)
    truth = random_params(rng, family, 3, 2)
    x = draw(rng, truth, 300)
    other = random_params(rng, family, 3, 2)
    return x, Params(other.weights, x[:3].copy(), 2 * other.covariances, family)


def dying_case(family):
    """Two components that no sample belongs to."""
    x, start = plain_case(family)
    means = start.means.copy()
    means[1:] = [[1e8, 0], [-1e8, 1e8]]
    return x, Params(start.weights, means, start.covariances, family)


def collapsing_case(family):
    """A component that settles on a repeated row."""
    x, start = plain_case(family)
    x[:90] = 0.1
    covariances = start.covariances.copy()
    if family != "tied":
        covariances[0] *= 1e-4
    means = start.means.copy()
    means[0] = 0.1
    return x, Params(start.weights, means, covariances, family)


def dead_for_good_case(family):
    """All of the weight on one sample: components die until they are left."""
    x, start = plain_case(family)
    return x, start, np.eye(1, len(x), 7)[0]


CASES = (plain_case, dying_case, collapsing_case, dead_for_good_case)


def through_a_file(path, state):
    job = Job(state.params.covariance_type, state.params.n_components)
    write_checkpoint(path, Checkpoint("fit", {}, "/", running=(job, state)))
    return read_checkpoint(path).running[1]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES)
def test_a_fit_goes_on_from_every_iteration(family, case, dtype, tmp_path, quick_disk):
    x, start, *weights = case(family)
    x = x.astype(dtype)
    weights = weights[0] if weights else None
    settings = em.Settings(1e-4, 12, 0.0)
    whole = em.fit(backend(x, weights=weights), start, settings, events=["said before"])
    assert whole.events[0] == "said before"
    if case is not plain_case and not (family == "tied" and case is collapsing_case):
        assert len(whole.events) > 1  # something was rescued
    for last in range(whole.n_iter + 1):
        states = []

        def stop(state, states=states, last=last):
            states.append(state)
            if state.iteration == last:
                raise Stop

        with pytest.raises(Stop):
            em.fit(
                backend(x, weights=weights),
                start,
                settings,
                events=["said before"],
                on_state=stop,
            )
        state = through_a_file(tmp_path / "c", states[-1])
        assert [s.iteration for s in states] == list(range(last + 1))
        seen = []
        result = em.fit(
            backend(x, weights=weights),
            None,
            settings,
            state=state,
            callback=lambda i, *_, seen=seen: seen.append(i),
        )
        assert bits(result) == bits(whole)
        assert seen == list(range(last + 1, whole.n_iter + 1))
        assert result.seconds["em"] > state.seconds["em"] > 0


def test_a_fit_goes_on_on_other_threads(tmp_path):
    x, start = plain_case("full")
    x = np.tile(x, (200, 1))
    settings = em.Settings(0.0, 6, 1e-6)
    states = []
    whole = em.fit(backend(x, threads=1), start, settings, on_state=states.append)
    state = through_a_file(tmp_path / "c", states[3])
    most = min(2, os.cpu_count())
    assert bits(em.fit(backend(x, threads=most), None, settings, state=state)) == bits(whole)


def test_a_state_of_other_data_is_refused(family):
    x, start = plain_case(family)
    settings, states = em.Settings(0.0, 3, 1e-6), []
    em.fit(backend(x), start, settings, on_state=states.append)
    x[17, 1] += 1e-6
    with pytest.raises(DataError, match="X: the log-likelihood where the fit stopped was"):
        em.fit(backend(x), None, settings, state=states[-1])


# The keeper ----------------------------------------------------------------------------------


def some_state(iteration=0, family="diag"):
    params = plain_case(family)[1]
    trace = tuple(-1.0 / (i + 1) for i in range(iteration + 1))
    return em.State(params, trace, 1, ("é",), np.array([True, False, False]), {2: 1}, {"em": 0.1})


@pytest.fixture
def file(tmp_path):
    return tmp_path / "fit.ckpt"


@pytest.fixture
def keeper(file):
    return Keeper(str(file), Checkpoint("fit", {"k": 3}, "/"), every=3600, say=lambda _: None)


JOB = Job("diag", 3)


def test_what_is_kept_comes_back(file):
    x, start = plain_case("diag")
    result = em.fit(backend(x), start, em.Settings(0.0, 2, 1e-6))
    kept = Checkpoint(
        "search",
        {"tol": 1e-3, "families": ["diag", "full"], "weights": None, "data": "naïve\udcff.npy"},
        "/some/where",
        data={"mean": [1 / 3, -0.0]},
        inputs={"--weights": "abc"},
        done={JOB: (result.params, result.facts())},
        running=(Job("full", 3), some_state(3, "full")),
        complete=True,
        seconds=1 / 7,
        version="9",
    )
    write_checkpoint(file, kept)
    found = read_checkpoint(file)
    for name in checkpoint._PLAIN:
        assert getattr(found, name) == getattr(kept, name), name
    assert list(found.done) == [JOB]
    assert bits(em.FitResult.from_facts(*found.done[JOB])) == bits(result)
    (job, state), wanted = found.running, kept.running[1]
    assert job == Job("full", 3)
    assert (state.trace, state.small_steps, state.events) == (wanted.trace, 1, ("é",))
    assert (state.revivals, state.seconds) == ({2: 1}, {"em": 0.1})
    np.testing.assert_array_equal(state.collapsed, wanted.collapsed)


FORGERIES = [
    lambda header, arrays: header.update(options=None),
    lambda header, arrays: header.update(folder=3),
    lambda header, arrays: header.update(seconds="1"),
    lambda header, arrays: header.update(done=[[*JOB, {}]]),
    lambda header, arrays: header.update(done=[["diag", 2, header["done"][0][2]]]),
    lambda header, arrays: header.update(done=[["full", 3, header["done"][0][2]]]),
    lambda header, arrays: header.update(done=3),
    lambda header, arrays: header["running"][2].update(revivals=[[7, 1]]),
    lambda header, arrays: header["running"][2].update(small_steps=-1),
    lambda header, arrays: header["running"][2].update(events=[1]),
    lambda header, arrays: header["running"][2].update(seconds={"em": None}),
    lambda header, arrays: header.update(running=[*JOB, 3]),
    lambda header, arrays: arrays.update(running_trace=np.zeros(0)),
    lambda header, arrays: arrays.update(running_trace=np.array([np.nan])),
    lambda header, arrays: arrays.update(running_trace=np.array([1])),
    lambda header, arrays: arrays.update(running_collapsed=np.zeros(2, bool)),
    lambda header, arrays: arrays.update(running_collapsed=np.zeros(3)),
    lambda header, arrays: arrays.update(running_means=np.zeros((2, 2))),
    lambda header, arrays: arrays.update(running_means=np.zeros((3, 2), "f4")),
    lambda header, arrays: arrays.update(running_covariances=np.full((3, 2), np.inf)),
    lambda header, arrays: arrays.update(done0_covariances=np.zeros((3, 2))),
    lambda header, arrays: arrays.update(done0_weights=np.ones(3)),
    lambda header, arrays: arrays.pop("done0_means"),
]


@pytest.mark.parametrize("number", range(len(FORGERIES)))
def test_a_forged_checkpoint(file, number):
    """What somebody made who knows the format: refused when it is read, not in the work."""
    x, start = plain_case("diag")
    result = em.fit(backend(x), start, em.Settings(0.0, 2, 1e-6))
    done = {JOB: (result.params, result.facts())}
    write_checkpoint(file, Checkpoint("search", {}, "/", done=done, running=(JOB, some_state())))
    header, arrays = read_archive(file, checkpoint.CHECKPOINT)
    write_archive(file, checkpoint.CHECKPOINT, dict(header), arrays)
    assert read_checkpoint(file).begun
    FORGERIES[number](header, arrays)
    write_archive(file, checkpoint.CHECKPOINT, header, arrays)
    with pytest.raises(DataError, match="the checkpoint's header is not complete"):
        read_checkpoint(file)


def test_writes_are_no_more_often_than_asked(file, keeper, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    keeper.every = 10.0
    keep, written = keeper.listener(JOB), []
    for i in range(30):
        keep(some_state(i))
        now[0] += 1.0
        if not written or read_checkpoint(file).running[1].iteration != written[-1]:
            written.append(read_checkpoint(file).running[1].iteration)
    assert written == [0, 10, 20]
    assert keeper.save()
    assert read_checkpoint(file).running[1].iteration == 29


def test_without_a_path_nothing_is_kept():
    keeper = Keeper()
    assert keeper.listener(JOB) is keeper.result(JOB) is keeper.state(JOB) is None
    assert not keeper.begun
    with keeper.protect(new=True):
        assert keeper.save()
    with pytest.raises(KeyboardInterrupt), keeper.protect(new=True):
        raise KeyboardInterrupt


def test_a_result_is_written_at_once(file, keeper):
    x, start = plain_case("diag")
    keep = keeper.listener(JOB)
    keep(some_state(1)), keep(some_state(2))
    result = em.fit(backend(x), start, em.Settings(0.0, 2, 1e-6))
    keeper.finish(JOB, result)
    found = read_checkpoint(file)
    assert found.running is None
    assert bits(em.FitResult.from_facts(*found.done[JOB])) == bits(result)


def test_results_are_copies(keeper):
    x, start = plain_case("diag")
    result = em.fit(backend(x), start, em.Settings(0.0, 2, 1e-6))
    keeper.finish(JOB, result)
    wanted = bits(result)
    result.events.append("later")
    keeper.result(JOB).events.append("later still")
    assert json.dumps(bits(keeper.result(JOB))[1]) == json.dumps(wanted[1] | {"events": []})


def full_disk(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_a_full_disk_is_told_once_and_the_old_file_stays(file, keeper, monkeypatch, call):
    said = []
    keeper._say, keeper.every = said.append, 0.0
    keep = keeper.listener(JOB)
    keep(some_state(1))
    before = file.read_bytes()
    with monkeypatch.context() as patch:
        if call == "open":
            patch.setattr("builtins.open", full_disk)
        else:
            patch.setattr(outputs.os, call, full_disk)
        keep(some_state(2))
        keep(some_state(3))
        assert not keeper.save()
    assert said == [
        f"{file}: could not be written: No space left on device; the work goes on, and the "
        "checkpoint stays as it was"
    ]
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]
    keep(some_state(4))
    assert read_checkpoint(file).running[1].iteration == 4


def test_a_second_interrupt_while_writing_leaves_the_old_file(file, keeper, monkeypatch):
    def impatient(_):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught, keeper.protect(new=True):
        keep = keeper.listener(JOB)
        keep(some_state(1))
        keep(some_state(2))
        monkeypatch.setattr(outputs.os, "fsync", impatient)
        raise KeyboardInterrupt
    assert caught.value.status == 130
    assert str(caught.value) == (
        "Interrupted at iteration 2, but the checkpoint could not be updated and is from an "
        f"earlier point; go on with: gmm-fast fit --resume {file}"
    )
    assert read_checkpoint(file).running[1].iteration == 1
    assert os.listdir(file.parent) == [file.name]


def test_a_failure_before_anything_was_done_leaves_no_file(file, keeper):
    with pytest.raises(DataError), keeper.protect(new=True):
        assert not read_checkpoint(file).begun
        raise DataError("NaN")
    assert not file.exists()


def test_a_failed_first_write_does_not_remove_the_old_file(file, keeper, monkeypatch):
    file.write_bytes(b"old")
    monkeypatch.setattr(outputs.os, "fsync", full_disk)
    with pytest.raises(outputs.FitError, match="No space left"), keeper.protect(new=True):
        pass
    assert file.read_bytes() == b"old"


# The commands, in process -----------------------------------------------------------------------

FIT = "fit -k 3 data.npy --tol 0 --max-iter 9 --threads 1"
SEARCH = "search 1 3 data.npy -c full,diag --tol 0 --max-iter 9 --threads 1"


@pytest.fixture
def x(tmp_path, monkeypatch, quick_disk):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    found = draw(rng, random_params(rng, "full", 3, 2), 240)
    np.save("data.npy", found)
    return found


def run_json(line):
    return json.loads(run(f"{line} --json").stdout)


def interrupted(line, after, error=KeyboardInterrupt, code=130):
    """Run a command that is stopped after so many iterations of all its fits."""
    seen = []

    def iteration(*_):
        seen.append(1)
        if len(seen) == after:
            raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress.Progress, "iteration", iteration)
        return run(line, code)


def same_but_seconds(a, b):
    def plain(facts):
        if isinstance(facts, dict):
            return {k: plain(v) for k, v in facts.items() if k not in ("seconds", "checkpoint")}
        return [plain(v) for v in facts] if isinstance(facts, list) else facts

    assert plain(a) == plain(b)


@pytest.mark.parametrize("options", ["", "--weights w.npy --init random_from_data -c tied"])
def test_a_fit_that_was_interrupted_goes_on(x, options):
    np.save("w.npy", np.linspace(0, 1, len(x)))
    wanted = run_json(f"{FIT} {options} -o m --labels l.npy")
    assert wanted["checkpoint"] is None
    model, labels = bits_of_model("m"), Path("l.npy").read_bytes()
    os.remove("m"), os.remove("l.npy")
    stopped = interrupted(f"{FIT} {options} -o m --labels l.npy --checkpoint c", 4)
    assert stopped.stdout == ""
    assert stopped.stderr == "Interrupted at iteration 4; go on with: gmm-fast fit --resume c\n"
    assert sorted(os.listdir()) == ["c", "data.npy", "w.npy"]
    assert not read_checkpoint("c").complete
    found = run_json("fit --resume c")
    same_but_seconds(found, wanted)
    assert found["checkpoint"] == "c"
    assert (bits_of_model("m"), Path("l.npy").read_bytes()) == (model, labels)
    parts = found["seconds"]
    assert parts["total"] >= sum(v for k, v in parts.items() if k != "total") > 0
    # what is complete writes its outputs again, and does nothing else
    os.remove("m")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(em, "fit", None)
        same_but_seconds(run_json("fit --resume c"), wanted)
    assert bits_of_model("m") == model
    assert "checkpoint          c" in run("fit --resume c").stdout


def test_a_fit_goes_on_from_before_its_first_iteration(x):
    run(f"{FIT} -o whole", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "open_backend", lambda *_, **__: signal.raise_signal(signal.SIGINT))
        stopped = run(f"{FIT} --checkpoint 'a b' -o m", 130)
    assert stopped.stderr == (
        "Interrupted before the first iteration; go on with: gmm-fast fit --resume 'a b'\n"
    )
    run(stopped.stderr.partition("go on with: gmm-fast ")[2])
    assert bits_of_model("m") == bits_of_model("whole")


@pytest.mark.parametrize("start", ["--from start", "--from-labels labels.npy -k 3"])
@pytest.mark.parametrize("after", [0, 3, 9])
def test_a_given_start(x, start, after):
    """Even when the model of --from is replaced by the fit's own."""
    run("fit -k 3 data.npy --max-iter 1 -o start")
    np.save("labels.npy", np.arange(len(x)) % 3)
    line = f"fit {start} data.npy --tol 0 --max-iter 9 --threads 1"
    run(f"{line} -o whole")
    line += " -o start --checkpoint c"
    if after:
        interrupted(line, after)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fitting, "open_backend", full_interrupt)
            run(line, 130)
    run("fit --resume c")
    assert bits_of_model("start") == bits_of_model("whole")
    run("fit --resume c")
    assert bits_of_model("start") == bits_of_model("whole")


def full_interrupt(*_, **__):
    raise KeyboardInterrupt


def test_changed_inputs_are_refused(x):
    np.save("w.npy", np.ones(len(x)))
    interrupted(f"{FIT} --weights w.npy --checkpoint c", 4)
    np.save("w.npy", np.ones(len(x)) + 1e-12)
    message = run("fit --resume c", 2).stderr
    assert "--weights w.npy: the file has changed since the checkpoint was begun" in message


def test_from_another_folder(x, monkeypatch):
    run(f"{FIT} -o whole")
    wanted = bits_of_model("whole")
    interrupted(f"{FIT} --checkpoint c", 4)
    os.mkdir("sub")
    monkeypatch.chdir("sub")
    found = run_json("fit ../data.npy --resume ../c")
    assert bits_of_model("../data.gmm.npz") == wanted
    assert found["model"] == os.path.join(os.path.dirname(os.getcwd()), "data.gmm.npz")
    assert os.listdir() == []


def test_a_search_goes_on_without_fitting_again(x, monkeypatch):
    wanted = run_json(f"{SEARCH} -o m")
    model, fits = bits_of_model("m"), []
    one = searching.Work._run

    def counted(self, job, *rest):
        if len(rest) == 3:  # not a second look
            fits.append(job)
        return one(self, job, *rest)

    monkeypatch.setattr(searching.Work, "_run", counted)
    jobs = [(family, k) for family in ("full", "diag") for k in (1, 2, 3)]
    stopped = interrupted(f"{SEARCH} -o m --checkpoint c", 22)
    assert fits == jobs[:3]
    assert stopped.stderr == (
        "note: --model m: the existing file is replaced\n"
        "Interrupted at iteration 4 of K=3 full; go on with: gmm-fast search --resume c\n"
    )
    stopped = interrupted("search --resume c", 5 + 9 + 1)  # the first iteration of the fifth
    assert "at iteration 1 of K=2 diag" in stopped.stderr
    assert fits[3:] == jobs[2:5]
    found = run_json("search --resume c 1 3 data.npy")
    assert fits[6:] == jobs[4:]
    same_but_seconds(found, wanted)
    assert bits_of_model("m") == model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(em, "fit", None)
        same_but_seconds(run_json("search --resume c"), wanted)
    assert "after 6 fits" in interrupted_late("search --resume c")


@pytest.mark.parametrize("options", ["", "--early-stop", "--folds 2", "--init kmeans"])
def test_a_search_side_by_side_goes_on(x, options, monkeypatch):
    """Of fits that run at a time only those that have ended are kept; the bits are the same."""
    monkeypatch.setattr(searching, "SIDE_BY_SIDE", 0)
    line = f"{SEARCH} {options} -o m".replace("--threads 1", "--threads 2")
    wanted = run_json(line.replace("--threads 2", "--threads 1"))
    model = bits_of_model("m")
    for after in (1, 12):  # into the second checkpoint an interrupted one is resumed
        command = f"{line} --checkpoint c" if after == 1 else "search --resume c"
        assert "go on with: gmm-fast search --resume c" in interrupted(command, after).stderr
    kept = read_checkpoint("c")
    assert len(kept.done) < 6
    same_but_threads(run_json("search --resume c"), wanted)
    assert bits_of_model("m") == model
    assert len(read_checkpoint("c").done) == 6


def test_a_running_fit_goes_on_beside_others(x, monkeypatch):
    """Begun with one thread, which keeps states, and resumed with two, which do not."""
    monkeypatch.setattr(searching, "SIDE_BY_SIDE", 0)
    wanted = run_json(f"{SEARCH} -o m")
    interrupted(f"{SEARCH} -o m --checkpoint c", 22)
    assert read_checkpoint("c").running[0] == ("full", 3)
    same_but_threads(run_json("search --resume c --threads 2"), wanted)


def same_but_threads(a, b):
    for facts in (a, b):
        del facts["best"]["threads"]
    same_but_seconds(a, b)


def interrupted_late(line):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "open_backend", full_interrupt)
        return run(line, 130).stderr


def test_warnings_about_the_data_are_not_said_twice(x):
    x[:, 1] = 3.0
    np.save("data.npy", x)
    wanted = run_json(FIT)["events"]
    assert any("constant" in event for event in wanted)
    interrupted(f"{FIT} --checkpoint c", 4)
    for _ in range(2):
        assert run_json("fit --resume c")["events"] == wanted


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_signals_keep_what_was_done(x, number, status):
    seen = []

    def iteration(*_):
        seen.append(1)
        if len(seen) == 3:
            signal.raise_signal(number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress.Progress, "iteration", iteration)
        stopped = run(f"{FIT} --checkpoint c", status)
    assert stopped.stderr == "Interrupted at iteration 3; go on with: gmm-fast fit --resume c\n"
    assert read_checkpoint("c").running[1].iteration == 3


def test_a_fit_that_fails_keeps_what_was_done(x):
    stopped = interrupted(f"{FIT} --checkpoint c", 5, outputs.FitError("the disk is gone"), 1)
    assert stopped.stderr == (
        "note: what was done is in the checkpoint; go on with: gmm-fast fit --resume c\n"
        "Error: the disk is gone\n"
    )
    assert read_checkpoint("c").running[1].iteration == 5


def test_a_disk_that_fills_up_does_not_end_the_fit(x):
    wanted = run_json(FIT)
    write = checkpoint.write_checkpoint
    writes = []

    def fills_up(path, kept):
        writes.append(path)
        if len(writes) > 2:
            raise outputs.FitError(f"{path}: could not be written: No space left on device")
        write(path, kept)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "write_checkpoint", fills_up)
        result = run(f"{FIT} --checkpoint c --every 0 --json")
    same_but_seconds(json.loads(result.stdout), wanted)
    assert len(writes) > 5
    assert result.stderr.count("note: c: could not be written: No space left on device; the") == 1
    assert read_checkpoint("c").running[1].iteration == 0


# Refusals ---------------------------------------------------------------------------------------


def refused(line):
    """The message of a refusal, which changes no file."""
    before = {p.name: p.read_bytes() for p in Path().iterdir()}
    message = run(line, 2).stderr.splitlines()[-1].removeprefix("Error: ")
    assert {p.name: p.read_bytes() for p in Path().iterdir()} == before
    return message


@pytest.fixture
def fit_ckpt(x):
    interrupted(f"{FIT} --checkpoint c", 4)
    np.save("other.npy", x)


@pytest.fixture
def search_ckpt(x):
    interrupted(f"{SEARCH} --checkpoint c", 4)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--tol 1e-4", "--tol 0.0001 differs from the checkpoint's 0.0"),
        ("--max-iter 7", "--max-iter 7 differs from the checkpoint's 9"),
        ("--reg-covar 0", "--reg-covar 0.0 differs from the checkpoint's auto"),
        ("--init random", "--init random differs from the checkpoint's auto"),
        ("--n-init 2", "--n-init 2 differs from the checkpoint's 1"),
        ("--effort 0", "--effort 0.0 differs from the checkpoint's 1.0"),
        ("--seed 1", "--seed 1 differs from the checkpoint's 0"),
        ("--silhouette-rows 5", "--silhouette-rows 5 differs from the checkpoint's 10000"),
        ("--dtype float32", "--dtype float32 differs from the checkpoint's auto"),
        ("--one-feature", "--one-feature differs from the checkpoint, which lacks it"),
        ("--weights w.npy", "--weights w.npy differs from the checkpoint, which lacks it"),
        ("-o other", "--model other differs from the checkpoint's data.gmm.npz"),
        ("--labels l", "--labels l differs from the checkpoint, which lacks it"),
        ("--no-model", "--no-model differs from the checkpoint, which lacks it"),
        ("-k 4", "--k 4 differs from the checkpoint's 3"),
        ("-c tied", "--covariance tied differs from the checkpoint's full"),
        ("--from m", "--from m differs from the checkpoint, which lacks it"),
        ("--from-labels l", "--from-labels l differs from the checkpoint, which lacks it"),
        ("other.npy", "DATA other.npy differs from the checkpoint's data.npy"),
    ],
)
def test_another_option_is_refused(fit_ckpt, option, text):
    assert refused(f"fit --resume c {option}") == f"{text}; leave it out, or start a new fit"


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("1 4 data.npy", "HI 4 differs from the checkpoint's 3"),
        ("2", "LO 2 differs from the checkpoint's 1"),
        ("-c diag", "--covariance diag differs from the checkpoint's full,diag"),
        ("--criterion aic", "--criterion aic differs from the checkpoint's bic"),
        ("--folds 3", "--folds 3 differs from the checkpoint, which lacks it"),
        ("--early-stop", "--early-stop differs from the checkpoint, which lacks it"),
    ],
)
def test_another_search_is_refused(search_ckpt, option, text):
    assert refused(f"search --resume c {option}") == f"{text}; leave it out, or start a new fit"


def test_the_same_options_and_free_ones_are_not_refused(fit_ckpt):
    same = "-k 3 --tol 0 --max-iter 9 -o ./data.gmm.npz --init auto -c full"
    run(f"fit {os.path.abspath('data.npy')} --resume c {same} --threads 1 --every 1h")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x: np.vstack([x, x[:1]]), "data.npy: has 241 rows, but had 240 when"),
        (lambda x: np.hstack([x, x]), "data.npy: has 4 columns, but had 2 when"),
        (lambda x: x.astype("f4"), "data.npy: holds float32, but held float64 when"),
        (lambda x: x + np.eye(1, 240, 8).T * [0, 1e-9], "data.npy: the mean of feature 1 (coun"),
        (lambda x: x * [-1, 1], "data.npy: the mean of feature 0 (counting from 0) is "),
        (lambda x: (x - x.mean(0)) * [1, 2] + x.mean(0), "feature "),
        (lambda x: x[::-1] + np.eye(1, 240, 8).T, "data.npy: the mean of feature 0 (counting"),
    ],
)
def test_other_data_is_refused(fit_ckpt, x, change, text):
    np.save("data.npy", change(x))
    message = refused("fit --resume c")
    assert text in message
    assert "when the checkpoint was begun; give the same data, or start a new fit" in message


def test_sums_may_differ_in_the_last_digits_on_another_machine(fit_ckpt, monkeypatch):
    monkeypatch.setattr(resuming, "_computer", lambda: ["another"])
    kept = read_checkpoint("c")
    kept.data["mean"][1] *= 1 + 1e-14
    write_checkpoint("c", kept)
    assert "note: data.npy: sums over the data differ" in run("fit --resume c").stderr
    kept.data["mean"][1] *= 1 + 1e-6
    write_checkpoint("c", kept)
    assert "the mean of feature 1" in refused("fit --resume c")


def test_a_checkpoint_of_another_version_of_the_package(fit_ckpt):
    kept = read_checkpoint("c")
    kept.version = "0.0.9"
    write_checkpoint("c", kept)
    assert "note: c was written by gmm-fast 0.0.9, this is " in run("fit --resume c").stderr


def test_a_checkpoint_from_before_there_was_an_effort(fit_ckpt):
    """It was begun with the default."""
    kept = read_checkpoint("c")
    del kept.options["effort"]
    write_checkpoint("c", kept)
    assert "differs from the checkpoint's 1.0" in refused("fit --resume c --effort 2")
    run("fit --resume c --effort 1")


def test_how_far_the_start_was_searched_is_kept(fit_ckpt):
    kept = read_checkpoint("c")
    job, state = kept.running
    assert state.effort == 1.0
    assert state.moves > 0
    kept.running = job, replace(state, effort=2.5, moves=7)
    write_checkpoint("c", kept)
    facts = json.loads(run("fit --resume c --json").stdout)
    assert (facts["effort"], facts["moves"]) == (2.5, 7)


def test_data_that_is_gone(fit_ckpt):
    os.remove("data.npy")
    assert refused("fit --resume c") == "data.npy: no such file; check the path"


def test_files_that_are_no_checkpoints(fit_ckpt):
    run("fit -k 2 data.npy -o m")
    Path("text").write_text("hello")
    for line, text in [
        ("fit --resume none", "none: no such file; check the path"),
        ("fit --resume m", "m: is a model, not a checkpoint; give the file that --checkpoint nam"),
        ("fit --resume text", "text: not a gmm-fast checkpoint"),
        ("fit --resume data.npy", "data.npy: holds data (.npy), not a checkpoint; give the file"),
        ("search --resume c", "c: is the checkpoint of a fit; go on with: gmm-fast fit --resume c"),
        ("predict c data.npy", "c: is a checkpoint, not a model; give the model file"),
        (f"{FIT} --checkpoint m", "--checkpoint m: would overwrite a file that is not a check"),
        (f"{FIT} --checkpoint text", "--checkpoint text: would overwrite a file that is no"),
        (f"{FIT} --checkpoint data.npy", "--checkpoint data.npy: would overwrite a file that"),
        (f"{FIT} --checkpoint c", "--checkpoint c: is the checkpoint of an unfinished fit"),
        (f"{FIT} --checkpoint c", "go on with gmm-fast fit --resume c, replace it with"),
        (f"{FIT} --checkpoint new -o new", "--checkpoint new: would overwrite the --model file"),
        (f"{FIT} --checkpoint no/new", "no/new: there is no folder "),
        (f"{FIT} --checkpoint ''", "--checkpoint is empty; give the path of a file"),
        (f"{FIT} --checkpoint new --resume c", "--checkpoint and --resume contradict each other"),
        (
            f"{FIT} --every 5s",
            "--every needs --checkpoint or --resume; without them",
        ),
        (f"{FIT} --checkpoint new --every 5d", "'5d' is not a duration; write 30s, 5m or 1h."),
        (f"{FIT} --checkpoint new --every -1s", "'-1s' is not a duration"),
        (f"{FIT} --checkpoint new --every nan", "'nan' is not a duration"),
        (f"{FIT} --checkpoint new --every ''", "'' is not a duration"),
        ("fit -k 3", "Missing argument 'DATA'."),
        ("search 2", "Missing argument 'HI'."),
        (f"{FIT} --checkpoint new --weights other.npy", "other.npy: has 2 columns"),
    ]:
        assert text in refused(line), line


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("1.5m", 90), ("2H", 7200), ("7", 7)])
def test_durations(fit_ckpt, text, seconds):
    interrupted(f"fit --resume c --every {text}", 1)
    assert read_checkpoint("c").options["every"] is None  # said for this time only
    interrupted(f"{FIT} --checkpoint new --every {text}", 1)
    assert read_checkpoint("new").options["every"] == seconds


def test_a_damaged_checkpoint(fit_ckpt):
    whole = Path("c").read_bytes()
    rng = np.random.default_rng(5)
    for i in rng.integers(0, len(whole), 60):
        Path("c").write_bytes(whole[:i] + bytes([whole[i] ^ 16]) + whole[i + 1 :])
        with suppress(DataError):  # or else it was a date or the like in the archive
            found = read_checkpoint("c")
            assert found.running[1].trace == read_checkpoint_of(whole).running[1].trace
        Path("c").write_bytes(whole[:i])
        with pytest.raises(DataError, match="not a gmm-fast checkpoint"):
            read_checkpoint("c")
    middle = whole.index(read_checkpoint_of(whole).running[1].params.means.tobytes())
    Path("c").write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    assert "c: not a gmm-fast checkpoint, or is damaged" in refused("fit --resume c")


def read_checkpoint_of(content):
    Path("copy").write_bytes(content)
    found = read_checkpoint("copy")
    os.remove("copy")
    return found


def test_a_header_that_lacks_something(fit_ckpt, monkeypatch):
    monkeypatch.setattr(
        checkpoint, "read_archive", lambda *_: ({"command": "fit", "gmm_fast": "1"}, {})
    )
    assert refused("fit --resume c") == "c: the checkpoint's header is not complete"


def test_a_complete_checkpoint_is_replaced(fit_ckpt):
    """By the same fit as it is, by another only if that is said."""
    said = run("fit --resume c").stderr
    assert "already finished" not in said
    assert read_checkpoint("c").complete
    other = f"fit -k 2 data.npy --tol 0 --checkpoint {os.path.abspath('c')}"
    assert "is the checkpoint of another fit (its --k differs); give another" in refused(other)
    wrong = refused("search 1 2 data.npy --checkpoint c")
    assert "is the checkpoint of another fit (its command differs)" in wrong
    assert read_checkpoint("c").complete
    interrupted(f"{other} --overwrite", 2)
    assert not read_checkpoint("c").complete
    assert "replace it with --overwrite" in refused(other)
    run(f"{FIT} --checkpoint c --overwrite -o m")
    said = run(f"{FIT} --checkpoint c -o m").stderr
    assert "note: --checkpoint c: the existing file is replaced" in said
    assert "--overwrite needs --checkpoint" in refused(f"{FIT} --overwrite")


def test_a_finished_fit_says_so(fit_ckpt):
    run("fit --resume c")
    said = run("fit --resume c").stderr
    assert "note: c: the fit was already finished; its outputs are written again\n" in said
    assert "is replaced" not in said


def test_data_that_changes_meanwhile(fit_ckpt, monkeypatch):
    """The fit ends, and what it found in the data of before is in the checkpoint."""
    os.remove("c")
    monkeypatch.setattr(local.LocalBackend, "_fits", lambda *_: False)
    whole, before = progress.Progress.iteration, os.stat("data.npy").st_mtime_ns

    def touch(self, iteration, *rest):
        if iteration == 3:
            os.utime("data.npy", ns=(0, before + 1))
        whole(self, iteration, *rest)

    monkeypatch.setattr(progress.Progress, "iteration", touch)
    result = run("fit -k 2 data.npy --tol 0 --max-iter 9 --checkpoint c", code=2)
    assert "data.npy: the file changed while it was used: it was written to" in result.stderr
    assert "what was done is in the checkpoint; go on with: gmm-fast fit --res" in result.stderr
    assert read_checkpoint("c").running[1].iteration == 3
    assert not Path("data.gmm.npz").exists()


def test_leftovers_of_killed_writers_go_away(fit_ckpt):
    leftover, others = ".c.0123456789ab.tmp", [".c.tmp", ".cc.0123456789ab.tmp", ".c.x.tmp"]
    for name in (leftover, *others):
        Path(name).touch()
    run("fit --resume c")
    assert not Path(leftover).exists()
    assert all(Path(name).exists() for name in others)


def test_leftovers_of_outputs_go_away(x):
    """As of a command that was killed while it wrote labels."""
    long = f"{'labels' * 9}.npy"
    interrupted(f"{FIT} --checkpoint c -o m --labels {long}", 4)
    with pytest.raises(Stop), pytest.MonkeyPatch.context() as patch:
        patch.setattr(outputs.os, "unlink", lambda _: None)
        with outputs.atomic_write(long):
            raise Stop
    temporary = [name for name in os.listdir() if name.endswith(".tmp")]
    assert len(temporary) == 1
    other = f".{'labels' * 5}la.0123456789ab.tmp"  # of a file with as long a name
    Path(other).touch()
    Path(".m.0123456789ab.tmp").touch()
    run("fit --resume c")
    assert [name for name in os.listdir() if name.endswith(".tmp")] == [other]


# As processes -----------------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    np.save("data.npy", draw(rng, random_params(rng, "full", 6, 4, 1.0), 40_000))


def start(line):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "gmm_fast", *shlex.split(line)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed(line, seconds, path):
    """Run a command and kill it so long after the file has changed; whether it was still alive."""
    before = changed(path)
    process = start(line)
    while changed(path) == before and process.poll() is None:
        time.sleep(0.005)
    time.sleep(seconds)
    alive = process.poll() is None
    process.kill()
    text = process.communicate(timeout=60)[1]
    assert alive or process.returncode == 0, text
    return alive


def changed(path):
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return None


def progress_of(path):
    """(fits that have ended, iterations of the one that has not)."""
    found = read_checkpoint(path)
    return len(found.done), 0 if found.running is None else found.running[1].iteration


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.parametrize(
    "line",
    [
        "fit -k 8 data.npy --tol 0 --max-iter 400 --init random_from_data --silhouette-rows 0",
        "search 5 8 data.npy --tol 0 --max-iter 100 --init random_from_data --silhouette-rows 0",
    ],
)
def test_killed_at_any_moment(large, line):
    """kill -9, again and again, and the model is the one of a run in peace."""
    command = line.split()[0]
    began = time.monotonic()
    run(f"{line} -o whole")
    took = time.monotonic() - began
    rng = np.random.default_rng(len(line))
    seen, alive = [(0, 0)], []
    for i, seconds in enumerate(rng.uniform(0, 0.3 * took, 3)):
        first = f"{line} -o m --checkpoint c --every 0.02"
        alive.append(killed(f"{command} --resume c" if i else first, seconds, "c"))
        seen.append(progress_of("c"))
    assert seen == sorted(seen)
    assert seen[-1] > (0, 0)
    assert any(alive)
    done = subprocess.run(
        [sys.executable, "-m", "gmm_fast", command, "--resume", "c", "--every", "1h"],
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert bits_of_model("m") == bits_of_model("whole")
    assert not [name for name in os.listdir() if name.endswith(".tmp")]
    assert sorted(os.listdir()) == ["c", "data.npy", "m", "whole"]


@pytest.mark.slow
@pytest.mark.serial
def test_ctrl_c_tells_how_to_go_on(large):
    """What it says can be typed as it stands."""
    line = "fit -k 8 data.npy --tol 0 --max-iter 300 --init random_from_data --silhouette-rows 0"
    run(f"{line} -o whole")
    process = start(f"{line} -o m --checkpoint 'my fit.ckpt' --every 0.01")
    while not Path("my fit.ckpt").exists() or not read_checkpoint("my fit.ckpt").begun:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, text = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    told = text.strip().partition("; go on with: ")
    assert told[0].startswith("Interrupted at iteration ")
    assert told[2] == "gmm-fast fit --resume 'my fit.ckpt'"
    assert read_checkpoint("my fit.ckpt").running[1].iteration == int(told[0].split()[-1])
    run(told[2].removeprefix("gmm-fast "))
    assert bits_of_model("m") == bits_of_model("whole")
