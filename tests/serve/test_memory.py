"""What a server keeps of the requests that it has answered: nothing."""

from __future__ import annotations

import asyncio

from bontea.deploy import Stream
from bontea.deploy.budget import LEARN_AFTER
from bontea.serve.gateway import Gateway
from bontea.serve.options import Options
from bontea.serve.search import Drawn, Found
from bontea.serve.settings import ServeSettings
from bontea.serve.upstream import Completion, Response

REQUESTS = 500


def test_requests_that_wait_to_be_learnt_from_are_one_task():
    async def run():
        gateway = Gateway(
            ServeSettings(
                endpoint="http://127.0.0.1:9/v1", reward="tests.serve.slow_rewards:hangs", budget=4
            )
        )
        options = Options(True, "m", [{"role": "user", "content": ""}], {"model": "m"}, b"{}", None)
        response = Response({"choices": [{}]}, Completion("", "stop"))
        for i in range(REQUESTS):
            drawn = [Drawn(k, response, float((i * k) % 7)) for k in range(4)]
            gateway._learn(Found(drawn, "price"), options)
            assert len(gateway.background) == 1
        await asyncio.gather(*gateway.background)
        assert gateway.numbers.stream.prompts == REQUESTS
        assert gateway.numbers.prior is not None
        assert not gateway.done

    asyncio.run(run())


def test_a_stream_keeps_no_more_prompts_than_it_learns_from():
    stream = Stream(4)
    for i in range(2 * LEARN_AFTER[-1]):
        stream.finish([float((i * k) % 7) for k in range(4)])
    assert stream.prompts == 2 * LEARN_AFTER[-1]
    assert len(stream._rows) == LEARN_AFTER[-1]
