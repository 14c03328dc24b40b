# The commands of this project. `make demo` and `make test` are all a newcomer needs; both install first.

PYTHON ?= python3
BIN := .venv/bin
TORCH := $(shell grep '^torch==' requirements.lock)

.PHONY: install demo figures nano pictures docs test format lint types layers tests chromium lock clean

install: .venv/.installed  ## .venv with the locked versions, made again only when they change

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "DeepSport needs Python 3.11 or newer; $$($(PYTHON) --version 2>&1) found. Try: make install PYTHON=/path/to/python3.11"; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv || \
	  { echo "No virtual environment could be made. On Debian: apt-get install python3-venv"; exit 1; }
	@echo "installing the locked versions into .venv (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install  ## renders clips, trains, measures; FRESH=1 starts over, otherwise it goes on where it was
	$(BIN)/deepsport demo runs/demo $(if $(FRESH),--fresh)

figures: install  ## puts the figures of runs/demo/report.json into the README
	$(BIN)/python docs/fill.py runs/demo/report.json README.md

nano: install  ## ships the policy of a run in the package; FROM=runs/nano
	mkdir -p src/deepsport/policy/nano
	cp $(or $(FROM),runs/nano)/policies/sft_rl/*.json $(or $(FROM),runs/nano)/policies/sft_rl/*.safetensors src/deepsport/policy/nano/

pictures: install  ## docs/arena.png
	$(BIN)/python -c 'from deepsport.arena.gallery import poster; poster().quantize(256, 1, 3, dither=0).save("docs/arena.png", optimize=True)'
	$(BIN)/python docs/hooks/episode_picture.py

docs: install  ## the documentation site, in site/; `.venv/bin/mkdocs serve` shows it while one writes
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

test: install lint types layers tests  ## everything that must hold

format: install
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/pyright

layers: install
	$(BIN)/lint-imports --no-logo

# Two workers of one thread each: as many as the two cores that everything here is sized for.
tests: install chromium
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/pytest -n 2 --dist loadgroup

chromium:  # for the browser tests, which are skipped without it
	@command -v chromium >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && [ -f /etc/debian_version ] && apt-get update -qq >/dev/null && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null 2>&1; } || \
	  echo "chromium is missing: the browser tests will be skipped"

lock: install  ## writes requirements.lock from what .venv holds: names and versions only
	@{ grep '^#' requirements.lock; $(BIN)/python -m pip freeze --exclude deepsport --exclude-editable | sed 's/+cpu$$//' | sort -f; } > .venv/lock
	@mv .venv/lock requirements.lock

clean:
	rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist site
	find src tests docs benchmarks examples -name __pycache__ -prune -exec rm -rf {} +
