#!/usr/bin/env bash
# prime-rl's `rl` with our orchestrator, which it starts by name. It needs GPUs.
#
#     bontea check prime_rl examples/prime_rl/rl.toml
#     uv run examples/prime_rl/run.sh @ examples/prime_rl/rl.toml
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
export PATH="$here/bin:$PATH"
exec rl "$@"
