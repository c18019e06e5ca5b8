# make demo, make test, make benchmark-smoke: each sets up .venv by itself, once.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo benchmark-smoke test test-slow same-bits lint typecheck format clean

demo: .venv/installed
	$(BIN)/python train_w_distill.py --flagfile=configs/demo/teacher.flags
	$(BIN)/python train_w_distill.py --flagfile=configs/demo/alone.flags
	$(BIN)/python train_w_distill.py --flagfile=configs/demo/distilled.flags
	$(BIN)/python -m comparison.report.plots.curves --plot=runs/demo/curves.png \
	  teacher=runs/demo/teacher alone=runs/demo/alone distilled=runs/demo/distilled

benchmark-smoke: .venv/installed
	$(BIN)/python benchmark.py --flagfile=configs/grids/smoke.flags --jobs=2

test: .venv/installed-dev
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup --no-loadscope-reorder

# The slow ones, whole or the i-th of n parts: make test-slow SHARD=i/n.
SHARD ?= 1/1
test-slow: .venv/installed-dev
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup --no-loadscope-reorder -m slow \
	  '--shard=$(SHARD)'

# Does the work tree train as the commit BASE does? ALL=1, or METHODS=A,B.
same-bits: .venv/installed
	$(BIN)/python tests/same_bits.py '--base=$(BASE)' $(if $(ALL),--all) \
	  $(if $(METHODS),'--methods=$(METHODS)')

lint: typecheck
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The modules that define what docs/api.md names, and the examples that use it.
typecheck: .venv/installed-dev
	$(BIN)/mypy examples $$($(BIN)/python tests/public_modules.py)

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A new environment only if the requirements changed.
.venv/installed: requirements.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	  sys.exit(0 if (3, 11) <= v <= (3, 13) else "error: Python 3.11 to 3.13 is \
	  needed, this is %d.%d; try make PYTHON=python3.12" % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

clean:
	rm -rf .venv
