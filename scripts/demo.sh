#!/usr/bin/env bash
# Set up, then train the embedded policy with four estimators and compare them.
# Arguments go to `bontea train`.
set -euo pipefail
bash "$(dirname "$0")/setup.sh"
exec "$(dirname "$0")/../.venv/bin/bontea" train "$@"
