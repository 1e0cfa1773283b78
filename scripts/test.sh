#!/usr/bin/env bash
# Set up, then lint, check types and run every test. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
bin=.venv/bin
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
# Three processes for two cores, which share the files of tests, because many tests wait for servers
# and for processes of their own; one thread in each.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "$bin/python" -m pytest -q -n 3 --dist loadfile "$@"
