"""Best-of-N in front of any OpenAI-compatible server, as one itself: `bontea serve`.

A client changes its base URL, and every answer is the best of N, with N chosen response by
response. One file for each step of a request:

    app        the routes                        gate      keys, limits, the queue
    completions  bodies, streams, disconnects    gateway   what a running server holds
    options    what the request asks for         search    draw, score, decide, until it stops
    number     how many responses to draw        upstream  one response from the servers behind
    scores     rewards, many requests in a batch reply     the answer in OpenAI's form
    log        every response, to a file         metrics   what Prometheus reads
    http       the client for them               abort     servers that are asked to stop
    embedded   the toy policy in place of a server
    run        the process: sockets, signals, the end

`audited` says from the log what the rule saved and whether quality fell.
"""

from bontea.serve.app import make_app
from bontea.serve.audited import Audit, audit
from bontea.serve.gateway import Gateway
from bontea.serve.run import serve
from bontea.serve.settings import ServeSettings

__all__ = ["Audit", "Gateway", "ServeSettings", "audit", "make_app", "serve"]
