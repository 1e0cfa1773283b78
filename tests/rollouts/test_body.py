"""`--extra-body`: put over a request, what it must not hold, and what to do if refused."""

import pytest

from bontea import BonteaError
from bontea.rollouts.body import check_extra_body, limit_of, read_extra_body, remedy, shaped

BODY = {"model": "m", "max_tokens": 512, "temperature": 1.0, "seed": 7, "messages": []}


@pytest.mark.parametrize(
    ("extra", "changed"),
    [
        (None, {}),
        ({}, {}),
        ({"seed": None}, {"seed": None}),
        ({"top_p": 0.9, "stop": None}, {"top_p": 0.9}),
        (
            {"seed": None, "max_completion_tokens": 99, "effort": "low"},
            {"seed": None, "max_tokens": None, "max_completion_tokens": 99, "effort": "low"},
        ),
        (
            {"max_tokens": 3, "max_completion_tokens": 9},
            {"max_tokens": 3, "max_completion_tokens": 9},
        ),
        (
            {"chat_template_kwargs": {"enable_thinking": False, "x": None}},
            {"chat_template_kwargs": {"enable_thinking": False, "x": None}},
        ),
    ],
)  # fmt: skip
def test_it_is_put_over_the_request(extra, changed):
    expected = {name: value for name, value in {**BODY, **changed}.items() if value is not None}
    assert shaped(BODY, extra) == expected
    check_extra_body(extra or {})


def test_it_is_read_from_json():
    text = '{"seed": null, "n": 1, "stream": false, "bias": {"7": [1e3]}}'
    found = read_extra_body(text)
    assert found == {"seed": None, "n": 1, "stream": False, "bias": {"7": [1000.0]}}
    check_extra_body(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("seed=1", "not JSON"),
        ("{'seed': null}", "not JSON"),
        ("[1]", "is not a JSON object"),
        ("null", "is not a JSON object"),
        ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ('{"a": {"b": 1, "b": 1}}', "the key 'b' is there twice"),
        ('{"a": ' * 50_000, "nested too deeply"),
    ],
)
def test_text_that_is_none(text, words):
    with pytest.raises(BonteaError, match="--extra-body") as error:
        read_extra_body(text)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"messages": []}, "--prompts"),
        ({"prompt": None}, "--prompts"),
        ({"model": "x"}, "--model"),
        ({"temperature": 0}, "--temperature"),
        ({"extra_body": {"top_k": 5}}, "put its fields into --extra-body itself"),
        ({"user": "\ud83d"}, "cannot be sent as JSON"),
        ({"n": 2}, "--rollouts"),
        ({"n": 0}, "--rollouts"),
        ({"n": True}, "--rollouts"),
        ({"best_of": 4}, "--rollouts"),
        ({"stream": True}, "not a stream"),
        ({"echo": True}, "scored with its completion"),
        ({"use_beam_search": True}, "not random"),
        ({"seed": 7}, "--seed"),
        ({"api_key": "x"}, "--api-key-env"),
        ({"metadata": [{"Authorization": "x"}]}, "--api-key-env"),
        ({"a": float("nan")}, "cannot be sent as JSON"),
        ({"a": {1, 2}}, "cannot be sent as JSON"),
    ],
)
def test_fields_that_spoil_rollouts(extra, words):
    with pytest.raises(BonteaError, match="--extra-body") as error:
        check_extra_body(extra)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("said", "extra", "words"),
    [
        ("Unsupported parameter: 'seed'", None, """--extra-body '{"seed": null}'"""),
        (
            "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            None,
            """--extra-body '{"max_tokens": null, "max_completion_tokens": 512}'""",
        ),
        ("[{'loc': ['body', 'temperature']}]", None, """'{"temperature": null}'"""),
        ("This model's maximum length is 9; 'max_tokens' is too large", None, "--max-new-tokens"),
        ("temperature and top_p cannot both be given", {"top_p": 0.9}, "top_p stands in"),
        ("no field min_p", {"min_p": 0.1}, "min_p stands in --extra-body"),
    ],
)
def test_remedies(said, extra, words):
    assert words in remedy(said, shaped(BODY, extra), extra)


@pytest.mark.parametrize(
    ("said", "extra"),
    [
        ("Seed-OSS refuses this", None),
        ("no model my-seed-7", None),
        ("seed is not known", {"seed": None}),  # it is not sent
        ("this prompt is too long", None),
    ],
)
def test_no_remedy_where_none_is_known(said, extra):
    assert remedy(said, shaped(BODY, extra), extra) == ""


def test_limits():
    assert limit_of(512, None) == "--max-new-tokens, now 512"
    assert limit_of(512, {"max_completion_tokens": 99}).startswith(
        "max_completion_tokens in --extra"
    )
