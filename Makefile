# `make demo` and `make test` need Python 3.11 or newer with venv, and make.
PYTHON ?= python3
DETECTOR ?= onnx
VENV := .venv
ULTRALYTICS := .venv-ultralytics
BENCH := .venv-bench
PIP := -m pip --disable-pip-version-check -q

.PHONY: browser demo test test-ultralytics lint house faults wheel bench bench-peers soak clean

ifeq ($(DETECTOR),ultralytics)
demo: $(ULTRALYTICS)/installed
	$(ULTRALYTICS)/bin/perception demo --detector ultralytics
else
demo: $(VENV)/installed
	$(VENV)/bin/perception demo --detector $(DETECTOR) $(if $(WEB),--web)
endif

# The kernels are compiled once, before the workers start. Many tests wait for processes and
# sockets: one worker more than there are cores, 8 at most.
WORKERS ?= $(shell n=$$(nproc); echo $$((n < 7 ? n + 1 : 8)))

test: $(VENV)/installed-test
	$(VENV)/bin/python -m perception.launchfile.warm >/dev/null
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist worksteal -m "not ultralytics"

test-ultralytics: $(ULTRALYTICS)/installed
	$(ULTRALYTICS)/bin/python -m pytest -m ultralytics

lint: $(VENV)/installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports

# Floors of imports and lengths of modules, then the import contracts themselves.
house: $(VENV)/installed-test
	$(VENV)/bin/python -m tests.house
	$(VENV)/bin/lint-imports

# What tests of the page need: Debian's Chromium. Without it they are skipped.
browser:
	apt-get install -y --no-install-recommends chromium

# Which test tries which promised fault or attack, and how it ended when it was run last.
faults: $(VENV)/installed-test
	$(VENV)/bin/python -m tests.fault_table

# A wheel has to work where nothing of this folder is.
wheel: $(VENV)/installed
	rm -rf dist .venv-wheel
	$(VENV)/bin/python $(PIP) wheel --no-deps -w dist .
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python $(PIP) install dist/*.whl
	cd dist && ../.venv-wheel/bin/perception --version
	cd dist && ../.venv-wheel/bin/python -c "import perception.commands.start as l; print(l.launch_file('demo.yaml').name)"
	rm -rf .venv-wheel

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	@echo "installing the package into $(VENV) (about 800 MB, once)"
	$(VENV)/bin/python $(PIP) install -e ".[web]"
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV)/bin/python
	@echo "installing the package and what its tests need into $(VENV)"
	$(VENV)/bin/python $(PIP) install -e ".[test,eval,notify]"
	@touch $@ $(VENV)/installed

$(ULTRALYTICS)/installed: pyproject.toml
	@echo "installing with the ultralytics extra into $(ULTRALYTICS) (about 3 GB, once)"
	$(PYTHON) -m venv $(ULTRALYTICS)
	$(ULTRALYTICS)/bin/python $(PIP) install -e ".[ultralytics,test]"
	@touch $@

# The whole suite in under 20 minutes; peers that are not installed are rows that say so.
bench: $(VENV)/installed-test
	$(VENV)/bin/python -m benchmarks

# Peers never enter the product's environment. A torch for the CPU alone (0.2 GB instead of 3) has no
# torchvision that works beside it: `make test-ultralytics` installs the full set, taken first.
bench-peers: $(BENCH)/installed

$(BENCH)/installed: benchmarks/peers.txt
	@echo "installing the peers of the benchmarks into $(BENCH) (about 500 MB, once)"
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python $(PIP) install torch==2.13.0
	$(BENCH)/bin/python $(PIP) install -r benchmarks/peers.txt
	$(BENCH)/bin/python $(PIP) install --no-deps ultralytics==8.4.190 ultralytics-thop
	@touch $@

# 20 minutes, two cameras, reconnects: memory and open files of each process.
soak: $(VENV)/installed-test
	$(VENV)/bin/python -m benchmarks.soak

clean:
	rm -rf dist build .pytest_cache .ruff_cache .hypothesis recordings/demo
	find perception -name "*.nb[ic]" -delete
