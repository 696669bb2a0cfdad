"""What the commands of `cli` do: open, work, print, write."""

import time
from pathlib import Path

import numpy as np

from . import criteria, em, fitting, init, report, selection
from .backends import LocalBackend, check_weights
from .errors import DataError
from .families import get_family
from .modelfile import read_model, write_model
from .outputs import NpyWriter, check_writable, save_npy
from .sampling import draw
from .sources import NpySource, check_columns, load_resident, open_source


def fit(data, k, covariance, from_model, from_labels, as_json, settings):
    """`gmm-fast fit`."""
    began = time.perf_counter()
    k, covariance, given = _resume(k, covariance, from_model)
    get_family(covariance)
    if k < 1:
        raise DataError(f"--k must be at least 1, not {k}")
    outputs = _Outputs(data, settings)
    source = _open(data, settings)
    labels = None if from_labels is None else _read_column(from_labels)
    start = given or _start(settings, labels)
    if given is not None:
        check_columns(source, given.n_features, from_model)
    progress = report.Progress(source.n_samples)
    with progress.shown():
        backend, seconds, events = _open_backend(source, [covariance], settings, progress)
        progress.say(f"K = {k}, {covariance}")
        result = fitting.fit(
            backend, k, covariance, start, _em(settings), callback=progress.iteration
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
        _print_fit(data, candidate, facts)
    _print_events(result, settings)


def search(lo, hi, data, families, criterion, as_json, settings):
    """`gmm-fast search`."""
    began = time.perf_counter()
    selection.check_search(lo, hi, families, criterion)
    if criterion == "silhouette" and settings["silhouette_rows"] == 0:
        raise DataError("--criterion silhouette needs --silhouette-rows above 0")
    outputs = _Outputs(data, settings)
    source = _open(data, settings)
    start = _start(settings)
    selection.check_search(lo, hi, families, criterion, source.n_samples)
    progress = report.Progress(source.n_samples)
    with progress.shown():
        backend, seconds, events = _open_backend(source, families, settings, progress)
        table = selection.search(
            backend,
            lo,
            hi,
            families,
            criterion,
            start,
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
        report.console().print()
        _print_fit(data, best, facts, f"* best by {criterion}")
    _print_events(best.result, settings)


def predict(model, data, out, proba, as_json, settings):
    """`gmm-fast predict`."""
    params, _ = read_model(model)
    out = Path(out) if out else _default_output(data, ".proba.npy" if proba else ".labels.npy")
    _check_outputs([out], [data, model])
    backend = _scoring_backend(params, model, data, settings)
    if proba:
        _write_scores(backend, params, out, "resp", backend.dtype, (params.n_components,))
        counts = None
    else:
        counts = _write_labels(backend, params, out)
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
        rows += [(f"component {k}", f"{c:,}") for k, c in enumerate(counts)]
    report.print_facts(
        f"{data} under {model}", [*rows, ("responsibilities" if proba else "labels", out)]
    )


def score(model, data, out, as_json, settings):
    """`gmm-fast score`."""
    params, _ = read_model(model)
    if out is not None:
        _check_outputs([out], [data, model])
    backend = _scoring_backend(params, model, data, settings)
    result = em.FitResult.of(params, backend.stats(params), backend.n_samples)
    if out is not None:
        _write_scores(backend, params, out, "log_prob", backend.dtype)
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
    rows = [("samples", f"{backend.n_samples:,}"), *_score_rows(facts)]
    if out is not None:
        rows.append(("ln p(x) of samples", out))
    report.print_facts(f"{data} under {model}", rows)


def sample(model, n, out, labels_path, seed, as_json):
    """`gmm-fast sample`."""
    params, _ = read_model(model)
    _check_outputs([out] + ([labels_path] if labels_path else []), [model])
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
    else:
        report.print_facts(f"{n:,} samples of {model}", [("seed", seed), ("samples", out)])


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
        "bic": criteria.bic(result),
        "aic": criteria.aic(result),
        "icl": criteria.icl(result),
        "weights": params.weights,
        "means": params.means,
        "covariances": params.covariances,
    }
    if as_json:
        report.print_json(shown)
        return
    rows = [
        ("components", f"{params.n_components}, {_family_name(params)}"),
        ("features", params.n_features),
        ("fitted to", f"{facts.get('data', 'data')} ({result.n_samples:,} samples)"),
        *_score_rows(shown),
        ("stopped by", _stop(result)),
    ]
    rows += [("event", event) for event in result.events]
    report.print_facts(str(model), rows)
    _print_components(params)


class _Outputs:
    """Files that `fit` and `search` write, checked before the work begins."""

    def __init__(self, data, settings):
        model = settings["model_path"]
        if settings["no_model"]:
            if model:
                raise DataError("--model and --no-model contradict each other")
            self.model = None
        else:
            self.model = Path(model) if model else _default_output(data, ".gmm.npz")
        labels = settings["labels_path"]
        self.labels = Path(labels) if labels else None
        self.data = data
        self.seed = settings["seed"]
        _check_outputs([p for p in (self.model, self.labels) if p is not None], [data])

    def write(self, backend, candidate, progress):
        """Write what was asked for."""
        progress.say("writing")
        if self.labels is not None:
            _write_labels(backend, candidate.result.params, self.labels)
        if self.model is not None:
            facts = candidate.result.facts() | {
                "data": str(self.data),
                "seed": self.seed,
                "dtype": str(backend.dtype),
            }
            write_model(self.model, candidate.result.params, facts)


def _check_outputs(outputs, inputs):
    """Refuse outputs that cannot be written or that would destroy an input or each other."""
    seen = {Path(p).resolve() for p in inputs}
    for path in outputs:
        resolved = Path(path).resolve()
        if resolved in seen:
            raise DataError(f"{path}: would overwrite another file of this call; name another")
        seen.add(resolved)
        check_writable(path)


def _default_output(data, ending):
    return Path(Path(data).name).with_suffix(ending)


def _open(data, settings):
    if str(data) == "":
        raise DataError("DATA is empty; name a .npy file")
    return open_source(Path(data), one_feature=settings["one_feature"])


def _read_column(path):
    """A 1-D .npy in memory, as an array."""
    source = NpySource(Path(path), one_feature=True)
    if source.n_features != 1:
        raise DataError(f"{path}: has {source.n_features} columns; one value per row is needed")
    dtype = np.int64 if source.dtype.kind in "iub" else np.float64
    if dtype == np.int64:
        return np.load(path, allow_pickle=False).reshape(-1).astype(np.int64)
    return load_resident(source, dtype).array[:, 0]


def _open_backend(source, families, settings, progress):
    weights = settings["weights"]
    if weights is not None:
        weights = check_weights(_read_column(weights), source.n_samples)
    progress.say("reading the data and preparing kernels (compiled once on a machine)")
    return fitting.open_backend(
        source,
        families,
        dtype=_dtype(settings),
        weights=weights,
        threads=settings["threads"],
    )


def _scoring_backend(params, model, data, settings):
    source = _open(data, settings)
    check_columns(source, params.n_features, str(model))
    weights = settings.get("weights")
    if weights is not None:
        weights = check_weights(_read_column(weights), source.n_samples)
    return LocalBackend(
        source, dtype=_dtype(settings), weights=weights, threads=settings["threads"]
    )


def _dtype(settings):
    return None if settings["dtype"] == "auto" else settings["dtype"]


def _em(settings):
    return em.Settings(settings["tol"], settings["max_iter"], settings["reg_covar"])


def _start(settings, labels=None):
    fitting.check_settings(_em(settings))
    return init.Start(
        method=settings["init"], n_init=settings["n_init"], seed=settings["seed"], labels=labels
    )


def _resume(k, covariance, from_model):
    """K, family and parameters to start from, of `--k` and `--from`."""
    if from_model is None:
        if k is None:
            raise DataError("say how many components: --k 4 (or let `gmm-fast search` choose)")
        return k, covariance, None
    params, _ = read_model(from_model)
    if k not in (None, params.n_components):
        raise DataError(f"{from_model} has {params.n_components} components, but --k says {k}")
    return params.n_components, params.covariance_type, params


def _write_labels(backend, params, path):
    """Write (n,) int32 labels, and return how many samples each component has."""
    counts = np.zeros(params.n_components, np.int64)
    with NpyWriter(path, (backend.n_samples,), np.int32) as writer:
        for _, outputs in backend.score(params, labels=True):
            writer.write(outputs.labels)
            counts += np.bincount(outputs.labels, minlength=params.n_components)
    return counts


def _write_scores(backend, params, path, what, dtype, shape=()):
    with NpyWriter(path, (backend.n_samples, *shape), dtype) as writer:
        for _, outputs in backend.score(params, **{what: True}):
            writer.write(getattr(outputs, what))


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
        "labels": None if outputs.labels is None else str(outputs.labels),
    }


def _print_fit(data, candidate, facts, title=None):
    result = candidate.result
    seconds = facts["seconds"]
    rows = [
        ("samples x features", f"{facts['n_samples']:,} x {facts['n_features']}"),
        ("components", f"{facts['n_components']}, {_family_name(result.params)}"),
        *_score_rows(facts | {"mean_log_likelihood": result.mean_log_likelihood}),
    ]
    if facts["silhouette_samples"]:
        rows.append(
            (
                "silhouette",
                f"{report.number(facts['silhouette'])} "
                f"(on {facts['silhouette_samples']:,} samples)",
            )
        )
    rows += [
        ("stopped by", _stop(result)),
        (
            "seconds",
            f"{seconds['total']:.2f} (read {seconds['read']:.2f}, "
            f"compile {seconds['compile']:.2f}, start {seconds['init']:.2f}, EM {seconds['em']:.2f})",
        ),
    ]
    rows += [(name, facts[name]) for name in ("model", "labels") if facts[name]]
    report.print_facts(title or str(data), rows)
    _print_components(result.params)


def _print_components(params):
    report.console().print()
    report.print_components(params, get_family(params.covariance_type).component_variances(params))


def _score_rows(facts):
    rows = [("log-likelihood", f"{facts['log_likelihood']:,.3f}")]
    if "mean_log_likelihood" in facts:
        rows[0] = (
            "log-likelihood",
            f"{facts['log_likelihood']:,.3f} ({facts['mean_log_likelihood']:.5f} a sample)",
        )
    return [
        *rows,
        ("parameters", f"{facts['n_parameters']:,}"),
        ("BIC / AIC / ICL", f"{facts['bic']:,.1f} / {facts['aic']:,.1f} / {facts['icl']:,.1f}"),
    ]


def _family_name(params):
    family = get_family(params.covariance_type)
    return f"{family.name} covariance ({family.mclust_name})"


def _stop(result):
    reasons = {"tolerance": "tolerance", "max_iter": "the iteration limit (not converged)"}
    reason = reasons.get(result.stop_reason, result.stop_reason)
    return f"{reason} after {result.n_iter} iterations"


def _print_events(result, settings):
    screen = report.console(stderr=True)
    for event in result.events:
        screen.print(f"note: {event}", markup=False)
    if not result.converged:
        screen.print(
            f"warning: EM did not converge in {settings['max_iter']} iterations; "
            "raise --max-iter or --tol",
            markup=False,
        )
