"""What a request may ask for, and what is said of one that cannot be answered."""

import json
import math

import pytest

from bontea.serve.errors import ApiError
from bontea.serve.options import read_options
from bontea.serve.settings import ServeSettings

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
SETTINGS = ServeSettings(largest_n=128, largest_max_tokens=100)


def options(body, headers=None, settings=SETTINGS, chat=True):
    return read_options(body, headers or {}, settings, chat=chat)


def test_everything_else_is_passed_on():
    body = {
        **CHAT,
        "tools": [{"type": "function"}],
        "logprobs": True,
        "stop": ["a"],
        "odd": {"x": 1},
    }
    found = options(body | {"stream": True, "n": 2, "best_of_n": {"n": 8}, "max_tokens": 7})
    assert found.upstream == body | {"max_tokens": 7}
    assert (found.choices, found.n, found.stream) == (2, 8, True)


def test_a_limit_of_tokens_is_set_where_none_is_asked_for():
    assert options(CHAT).upstream["max_tokens"] == 100
    assert "max_tokens" not in options(CHAT, settings=ServeSettings()).upstream
    given = options({**CHAT, "max_completion_tokens": 5}).upstream
    assert given["max_completion_tokens"] == 5
    assert "max_tokens" not in given


def test_header_and_body():
    headers = {"x-best-of-n": "n=64, price=0.02; deadline=10, return=all"}
    found = options(CHAT, headers)
    assert (found.n, found.price, found.deadline, found.all) == (64, 0.02, 10.0, True)
    found = options({**CHAT, "best_of_n": {"n": 8}}, headers)
    assert (found.n, found.price) == (8, 0.02)


def test_best_of_means_n_and_null_means_nothing():
    found = options({"model": "m", "prompt": "p", "best_of": 5, "n": None}, chat=False)
    assert (found.n, found.choices) == (5, 1)
    assert "best_of" not in found.upstream
    assert options({**CHAT, "best_of_n": {"n": None, "price": None}}).n is None


def test_extra_body_shapes_what_is_sent():
    settings = ServeSettings(extra_body={"top_k": -1, "odd": None})
    assert options({**CHAT, "odd": 1}, settings=settings).upstream == CHAT | {"top_k": -1}


@pytest.mark.parametrize(
    ("body", "status", "param", "words"),
    [
        ([1], 400, None, "must be a JSON object"),
        ({}, 400, "messages", "must be a list of turns"),
        ({"messages": []}, 400, "messages", "must be a list of turns"),
        ({"messages": ["hi"], "model": "m"}, 400, "messages", "must be a list of turns"),
        ({**CHAT, "model": 3}, 400, "model", "must be text, not 3"),
        ({**CHAT, "n": 0}, 400, "n", "from 1 to 128, not 0"),
        ({**CHAT, "n": 1.5}, 400, "n", "from 1 to 128, not 1.5"),
        ({**CHAT, "n": True}, 400, "n", "not true"),
        ({**CHAT, "n": "3"}, 400, "n", 'not "3"'),
        ({**CHAT, "best_of_n": 3}, 400, "best_of_n", 'such as {"n": 64}, not 3'),
        ({**CHAT, "best_of_n": {"n": 10**9}}, 400, "best_of_n.n", "not 1000000000"),
        ({**CHAT, "best_of_n": {"n": 0}}, 400, "best_of_n.n", "from 1 to 128"),
        ({**CHAT, "best_of_n": {"price": -1}}, 400, "best_of_n.price", "of at least 0, not -1"),
        ({**CHAT, "best_of_n": {"price": math.nan}}, 400, "best_of_n.price", "not NaN"),
        ({**CHAT, "best_of_n": {"price": "cheap"}}, 400, "best_of_n.price", "cheap"),
        ({**CHAT, "best_of_n": {"deadline": 0}}, 400, "best_of_n.deadline", "above 0"),
        ({**CHAT, "best_of_n": {"return": "most"}}, 400, "best_of_n.return", "best or all"),
        ({**CHAT, "best_of_n": {"prize": 1}}, 400, "best_of_n.prize", "has no field 'prize'"),
        ({**CHAT, "best_of_n": {"columns": [1]}}, 400, "best_of_n.columns", "must be an object"),
        ({**CHAT, "best_of_n": {"n": 2, "min_n": 3}}, 400, "best_of_n.min_n", "exceeds"),
        ({**CHAT, "best_of_n": {"n": 2}, "n": 3}, 400, "n", "cannot exceed"),
        ({**CHAT, "max_tokens": 101}, 400, "max_tokens", "from 1 to 100, not 101"),
        ({**CHAT, "max_tokens": -1}, 400, "max_tokens", "from 1 to 100, not -1"),
        ({**CHAT, "stream": "yes"}, 400, "stream", "true or false"),
        ({**CHAT, "seed": 0.5}, 400, "seed", "seed must be a whole number"),
    ],
)
def test_what_cannot_be_answered(body, status, param, words):
    with pytest.raises(ApiError) as caught:
        options(body)
    error = caught.value
    assert (error.status, error.param) == (status, param)
    assert words in str(error)
    assert json.dumps(error.body, allow_nan=False)


@pytest.mark.parametrize("prompt", [None, "", ["a", "b"], [1, 2], {"a": 1}, 3])
def test_a_prompt_is_one_text(prompt):
    body = {"model": "m", "prompt": prompt}
    if prompt == "":
        assert options(body, chat=False).prompt == ""
        return
    with pytest.raises(ApiError, match="must be one text") as caught:
        options(body, chat=False)
    assert caught.value.param == "prompt"


def test_one_text_in_a_list_is_a_prompt():
    assert options({"model": "m", "prompt": ["a"]}, chat=False).prompt == "a"


def test_a_header_that_cannot_be_read():
    with pytest.raises(ApiError, match="look like this: n=64"):
        options(CHAT, {"x-best-of-n": "64"})


def test_a_model_may_be_missing():
    assert "model" not in options({"messages": CHAT["messages"]}).upstream


def test_another_model_than_the_only_one():
    settings = ServeSettings(model="mine")
    assert options({"messages": CHAT["messages"]}, settings=settings).model == "mine"
    with pytest.raises(ApiError, match="ask for 'mine'") as caught:
        options(CHAT, settings=settings)
    assert caught.value.status == 404
