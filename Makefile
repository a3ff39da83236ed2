# Thin wrappers over Python commands; each builds .venv by itself, once. NB=03 limits what executes to one notebook.
PYTHON ?= python3
NB ?=
LAYERS ?=
BIN := .venv/bin

.PHONY: run test places lab lint execute links repeat variants matrix weights bench classes atlas help
help:
	@echo "make run       execute the notebooks into build/ and make a browsable HTML site of them"
	@echo "make test      unit tests, notebook hygiene, nbval over every notebook"
	@echo "make places    the notebooks where people open them: as pages in Chromium, in JupyterLab, under Colab's versions"
	@echo "make lab       open JupyterLab on the notebooks"
	@echo "make lint      ruff over the .py files and the notebooks"
	@echo "make execute   refresh the stored outputs of the notebooks in place"
	@echo "make weights   build a weights file from ResNet50 and photos: make weights ARGS='--photos DIR --out build/my.weights.h5'"
	@echo "make atlas     a picture of every channel into data/atlas/, some hours: make atlas LAYERS='conv5_block3_out'"
	@echo "make classes   pictures of every fiftieth class into data/pictures/, and what two other networks call them"
	@echo "make bench     time activation maximization against other tools, let two networks judge, some half an hour; QUICK=1 for a smoke run"
	@echo "make links     write the repository's address into badges and setup cells: make links REPO=owner/name"
	@echo "make repeat    execute every notebook twice and compare"
	@echo "make variants  execute every notebook with another photo, layer and channel, other weights, a GPU's rounding"
	@echo "make matrix    unit tests and notebooks 01 and 04 on the oldest and newest versions that can be installed"
	@echo "NB=03 limits run, test, execute, repeat and variants to one notebook; PYTHON=python3.12 picks the interpreter"

.venv/ready: requirements.txt constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else 'Python 3.11 to 3.13 is needed, this is ' + sys.version.split()[0] + ': try make PYTHON=python3.12')"
	@echo "building .venv (once; TensorFlow is a large download)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

.venv/ready-dev: .venv/ready tools/requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tools/requirements-dev.txt -c constraints.txt
	@touch $@

run: .venv/ready
	@$(BIN)/python tools/execute.py run --only "$(NB)"

execute: .venv/ready
	@$(BIN)/python tools/execute.py execute --only "$(NB)"

test: .venv/ready
	@$(BIN)/python -m pytest tests $(or $(wildcard notebooks/$(NB)*.ipynb),$(error no notebook starts with $(NB): say NB=03))

.venv-colab/ready: tools/colab-constraints.txt tools/environments.py
	@$(PYTHON) tools/environments.py colab
	@touch $@

places: .venv/ready-dev .venv-colab/ready
	@$(BIN)/python -m pytest -m places tests/places

links:
	@$(PYTHON) tools/links.py $(REPO)

repeat variants: .venv/ready
	@$(BIN)/python tools/trials.py $@ --only "$(NB)"

matrix:
	@$(PYTHON) tools/environments.py matrix

lab: .venv/ready
	@$(BIN)/jupyter lab --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks

lint: .venv/ready-dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

.venv-bench/ready: constraints.txt tools/requirements-bench.txt
	@$(PYTHON) -m venv --clear .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt tensorflow keras matplotlib pillow scikit-learn tqdm torch==2.13.0
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tools/requirements-bench.txt
	@touch $@

weights: .venv/ready
	@$(BIN)/python tools/build_weights.py $(ARGS)

atlas: .venv/ready
	@$(BIN)/python tools/atlas.py $(LAYERS)

classes: .venv/ready .venv-bench/ready
	@$(BIN)/python tools/pictures.py --only classes
	@.venv-bench/bin/python tools/judges.py data/pictures/classes data/pictures/classes/verdicts.csv

bench: .venv-bench/ready
	@TF_CPP_MIN_LOG_LEVEL=3 TQDM_DISABLE=1 PYTHONWARNINGS=ignore PYTHONPATH=. .venv-bench/bin/python tools/bench.py $(if $(QUICK),--quick)
