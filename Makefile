# make demo         a fresh machine to a finished table, with no data at all
# make test         everything that is tested, from a fresh machine
# make statistics   what intervals and tests promise, measured on many simulated sets (about 35 minutes)
# make notebook     executes docs/examples/variance.ipynb anew
# make faults       the long campaign that tries to break the store, and how fast it is (about 50 minutes)
PYTHON ?= python3
BIN := .venv/bin
SHARED := $(wildcard ../shared/data/make_cifar10.py)
MRPC := $(wildcard ../shared/data/mrpc)
FFCV_PACKAGES := g++ libopencv-dev libturbojpeg0-dev pkg-config
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)
export AIRBENCH_VAR_DATA ?= $(CURDIR)/data

.PHONY: demo test check statistics faults notebook bench clean

demo: .venv/installed
	$(BIN)/python -m airbench_var --runs 20 --recipe tiny --data synthetic --out runs/demo
	@echo "Go on with: source .venv/bin/activate; python -m airbench_var analyze --example; or follow README.md"

test: .venv/installed-dev check data/cifar-10-batches-py data/mrpc
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs -m "not statistics" -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

statistics: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/statistical -o faulthandler_timeout=3600 --figures results/statistics

faults: .venv/installed-dev
	@command -v strace >/dev/null || { \
	  echo "Installing strace"; $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq strace >/dev/null; }
	$(BIN)/python -m tests.faults --out results/store
	rm -f results/store/bench.jsonl
	$(BIN)/python -m bench store --out results/store/bench.jsonl | tee results/store/bench.txt

notebook: .venv/installed-dev
	cd docs/examples && $(CURDIR)/$(BIN)/jupyter execute --inplace variance.ipynb && rm -r runs

bench: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m bench

clean:
	rm -rf .venv build dist *.egg-info

.venv/installed: pyproject.toml
	@echo "Installing into .venv (PyTorch is large: this takes a minute or more)"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	@command -v g++ >/dev/null && pkg-config --exists opencv4 libturbojpeg || { \
	  echo "Installing the system packages that FFCV is built with: $(FFCV_PACKAGES)"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq $(FFCV_PACKAGES) >/dev/null; }
	@command -v chromium >/dev/null || { \
	  echo "Installing Chromium, in which the tests open the HTML report"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq chromium >/dev/null; }
	$(BIN)/pip install --quiet --editable ".[dev,ffcv,ray,report,parquet,finetune,tensorboard,wandb,mlflow]"
	@touch $@

# Tests on real images take them from here; without the pack they say that they are skipped.
data/cifar-10-batches-py:
	$(if $(SHARED),$(BIN)/python $(SHARED) data,@echo "No CIFAR-10 in data/: tests on real images will be skipped.")

data/mrpc:
	$(if $(MRPC),mkdir -p data && cp -r --no-preserve=mode $(MRPC) data/mrpc,@echo "No MRPC in data/: tests on real pairs will be skipped.")
