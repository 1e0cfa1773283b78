# `make figures` remakes the tables and figures of docs/results.md from the result files of the
# experiments, in seconds; nothing is trained. PYTHON names another interpreter.
PYTHON ?= .venv/bin/python

.PHONY: figures
figures:
	$(PYTHON) benchmarks/figures/results.py
