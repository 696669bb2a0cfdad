PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Processes that run tests side by side.
JOBS ?= logical --maxprocesses 4
# Libraries leave each of them a core; kernels start no thread for what is small.
ONE_CORE = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
# Random cases that each fuzz test runs.
CASES ?= 10000

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz lint bench bench-scaling bench-large bench-cluster bench-scale \
	bench-starts bench-search bench-suite bench-check clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## Install, and fit the pixels of a photo
	@mkdir -p demo
	@$(BIN)/python -c "import numpy as np; from sklearn.datasets import load_sample_image as load; np.save('demo/china.npy', load('china.jpg').reshape(-1, 3))"
	cd demo && ../$(BIN)/gmm-fast fit --k 4 china.npy --labels china.labels.npy
	cd demo && ../$(BIN)/gmm-fast search 2 10 china.npy -o china.best.npz

test: $(VENV)/.test ## Run the tests
	$(ONE_CORE) $(BIN)/python -m pytest -m 'not serial and not bench_check' -n $(JOBS) --dist worksteal
	$(BIN)/python -m pytest -m serial

fuzz: $(VENV)/.test ## Run the fuzz tests with CASES=10000 new random cases each
	FUZZ_CASES=$(CASES) $(BIN)/python -m pytest --hypothesis-profile fuzz --durations=0 \
		tests/estimator/test_fuzz_estimator.py tests/sources/test_fuzz_files.py tests/sources/test_fuzz_texts.py

lint: $(VENV)/.test ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(VENV)/.bench ## Measure against the peers, with every target; write bench/results
	$(BIN)/python bench/compare.py --out bench/results
	$(BIN)/python bench/large.py --sizes 20000000,8,float64

bench-scaling: $(VENV)/.bench ## Measure how time grows with n, d, K and threads; draw it
	$(BIN)/python bench/scaling.py --out bench/results

bench-large: $(VENV)/.bench ## Make and fit files of 10^7 and 10^8 rows
	$(BIN)/python bench/large.py --out bench/results

bench-cluster: $(VENV)/.bench ## Measure and compute how EM scales on clusters, to 10^12 rows
	$(BIN)/python bench/scale_model.py --out bench/results

bench-scale: $(VENV)/.bench ## Measure streaming, two workers, and how fast files are read
	$(BIN)/python bench/scale.py --out bench/results
	$(BIN)/python bench/formats.py --out bench/results

bench-starts: $(VENV)/.bench ## Measure what default starts reach, and in which time
	$(BIN)/python bench/starts.py --out bench/results

bench-search: $(VENV)/.bench ## Measure a search from 2 to 10 beside scikit-learn's fit of 5
	$(BIN)/python bench/search.py --out bench/results

bench-suite: $(VENV)/.bench ## Run the benchmarks of kernels and fits with pytest
	$(BIN)/python -m pytest bench --benchmark-only

bench-check: $(VENV)/.test ## Check that whole benchmarks run, at sizes that take seconds
	$(BIN)/python -m pytest -m bench_check

clean: ## Remove what the other targets made, compiled kernels too
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . pillow
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/.bench: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[bench,plot,dask,parquet,hdf5,fcs,zarr]'
	@touch $@
