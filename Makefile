# make explore   the explorer on 127.0.0.1 (PORT=8501)
# make test      the tests (ARGS=tests/core/test_inner.py, ARGS="-n 0 -x")
# make slow      the tests that take long, and claims of equal bits, compiled as usual
# make notebooks JupyterLab on the course (PORT=8888)
# make pair      notebooks from their scripts (BACK=--back: scripts from notebooks)
# make course    the course as static pages (ARGS=--quick)
# make pictures  the README's pictures of the explorer, by walking through its tour
# make smollm2   a real language model, SmolLM2-135M (93 MB), for every command

PORT   ?= 8501
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# pip's warnings concern pip; its errors are shown
PIP    := $(BIN)/python -m pip install -qq --disable-pip-version-check
# the port only if somebody asks for one; a container's user is often root
ASKED_PORT = $(if $(filter-out file,$(origin PORT)),--port=$(PORT))
AS_ROOT    = $(if $(filter 0,$(shell id -u)),--allow-root)
# nbmake, for which nothing here asks, takes longer to import than many a test file runs
TESTS  := $(BIN)/python -m pytest -p no:nbmake -n auto --maxprocesses 8 \
          --dist loadfile --no-loadscope-reorder

.PHONY: explore test slow notebooks pair course pictures smollm2 lint format clean

explore: $(READY)
	$(BIN)/ttt-lab explore --port $(PORT)

test: $(READY)
	$(TESTS) $(ARGS)

slow: $(READY)
	XLA_FLAGS=--xla_force_host_platform_device_count=2 $(TESTS) -m 'slow or bits' -n 0 $(ARGS)

notebooks: $(READY)
	JUPYTER_CONFIG_PATH=$(CURDIR)/notebooks/.jupyter $(BIN)/jupyter lab \
	    --notebook-dir=notebooks --LabApp.default_url=/lab/tree/index.ipynb \
	    $(ASKED_PORT) $(AS_ROOT)

# each notebook anew from its script (BACK=--back: each script from its notebook)
pair: $(READY)
	$(BIN)/ttt-lab course pair $(BACK)

# the course as pages that need no kernel and no network (ARGS=--quick)
course: $(READY)
	$(BIN)/ttt-lab course build $(ARGS)

# two of the pictures are the README's; those of the stops are for looking at
pictures: $(READY)
	mkdir -p build/pictures
	PICTURES=build/pictures $(TESTS) -m slow -n 0 tests/app/test_browser_tour.py
	cp build/pictures/explorer*.png lab/published/

smollm2: $(READY)
	@$(BIN)/ttt-lab model show smollm2 2>/dev/null || \
	    $(BIN)/ttt-lab model add smollm2 --yes

lint: $(READY)
	$(BIN)/ruff format --check . && $(BIN)/ruff check .

format: $(READY)
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

# made again whenever the dependencies change; a second call finds it and starts at once
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "Python 3.11 or newer is needed: this is %d.%d; try make PYTHON=python3.12 ..." % v[:2])'
	@$(PYTHON) -m venv $(VENV)
	@echo 'Installing everything into $(VENV): about two minutes, this time only.'
	@$(PIP) --upgrade pip
	@$(PIP) --editable '.[dev]' --constraint constraints.txt
	@touch $@

clean:
	rm -rf $(VENV)
