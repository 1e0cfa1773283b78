"""The routes: OpenAI's interface in front, and what operators need.

POST /v1/chat/completions, /v1/completions      the best of N
GET  /v1/models, /healthz, /livez, /metrics

`/healthz` says how the last calls of the servers behind and of the reward went, `/livez` only that
this process answers. What restarts a process must look at `/livez`: a restart mends nothing behind
it. What shares out requests, too: all replicas share what is behind, and a clear error from one of
them is better than no connection.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from bontea.serve.completions import Completions
from bontea.serve.errors import ApiError
from bontea.serve.gateway import Gateway

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response


def make_app(gateway: Gateway) -> Starlette:
    """The ASGI application of a gateway, which it opens and closes."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    def failed(error: ApiError) -> Response:
        return JSONResponse(error.body, error.status, error.headers)

    async def models(request: Request) -> Response:
        try:
            gateway.keys.check(request.headers)
            return JSONResponse({"object": "list", "data": await gateway.upstream.models()})
        except ApiError as error:
            return failed(error)

    async def health(request: Request) -> Response:
        found = gateway.health()
        return JSONResponse(found, 200 if found["status"] == "ok" else 503)

    async def alive(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def metrics(request: Request) -> Response:
        page, kind = gateway.metrics.page()
        return Response(page, media_type=kind)

    async def no_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        what = f"{request.method} {request.url.path[:100]}"
        if error.status_code == 405:
            return failed(ApiError(405, f"there is no {what}: completions are asked for by POST"))
        return failed(
            ApiError(
                404,
                f"there is no {what}; there are POST /v1/chat/completions and /v1/completions, and "
                "GET /v1/models, /healthz, /livez and /metrics",
            )
        )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            await gateway.__aenter__()
        except Exception as error:
            gateway.failure = error
            raise
        try:
            yield
        finally:
            await gateway.__aexit__()

    return Starlette(
        routes=[
            Route("/v1/chat/completions", Completions(gateway, chat=True), methods=["POST"]),
            Route("/v1/completions", Completions(gateway, chat=False), methods=["POST"]),
            Route("/v1/models", models),
            Route("/healthz", health),
            Route("/livez", alive),
            Route("/metrics", metrics),
        ],
        exception_handlers={404: no_route, 405: no_route},
        lifespan=lifespan,
    )
