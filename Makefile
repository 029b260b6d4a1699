# Two commands do everything on a bare machine with Python 3.11 or newer:
#   make reproduce     set up, then run every paper's notebook at scale mini (PAPERS=attentive SCALE=smoke narrow it)
#   make gallery       set up, then build/gallery/index.html: results as web pages
#   make test          set up, then lint, types, unit tests and the notebooks at scale smoke
# And for who wants the package without the clone:
#   make wheel         set up, then build/dist/*.whl
#   make walk          install that into an empty environment, and use it
# And on a machine with an NVIDIA GPU (NOSETUP=1 takes the environment that PYTHON has):
#   make gpu-check     the tests for CUDA, some steps of every network in several precisions, and how fast they are
PYTHON ?= python3
BIN := .venv/bin
SCALE ?= mini
PAPERS ?=
SMOKE := build/notebooks

GALLERY := build/gallery

.PHONY: setup reproduce test wheel walk lab gallery speed gpu-check lock clean

setup: .venv/ready

# The stamp is written last: an interrupted set-up is taken up again. uv, unlike pip, always finds the matching
# builds of torch and torchvision.
.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv \
		|| { rm -rf .venv; echo "Python's venv module is missing (on Debian: apt install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet -r requirements.lock
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --no-deps -e .
	@touch $@

reproduce: setup
	$(BIN)/deblur reproduce $(PAPERS) --scale $(SCALE)

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -n auto --dist loadgroup
	$(BIN)/python -m deblur.upkeep.notebooks $(SMOKE)
	DEBLUR_RUNS=$(CURDIR)/build/runs DEBLUR_RESULTS=$(CURDIR)/build/results \
		$(BIN)/python -m pytest -n auto --dist loadfile --nbval-lax --nbval-cell-timeout=600 $(SMOKE)

wheel: setup
	rm -rf build/dist
	$(BIN)/uv build --quiet --out-dir build/dist

walk: wheel
	$(BIN)/python tests/walk.py build/dist/*.whl

# Copies are opened, so that playing leaves what Git tracks as it is; one is made anew when its notebook changes.
lab: setup $(patsubst notebooks/%,build/lab/%,$(wildcard notebooks/*.ipynb))
	$(BIN)/jupyter lab build/lab/explore.ipynb

build/lab/%.ipynb: notebooks/%.ipynb
	@mkdir -p $(@D)
	cp $< $@

# Sphinx lives in an environment of its own: it pins other releases than the package's.
build/gallery-env/ready: docs/gallery/requirements.txt | .venv/ready
	@mkdir -p build
	rm -rf build/gallery-env
	$(BIN)/uv venv --quiet --python $(BIN)/python build/gallery-env
	VIRTUAL_ENV=$(CURDIR)/build/gallery-env $(BIN)/uv pip install --quiet -r $<
	@touch $@

gallery: setup build/gallery-env/ready
	$(BIN)/python -m deblur.reports.gallery build/gallery-source
	build/gallery-env/bin/python -m sphinx -q -W --keep-going -E build/gallery-source $(GALLERY)
	@echo "open $(GALLERY)/index.html"

speed: setup
	$(BIN)/python -m benchmarks

gpu-check: $(if $(NOSETUP),,setup)
	$(if $(NOSETUP),$(PYTHON),$(BIN)/python) -m deblur.reports.gpu_check $(GPU_CHECK)

# Pins for what pyproject.toml asks for; those that are there stay, unless UPGRADE=--upgrade. No index address gets in.
lock: setup
	$(BIN)/uv pip compile --quiet $(UPGRADE) --universal --extra notebooks --extra dev --extra completion --extra cluster --no-header \
		--no-annotate --no-emit-index-url pyproject.toml -o requirements.lock

clean:
	rm -rf build
