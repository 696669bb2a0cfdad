"""What the commands of `cli` do: open, work, write, and hand facts to `report`."""

import time
from pathlib import Path

import numpy as np

from . import criteria, em, fitting, init, report, selection
from .backends import check_weights
from .errors import DataError
from .modelfile import read_model, write_model
from .outputs import NpyWriter, check_outputs, default_output, save_npy
from .sampling import draw
from .sources import NpySource, check_columns, load_resident, open_source


def fit(data, k, covariance, from_model, from_labels, as_json, settings):
    """`gmm-fast fit`."""
    began = time.perf_counter()
    given = None
    if from_model is not None:
        given = _resume(from_model, k)
        k, covariance = given.n_components, given.covariance_type
    source = _open(data, settings)
    if given is not None:
        check_columns(source, given.n_features, from_model)
    if source.n_samples < k:  # looked at again, with the weights, when kernels are compiled
        raise DataError(
            f"{data}: {source.n_samples:,} samples are fewer than {k:,} components; ask for at "
            f"most {source.n_samples:,}"
        )
    labels = None if from_labels is None else _read_labels(from_labels, source.n_samples, k)
    outputs = _Outputs(data, settings, from_labels)
    progress = report.Progress(source.n_samples, settings["max_iter"])
    with progress.shown():
        backend, seconds, events = _open_backend(source, [covariance], [k], settings, progress)
        progress.say(f"K={k} {covariance}")
        result = fitting.fit(
            backend,
            k,
            covariance,
            given or _start(settings, labels),
            _em(settings),
            callback=progress.iteration,
        )
        progress.say("silhouette")
        scores, rows = selection.silhouettes_of(
            backend, [result.params], settings["silhouette_rows"], settings["seed"]
        )
        result.events[:0] = events
        candidate = selection.Candidate.of(result, scores[0])
        outputs.write(backend, candidate, progress)
    seconds = seconds | result.seconds | {"total": time.perf_counter() - began}
    facts = _fit_facts(backend, candidate, rows, seconds, settings, outputs)
    if as_json:
        report.print_json(facts)
    else:
        report.print_fit(data, result, facts)
    report.print_notes(result)


def search(lo, hi, data, families, criterion, as_json, settings):
    """`gmm-fast search`."""
    began = time.perf_counter()
    selection.check_search(lo, hi, families, criterion)
    source = _open(data, settings)
    selection.check_search(lo, hi, families, criterion, source.n_samples)
    outputs = _Outputs(data, settings)
    progress = report.Progress(source.n_samples, settings["max_iter"])
    with progress.shown():
        backend, seconds, events = _open_backend(
            source, families, range(lo, hi + 1), settings, progress
        )
        table = selection.search(
            backend,
            lo,
            hi,
            families,
            criterion,
            _start(settings),
            _em(settings),
            silhouette_rows=settings["silhouette_rows"],
            callback=progress.iteration,
            progress=progress.candidate,
        )
        best = table.best
        best.result.events[:0] = events
        outputs.write(backend, best, progress)
    seconds = seconds | best.result.seconds | {"total": time.perf_counter() - began}
    facts = _fit_facts(backend, best, table.silhouette_rows, seconds, settings, outputs)
    if as_json:
        rows = [selection.candidate_row(c) for c in table.candidates]
        report.print_json({"criterion": criterion, "best": facts, "candidates": rows})
    else:
        report.print_candidates(table.candidates, best, criterion)
        report.show()
        report.print_fit(data, best.result, facts, len(table.candidates))
    report.print_notes(best.result)


def predict(model, data, out, proba, as_json, settings):
    """`gmm-fast predict`."""
    params, _ = read_model(model)
    source = _open(data, settings)
    check_columns(source, params.n_features, str(model))
    if out is None:
        out = default_output(data, ".proba.npy" if proba else ".labels.npy")
    check_outputs({"--out": out}, [data, model])
    progress = report.Progress(source.n_samples)
    with progress.shown():
        backend = _scoring_backend(source, settings, progress)
        if proba:
            _write_scores(
                backend, params, out, progress, "resp", backend.dtype, (params.n_components,)
            )
            counts = None
        else:
            counts = _write_labels(backend, params, out, progress)
    facts = {
        "n_samples": backend.n_samples,
        "n_components": params.n_components,
        "counts": counts,
        "out": str(out),
    }
    if as_json:
        report.print_json(facts)
        return
    rows = [("samples", f"{backend.n_samples:,}")]
    if counts is not None:
        rows += [
            (f"component {k}", f"{count:,} ({count / backend.n_samples:.1%})")
            for k, count in enumerate(counts)
        ]
    rows.append(("responsibilities" if proba else "labels", out))
    report.print_facts(f"{data} under {model}", rows)


def score(model, data, out, as_json, settings):
    """`gmm-fast score`."""
    params, _ = read_model(model)
    source = _open(data, settings)
    check_columns(source, params.n_features, str(model))
    check_outputs({"--samples": out}, [data, model, settings["weights"]])
    progress = report.Progress(source.n_samples)
    with progress.shown():
        backend = _scoring_backend(source, settings, progress)
        result = em.FitResult.of(params, backend.stats(params), backend.n_samples)
        if out is not None:
            _write_scores(backend, params, out, progress, "log_prob", backend.dtype)
    facts = {
        "n_samples": backend.n_samples,
        "log_likelihood": result.log_likelihood,
        "mean_log_likelihood": result.mean_log_likelihood,
        "n_parameters": criteria.n_parameters(params),
        "bic": criteria.bic(result),
        "aic": criteria.aic(result),
        "icl": criteria.icl(result),
        "samples": None if out is None else str(out),
    }
    if as_json:
        report.print_json(facts)
        return
    rows = [("samples", f"{backend.n_samples:,}"), *report.score_rows(facts)]
    if out is not None:
        rows.append(("ln p(x) of samples", out))
    report.print_facts(f"{data} under {model}", rows)


def sample(model, n, out, labels_path, seed, as_json):
    """`gmm-fast sample`."""
    params, _ = read_model(model)
    check_outputs({"--out": out, "--labels": labels_path}, [model])
    x, labels = draw(params, n, seed)
    save_npy(out, x)
    if labels_path:
        save_npy(labels_path, labels.astype(np.int32))
    facts = {
        "n_samples": n,
        "n_features": params.n_features,
        "seed": seed,
        "out": str(out),
        "labels": labels_path,
    }
    if as_json:
        report.print_json(facts)
        return
    rows = [
        ("samples x features", f"{n:,} x {params.n_features}"),
        ("seed", seed),
        ("samples", out),
    ]
    if labels_path:
        rows.append(("labels", labels_path))
    report.print_facts(f"drawn from {model}", rows)


def info(model, as_json):
    """`gmm-fast info`."""
    params, facts = read_model(model)
    result = em.FitResult.from_facts(params, facts)
    shown = {
        "n_components": params.n_components,
        "n_features": params.n_features,
        "covariance_type": params.covariance_type,
        "n_parameters": criteria.n_parameters(params),
        **facts,
        "mean_log_likelihood": result.mean_log_likelihood,
        "bic": criteria.bic(result),
        "aic": criteria.aic(result),
        "icl": criteria.icl(result),
        "weights": params.weights,
        "means": params.means,
        "covariances": params.covariances,
    }
    if as_json:
        report.print_json(shown)
    else:
        report.print_info(model, result, shown)


class _Outputs:
    """Files that `fit` and `search` write, checked before the work begins."""

    def __init__(self, data, settings, from_labels=None):
        self.model = settings["model_path"]
        if self.model is None and not settings["no_model"]:
            self.model = default_output(data, ".gmm.npz")
        self.labels = settings["labels_path"]
        self.data = data
        self.seed = settings["seed"]
        # not the model of --from: a fit that goes on may replace it
        inputs = [data, settings["weights"], from_labels]
        check_outputs({"--model": self.model, "--labels": self.labels}, inputs)

    def write(self, backend, candidate, progress):
        """Write what was asked for."""
        if self.labels is not None:
            _write_labels(backend, candidate.result.params, self.labels, progress)
        if self.model is not None:
            facts = candidate.result.facts() | {
                "data": str(self.data),
                "seed": self.seed,
                "dtype": str(backend.dtype),
            }
            write_model(self.model, candidate.result.params, facts)


def _open(data, settings):
    if str(data) == "":
        raise DataError("DATA is empty; name a .npy file")
    return open_source(Path(data), one_feature=settings["one_feature"])


def _read_column(path):
    """A 1-D .npy in memory: int64 for integers, else float64."""
    with NpySource(Path(path), one_feature=True) as source:
        if source.n_features != 1:
            raise DataError(f"{path}: has {source.n_features} columns; one value per row is needed")
        if source.dtype.kind in "iub":
            return np.load(path, allow_pickle=False).reshape(-1).astype(np.int64)
        return load_resident(source, np.float64).array[:, 0]


def _read_labels(path, n_samples, k):
    return _checked(f"--from-labels {path}", init.check_labels, _read_column(path), n_samples, k)


def _read_weights(settings, n_samples):
    path = settings.get("weights")
    if path is None:
        return None
    return _checked(f"--weights {path}", check_weights, _read_column(path), n_samples)


def _checked(what, check, values, n_samples, *rest):
    """`check(values, n_samples, *rest)`, its messages naming the option and the file."""
    if len(values) != n_samples:
        raise DataError(
            f"{what}: has {len(values):,} values for {n_samples:,} rows of data; one value per "
            "row is needed"
        )
    try:
        return check(values, n_samples, *rest)
    except DataError as error:
        raise DataError(f"{what}: {str(error).removeprefix('sample_weight: ')}") from None


def _open_backend(source, families, numbers, settings, progress):
    weights = _read_weights(settings, source.n_samples)
    progress.say("reading the data")
    return fitting.open_backend(
        source,
        families,
        numbers,
        dtype=_dtype(settings),
        weights=weights,
        threads=settings["threads"],
        memory=settings["memory"],
        silhouette_rows=settings["silhouette_rows"],
    )


def _scoring_backend(source, settings, progress):
    weights = _read_weights(settings, source.n_samples)
    progress.say("scoring")
    return fitting.scoring_backend(
        source,
        dtype=_dtype(settings),
        weights=weights,
        threads=settings["threads"],
        memory=settings["memory"],
    )


def _dtype(settings):
    return None if settings["dtype"] == "auto" else settings["dtype"]


def _em(settings):
    return em.Settings(settings["tol"], settings["max_iter"], settings["reg_covar"])


def _start(settings, labels=None):
    return init.Start(
        method=settings["init"], n_init=settings["n_init"], seed=settings["seed"], labels=labels
    )


def _resume(from_model, k):
    """The parameters of `--from`."""
    params, _ = read_model(from_model)
    if k not in (None, params.n_components):
        raise DataError(
            f"{from_model} has {params.n_components} components, but --k says {k}; leave --k out"
        )
    return params


def _write_labels(backend, params, path, progress):
    """Write (n,) int32 labels, and return how many samples each component has."""
    progress.say("labels")
    counts = np.zeros(params.n_components, np.int64)
    with NpyWriter(path, (backend.n_samples,), np.int32) as writer:
        for start, outputs in backend.score(params, labels=True):
            writer.write(outputs.labels)
            counts += np.bincount(outputs.labels, minlength=params.n_components)
            progress.rows(start + len(outputs.labels))
    return counts


def _write_scores(backend, params, path, progress, what, dtype, shape=()):
    with NpyWriter(path, (backend.n_samples, *shape), dtype) as writer:
        for start, outputs in backend.score(params, **{what: True}):
            values = getattr(outputs, what)
            writer.write(values)
            progress.rows(start + len(values))


def _fit_facts(backend, candidate, silhouette_rows, seconds, settings, outputs):
    """The keys of `fit --json`."""
    result = candidate.result
    return {
        "n_samples": backend.n_samples,
        "n_features": backend.n_features,
        "n_components": candidate.n_components,
        "covariance_type": candidate.covariance_type,
        "log_likelihood": result.log_likelihood,
        "n_parameters": candidate.n_parameters,
        "bic": candidate.bic,
        "aic": candidate.aic,
        "icl": candidate.icl,
        "silhouette": candidate.silhouette,
        "silhouette_samples": silhouette_rows,
        "n_iter": result.n_iter,
        "converged": result.converged,
        "stop_reason": result.stop_reason,
        "events": result.events,
        "seed": settings["seed"],
        "threads": backend.threads,
        "dtype": str(backend.dtype),
        "seconds": seconds,
        "weights": result.params.weights,
        "means": result.params.means,
        "model": None if outputs.model is None else str(outputs.model),
        "labels": outputs.labels,
    }
