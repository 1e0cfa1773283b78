"""What `bontea serve` costs: latency, throughput, memory, and what its client takes.

    python benchmarks/experiments/serving/load.py          # six minutes; writes results_load.json
    python benchmarks/experiments/serving/load.py --table  # the tables of results_load.json

Stub, gateway and client run on this machine (`stub.py`, `processes.py`). The client sends the same
number of requests to the stub itself as the gateway sends to it, N = 16 at once for each of its own
requests, so that the difference is what the gateway adds: blocks of both, one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]

from processes import Process, start_gateway, start_stub  # noqa: E402

FILE = HERE / "results_load.json"
N = 16
WAIT = 0.05
BODY = {"model": "m", "messages": [{"role": "user", "content": "x" * 200 + " 0.5"}]}
PATH = "/v1/chat/completions"
AT_ONCE = {1: 40, 16: 160, 200: 600}
"""Requests at once, and requests in each block."""
BLOCKS = 3
MEMORY = (0, 2_000, 10_000, 20_000)


async def fire(url: str, count: int, at_once: int, each: int = 1) -> tuple[list[float], float]:
    """Seconds that each of `count` requests took, and all together; each is `each` real ones."""
    import aiohttp

    data, seconds = json.dumps(BODY).encode(), []
    headers = {"Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=300)
    ) as session:
        free = asyncio.Semaphore(at_once)

        async def ask() -> None:
            async with session.post(url, data=data, headers=headers) as answer:
                found = await answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"status {answer.status}: {found[:300]!r}")

        async def one() -> None:
            async with free:
                began = time.perf_counter()
                await asyncio.gather(*(ask() for _ in range(each)))
                seconds.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(count)))
        return seconds, time.perf_counter() - began


def run(*args: Any, **more: Any) -> tuple[list[float], float]:
    import uvloop

    return uvloop.run(fire(*args, **more))


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def latency(stub: Process) -> dict[str, Any]:
    """Through the gateway against direct, by the number of requests at once."""
    out: dict[str, Any] = {}
    with gateway(stub, "--n", str(N)) as served:
        run(served.url + PATH, 50, 10)
        alone = statistics.median(run(stub.url + PATH, 60, 1)[0])
        for at_once, count in AT_ONCE.items():
            ours: list[float] = []
            theirs: list[float] = []
            spent, used, direct = 0.0, 0.0, 0.0
            for _ in range(BLOCKS):
                cpu = served.cpu()
                some, took = run(served.url + PATH, count, at_once)
                used += served.cpu() - cpu
                ours, spent = ours + some, spent + took
                some, took = run(stub.url + PATH, count, at_once, each=N)
                theirs, direct = theirs + some, direct + took
            total = count * BLOCKS
            out[str(at_once)] = {
                "requests": total,
                "p50": statistics.median(ours),
                "p99": percentile(ours, 0.99),
                "direct_p50": statistics.median(theirs),
                "direct_p99": percentile(theirs, 0.99),
                "added_p50": statistics.median(ours) - alone,
                "added_p99": percentile(ours, 0.99) - alone,
                "draws_per_second": total * N / spent,
                "direct_draws_per_second": total * N / direct,
                "throughput": direct / spent,
                "core_ms_per_draw": used / (total * N) * 1e3,
            }
            print(at_once, out[str(at_once)], flush=True)
    return {"one_upstream_answer": alone, "at_once": out}


def memory(stub: Process) -> dict[str, float]:
    """Megabytes of the gateway after so many requests of N = 4, 200 at once."""
    out: dict[str, float] = {}
    with gateway(stub, "--n", "4") as served:
        done = 0
        for upto in MEMORY:
            if upto > done:
                run(served.url + PATH, upto - done, 200)
            done = upto
            out[str(upto)] = served.memory()
            print(f"after {upto:,} requests: {out[str(upto)]:.1f} MB", flush=True)
    return out


def gateway(stub: Process, *flags: str) -> Process:
    return start_gateway(
        *("--endpoint", f"{stub.url}/v1", "--reward", "reward:reward", *flags),
        *("--batch-size", "256", "--concurrency", "4000", "--requests", "400"),
    )


def clients(stub: Process, pairs: int = 10, count: int = 400, at_once: int = 64) -> dict[str, Any]:
    """Milliseconds of a core for one request, by the gateway's client and the openai package's."""
    import uvloop

    from bontea.rollouts.service import Service
    from bontea.serve.http import Client

    service = Service("--endpoint", f"{stub.url}/v1", "--api-key-env", None)
    data = json.dumps(BODY).encode()

    async def measure() -> dict[str, list[float]]:
        found: dict[str, list[float]] = {"aiohttp": [], "openai": []}
        async with Client(service) as light, service.client("AsyncOpenAI") as heavy:

            async def ask_light() -> None:
                json.loads(await light.post("/chat/completions", data))

            async def ask_heavy() -> None:
                await heavy.chat.completions.create(**BODY)

            for _ in range(pairs + 1):
                for name, ask in (("aiohttp", ask_light), ("openai", ask_heavy)):
                    free = asyncio.Semaphore(at_once)

                    async def one(ask: Any = ask, free: asyncio.Semaphore = free) -> None:
                        async with free:
                            await ask()

                    began = time.process_time()
                    await asyncio.gather(*(one() for _ in range(count)))
                    found[name].append((time.process_time() - began) / count * 1e3)
        return {name: values[1:] for name, values in found.items()}  # the first ones connect

    found = uvloop.run(measure())
    ratio = [b / a for a, b in zip(found["aiohttp"], found["openai"], strict=True)]
    out = {
        **{name: statistics.median(values) for name, values in found.items()},
        "ratio": statistics.median(ratio),
        "ratio_low": min(ratio),
        "ratio_high": max(ratio),
        "pairs": pairs,
    }
    print(out, flush=True)
    return out


def table(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    at = found["latency"]
    lines = [
        f"One upstream answer takes {at['one_upstream_answer'] * 1e3:.1f} ms.",
        "",
        "| requests at once | gateway p50, p99 | direct p50, p99 | added to one answer p50, p99 | "
        "draws a second, gateway and direct | throughput | core of the gateway for a draw |",
        "|---|---|---|---|---|---|---|",
    ]
    for at_once, row in at["at_once"].items():
        ms = {name: f"{value * 1e3:,.0f}" for name, value in row.items() if name[-3:-2] == "p"}
        lines.append(
            f"| {at_once} | {ms['p50']}, {ms['p99']} ms "
            f"| {ms['direct_p50']}, {ms['direct_p99']} ms "
            f"| {ms['added_p50']}, {ms['added_p99']} ms "
            f"| {row['draws_per_second']:,.0f}, {row['direct_draws_per_second']:,.0f} "
            f"| {row['throughput']:.2f} | {row['core_ms_per_draw']:.2f} ms |"
        )
    lines += ["", "| requests | memory of the gateway |", "|---|---|"]
    lines += [f"| {int(n):,} | {mb:.0f} MB |" for n, mb in found["memory"].items()]
    c = found["clients"]
    lines += [
        "",
        f"One request takes {c['aiohttp']:.2f} ms of a core by aiohttp and {c['openai']:.2f} ms by "
        f"the openai package: {c['ratio']:.1f} times as much ({c['ratio_low']:.1f} to "
        f"{c['ratio_high']:.1f} in {c['pairs']} pairs).",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.add_argument(
        "--only", choices=("latency", "memory", "clients"), help="measure a part again"
    )
    args = parser.parse_args()
    found = json.loads(FILE.read_text()) if FILE.exists() else {}
    parts: dict[str, Any] = {"clients": clients, "latency": latency, "memory": memory}
    if not args.table:
        with start_stub("--wait", str(WAIT)) as stub:
            for name, measure in parts.items():
                if args.only in (None, name):
                    found[name] = measure(stub)
                    # Others on the machine make everything slower; this says how busy it was.
                    found.setdefault("load_average", {})[name] = round(os.getloadavg()[1], 1)
        found["machine"] = f"{os.cpu_count()} cores, {platform.machine()}"
        found["python"] = platform.python_version()
        FILE.write_text(json.dumps(found, indent=1) + "\n")
    if parts.keys() <= found.keys():
        print(table(found))


if __name__ == "__main__":
    main()
