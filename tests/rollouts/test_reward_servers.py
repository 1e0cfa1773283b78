"""Reward models behind vLLM and SGLang, by nothing but their URL."""

import datetime

import numpy as np
import pytest
from tests.rollouts.reward_server import MODEL, RewardServer, logit, rendered
from tests.tiny import word_tokenizer

from bontea.rollouts.calls import Inbox, InThreads, calls_of
from bontea.rollouts.judge import Judge, Task
from bontea.rollouts.reward_forms import RewardServerError, values_of
from bontea.rollouts.rewards import check_rows, load_reward, score
from bontea.rollouts.service import BadAnswer, EndpointError

pytest.importorskip("openai")

PROMPTS, COMPLETIONS = ["What?", "What?", "Why?"], [" That.", " This one.", " Because."]
TEXTS = [p + c for p, c in zip(PROMPTS, COMPLETIONS, strict=True)]
LOGITS = [logit(text) for text in TEXTS]
PAIRS = [logit(f"{p}[SEP]{c}") for p, c in zip(PROMPTS, COMPLETIONS, strict=True)]
USER = {"role": "user", "content": "What?"}
ANSWER = [{"role": "assistant", "content": "That."}]


def rewards_of(server, path, prompts=PROMPTS, completions=COMPLETIONS, columns=None, **options):
    reward = load_reward(server.url + path, **{"retries": 0, **options})
    return score(reward, prompts, completions, columns or {}).tolist()


def test_the_logits_are_no_probabilities():
    assert min(LOGITS + PAIRS) < 0
    assert max(LOGITS + PAIRS) > 1


@pytest.mark.parametrize(
    ("version", "says"),
    [
        *((v, None) for v in ("0.10.1", "0.10.2", "0.11.0", "0.11.1", "0.13.0", "0.33.0")),
        ("0.10.2", ""), ("0.13.0", ""), ("0.10.2", "0.1.7"), ("0.33.0", "0.11.1.dev7+g1f2e3d"),
    ],
)  # fmt: skip
def test_vllm_gives_the_logit_at_every_version(version, says):
    """Each takes another parameter for it, and from 0.11.1 on the older one means the opposite.

    Where `/version` is empty, or that of a router, it is the effect that counts.
    """
    with RewardServer("vllm", version, says=says) as server:
        assert rewards_of(server, "/classify") == LOGITS
        assert rewards_of(server, "/score") == PAIRS
        assert rewards_of(server, "/v1/score") == PAIRS
        new = version not in ("0.10.1", "0.10.2", "0.11.0")
        last = server.bodies("/classify")[-1]
        assert last == {
            "model": MODEL, "input": TEXTS,
            "use_activation" if new else "activation": False,
        }  # fmt: skip
        if new:
            assert rewards_of(server, "/pooling") == LOGITS
            assert server.bodies("/pooling")[-1] == {
                "model": MODEL, "input": TEXTS, "task": "classify", "use_activation": False,
            }  # fmt: skip
        elif says is None:
            with pytest.raises(
                EndpointError, match=r"vLLM 0.1.* at /pooling.*name http.*/classify"
            ):
                rewards_of(server, "/pooling")


@pytest.mark.parametrize("path", ["/classify", "/score"])
def test_a_vllm_that_cannot_give_the_logit(path):
    with (
        RewardServer("vllm", "0.9.2") as server,
        pytest.raises(EndpointError, match=r"vLLM 0\.9\.2 gives probabilities.*update"),
    ):
        rewards_of(server, path)
    with (
        RewardServer("vllm", "0.9.2", says="") as server,
        pytest.warns(UserWarning, match="does not say its version, and gives numbers betw"),
    ):
        rewards_of(server, path)
    # A model without activation needs no parameter.
    with RewardServer("vllm", "0.9.2", identity=True) as server:
        assert rewards_of(server, "/classify") == LOGITS


@pytest.mark.parametrize("version", ["0.4.6", "0.5.23"])
def test_sglang(version):
    with RewardServer("sglang", version) as server:
        assert rewards_of(server, "/classify") == LOGITS
        assert server.bodies("/classify")[-1] == {"model": MODEL, "text": TEXTS}
        assert rewards_of(server, "/v1/score") == LOGITS  # query and item, joined
        sent = sorted(server.bodies("/v1/score")[-2:], key=lambda body: body["query"])
        assert sent == [
            {"model": MODEL, "query": "What?", "items": [" That.", " This one."]},
            {"model": MODEL, "query": "Why?", "items": [" Because."]},
        ]
        with pytest.raises(EndpointError, match=r"are all 1: name http://\S*\d/classify, where"):
            rewards_of(server, "/v1/classify")


def test_one_text_and_none():
    for kind, version in (("vllm", "0.33.0"), ("sglang", "0.5.5")):
        with RewardServer(kind, version) as server:
            assert rewards_of(server, "/classify", ["a"], ["b"]) == [logit("ab")]
            assert rewards_of(server, "/classify", [], []) == []


def test_which_model():
    two = ("org/base", "lora")
    with RewardServer("vllm", "0.33.0", models=two) as server:
        with pytest.raises(
            EndpointError, match=r"serves 2 models \(org/base, lora\): .*--reward-m"
        ):
            rewards_of(server, "/classify")
        with pytest.raises(EndpointError, match=r"no model 'other' .*it serves org/base, lora"):
            rewards_of(server, "/classify", model="other")
        assert not server.requests
        assert rewards_of(server, "/classify", model="lora") == LOGITS
        assert server.bodies("/classify")[0]["model"] == "lora"
    with (
        RewardServer("sglang", models=()) as server,
        pytest.raises(EndpointError, match=r"lists no model|own form"),
    ):
        rewards_of(server, "/classify")


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
@pytest.mark.parametrize("models", [None, (MODEL,)])
def test_behind_a_proxy_that_signs_otherwise(kind, models):
    """With the name of the model, the answer to a first request says which server it is."""
    with RewardServer(kind, "0.33.0", owner="proxy", models=models) as server:
        with pytest.raises(EndpointError, match=r"own form.*name its model with --reward-model"):
            rewards_of(server, "/classify")
        assert rewards_of(server, "/classify", model=MODEL) == LOGITS
        assert rewards_of(server, "/v1/score", model=MODEL) == (PAIRS if kind == "vllm" else LOGITS)


@pytest.mark.parametrize("path", ["/classify", "/pooling", "/score", "/v1/score"])
def test_a_server_of_bonteas_own_form_at_such_a_path(path):
    """One that lists models, but not as vLLM or SGLang do, and one that lists none."""
    for models in (None, ("mine",)):
        with RewardServer("own", models=models, instead={"rewards": [1, None, 3.5]}) as server:
            np.testing.assert_array_equal(rewards_of(server, path), [1.0, np.nan, 3.5])
            assert server.requests == [(path, {"prompts": PROMPTS, "completions": COMPLETIONS})]


@pytest.mark.parametrize("path", ["/classify", "/pooling"])
def test_vllm_gets_chats_as_they_are(path):
    """One a request, side by side, also beside text prompts; each is one turn if continued."""
    start = {"role": "assistant", "content": "Th"}
    prompts = [[USER], "Why?", [USER, start]]
    completions = [ANSWER, " Because.", [{"role": "assistant", "content": "is."}]]
    whole = [[USER, *ANSWER], [USER, {"role": "assistant", "content": "This."}]]
    with RewardServer("vllm", "0.33.0") as server:
        expected = [logit(rendered(whole[0])), LOGITS[2], logit(rendered(whole[1]))]
        assert rewards_of(server, path, prompts, completions) == expected
        sent = [body for body in server.bodies(path) if "messages" in body]
        assert sorted(map(str, (body["messages"] for body in sent))) == sorted(map(str, whole))
        many = [[{"role": "user", "content": f"Number {i}?"}] for i in range(40)]
        texts = [rendered([*chat, *ANSWER]) for chat in many]
        assert rewards_of(server, path, many, [ANSWER] * 40) == [logit(text) for text in texts]


def test_where_chats_need_the_tokenizer():
    columns = {"tools": [[{"type": "function", "function": {"name": "f"}}]]}
    for kind, version, path, own, words in (
        ("vllm", "0.10.2", "/classify", {}, "vLLM 0.10.2 takes no chats at /classify"),
        ("vllm", "0.33.0", "/classify", columns, "takes no tools with a chat"),
        ("sglang", "0.5.23", "/classify", {}, "SGLang takes no chats here"),
    ):
        with RewardServer(kind, version) as server:
            with pytest.raises(RewardServerError, match=rf"{words}.*--reward-tokenizer FOLDER"):
                rewards_of(server, path, [[USER]], [ANSWER], own)
            reward = load_reward(server.url + path, retries=0)
            tools = {"tools": own["tools"][0]} if own else {}
            with pytest.raises(RewardServerError, match="--reward-tokenizer"):
                check_rows(reward, [{"prompt": "text"}, {"prompt": [USER], **tools}])
    with (
        RewardServer("vllm", "0.10.2", says="") as server,
        pytest.raises(EndpointError, match=r"Field required.*; if it takes no chats, name"),
    ):
        rewards_of(server, "/classify", [[USER]], [ANSWER])
    for prompt in ([USER, *ANSWER, USER], [{"role": "user", "content": [{"type": "image"}]}]):
        with RewardServer("vllm", "0.33.0") as server:
            with pytest.raises(
                RewardServerError, match=r"/score compares two texts.*/classify takes"
            ):
                rewards_of(server, "/score", [prompt], [ANSWER])
            assert rewards_of(server, "/score", [[USER]], [ANSWER]) == [logit("What?[SEP]That.")]


@pytest.fixture
def tokenizer(tmp_path):
    """One that begins each text with `<s>`, as its chat template does."""
    from tokenizers.processors import TemplateProcessing

    words = ["<pad>", "<eos>", "<unk>", "<s>", "What", "That", "?", ".", "user", "assistant"]
    made = word_tokenizer(words)
    made.add_special_tokens({"bos_token": "<s>"})
    made.chat_template = (
        "<s>{% for turn in messages %}{{ turn.role }} {{ turn.content }} {% endfor %}"
    )
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 3)]
    )
    made.save_pretrained(tmp_path / "tokenizer")
    return str(tmp_path / "tokenizer")


def test_chats_through_the_tokenizer(tokenizer):
    """The model reads what the template writes: one `<s>`, not two."""
    ids = [3, 8, 4, 6, 9, 5, 7]
    with RewardServer("sglang", "0.5.23") as server:
        got = rewards_of(server, "/classify", [[USER]], [ANSWER], tokenizer=tokenizer)
        assert server.bodies("/classify")[-1] == {"model": MODEL, "input_ids": [ids]}
        assert got == [sum(ids)]
    for version in ("0.10.2", "0.33.0"):
        with RewardServer("vllm", version) as server:
            got = rewards_of(server, "/classify", [[USER]], [ANSWER], tokenizer=tokenizer)
            text = "user What? assistant That. "
            assert server.bodies("/classify")[-1]["input"] == [text]
            assert got == [logit(text)]
    from transformers import AutoTokenizer

    assert AutoTokenizer.from_pretrained(tokenizer)(text)["input_ids"] == ids


def test_settings_that_do_not_fit(tokenizer, tmp_path):
    url = "http://127.0.0.1:9/rewards"
    for options, words in (
        ({"model": "m"}, "--reward-model is for a reward model behind vLLM or SGLang"),
        ({"tokenizer": tokenizer}, "--reward-tokenizer is for a reward model behind"),
    ):
        with pytest.raises(ValueError, match=words):
            load_reward(url, **options)
    with pytest.raises(ValueError, match="--reward-model m is for a reward that is a URL"):
        load_reward("my:function", model="m")
    with pytest.raises(ValueError, match=r"--reward-tokenizer .*none cannot be loaded"):
        load_reward("http://127.0.0.1:9/classify", tokenizer=str(tmp_path / "none"))
    word_tokenizer(["<pad>", "<eos>", "<unk>", "a"]).save_pretrained(tmp_path / "plain")
    with pytest.raises(ValueError, match="has no chat template"):
        load_reward("http://127.0.0.1:9/classify", tokenizer=str(tmp_path / "plain"))


def test_what_cannot_work_is_said_before_anything_is_drawn():
    for kind, path, options, words in (
        ("vllm", "/v1/classify", {}, r"status 404.*; vLLM has http\S*\d/classify$"),
        ("sglang", "/pooling", {}, "status 404"),
        ("vllm", "/pooling", {"labels": 2}, "2 numbers"),
        ("sglang", "/classify", {"labels": 2}, "2 numbers"),
    ):
        with RewardServer(kind, "0.33.0", **options) as server:
            reward = load_reward(server.url + path, retries=0)
            with pytest.raises(EndpointError, match=words):
                check_rows(reward, [{"prompt": "a"}])


def test_more_than_one_number():
    for kind in ("vllm", "sglang"):
        with (
            RewardServer(kind, "0.33.0", labels=5) as server,
            pytest.raises(RewardServerError, match=r"5 numbers for one completion \(.*one label"),
        ):
            rewards_of(server, "/classify")
    with RewardServer("vllm", "0.33.0", token_wise=True) as server:
        with pytest.raises(EndpointError, match="Unsupported task"):
            rewards_of(server, "/pooling")
        with pytest.raises(RewardServerError, match=r"numbers for each of 5 tokens"):
            rewards_of(server, "/classify")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([{"index": 1, "probs": [None]}, {"index": 0, "probs": [2.5]}], [2.5, np.nan]),
        ([{"index": 0, "probs": [float("nan")]}, {"index": 1, "probs": [1]}], [np.nan, 1]),
        ([{"index": 0, "score": None}, {"index": 1, "score": -1e9}], [np.nan, -1e9]),
        ([{"index": 0, "data": 1.5}, {"index": 1, "data": [2]}], [1.5, 2]),
        ([{"index": 0, "probs": [1.0]}], "1 rewards for 2 completions"),
        ([{"index": 0, "probs": [1.0]}] * 2, r"numbers \[0, 0\] as places"),
        ([{"index": 1, "probs": [1.0]}, {"index": 2, "probs": [1.0]}], r"\[1, 2\] as places"),
        ([{"index": 0, "probs": ["1"]}, {"index": 1, "probs": [1]}], "no number: '1'"),
        ([{"index": 0, "probs": [True]}, {"index": 1, "probs": [1]}], "no number: True"),
        ([{"index": 0, "probs": []}, {"index": 1, "probs": [1]}], "no number for a completion"),
        ([{"index": 0, "label": "a"}, {"index": 1, "label": "b"}], "without probs"),
        ([1.0, 2.0], "no list of rewards"),
        (None, "no list of rewards"),
    ],
)
def test_answers(answer, expected):
    body = {"object": "list", "model": MODEL, "data": answer}
    with RewardServer("vllm", "0.33.0", instead=body) as server:
        if isinstance(expected, list):
            np.testing.assert_array_equal(
                rewards_of(server, "/classify", ["a", "a"], ["b", "c"]), expected
            )
            return
        with pytest.raises(EndpointError, match=rf"an unexpected answer \(.*{expected}"):
            rewards_of(server, "/classify", ["a", "a"], ["b", "c"])


def test_values_of():
    assert values_of([{"embedding": [1.0]}, {"embedding": None}], 2) == [[1.0], None]
    assert values_of({"embedding": [1.0]}, 1) == [[1.0]]
    assert values_of({"scores": [[1.0], [2.0]]}, 2) == [[1.0], [2.0]]
    with pytest.raises(BadAnswer, match="2 rewards for 1"):
        values_of({"scores": [[1.0], [2.0]]}, 1)


def test_keys_retries_and_refusals(monkeypatch):
    monkeypatch.setenv("MY_KEY", "s3cret")
    with RewardServer("vllm", "0.33.0", key="s3cret") as server:
        with pytest.raises(EndpointError, match=r"/v1/models .*401.*wants a key.*--reward-key-env"):
            rewards_of(server, "/classify")
        assert rewards_of(server, "/classify", key_name="MY_KEY") == LOGITS
    with RewardServer("sglang", fails=2) as server:
        assert rewards_of(server, "/classify", retries=2) == LOGITS
        assert len(server.requests) == 4
    with (
        RewardServer("vllm", "0.33.0") as server,
        pytest.raises(EndpointError, match=r"status 404.*; vLLM has http\S*\d/classify$"),
    ):
        rewards_of(server, "/v1/classify")
    with pytest.raises(EndpointError, match="no connection"):
        load_reward("http://127.0.0.1:9/classify", retries=0)(prompts=["p"], completions=["c"])


def test_a_server_that_comes_later():
    """Prompts are checked as far as they can be; the first call finds the server."""
    with RewardServer("sglang") as server:
        port = server.http.server_address[1]
    reward = load_reward(server.url + "/classify", retries=0)
    check_rows(reward, [{"prompt": "a"}, {"prompt": [USER]}])
    with RewardServer("sglang", port=port):
        assert reward(prompts=["a"], completions=["b"]) == [logit("ab")]
        with pytest.raises(RewardServerError, match="--reward-tokenizer"):
            reward(prompts=[[USER]], completions=[ANSWER])


def test_several_requests_at_a_time_and_one_text_that_is_refused():
    """The completion that the server refuses is found, and all others get their rewards."""
    tasks = [
        Task(i, i % 3, f"Prompt {i % 3}.", " too long" if i == 11 else f" Number {i}.", {})
        for i in range(24)
    ]
    with RewardServer("vllm", "0.33.0") as server:
        calls = calls_of(load_reward(server.url + "/classify", retries=0), 4)
        assert isinstance(calls, InThreads)
        inbox, done = Inbox(8), []
        inbox.put(tasks)
        inbox.close()
        judge = Judge(calls.name)
        calls.run(inbox, judge.verdicts, done.extend)
        judge.finish()
    by_key = {one.key: one for one in done}
    assert by_key.keys() == set(range(24))
    for task in tasks:
        if task.key == 11:
            assert by_key[11].reward is None
            assert "maximum context length" in by_key[11].error
        else:
            assert by_key[task.key].reward == logit(task.prompt + task.completion)


def test_columns_that_are_not_sent_need_no_json():
    with RewardServer("vllm", "0.33.0") as server:
        reward = load_reward(server.url + "/classify", retries=0)
        check_rows(reward, [{"prompt": "a", "when": datetime.date(2024, 1, 1)}])


def test_an_error_with_status_200():
    said = {"object": "error", "message": "out of memory", "code": 500}
    with (
        RewardServer("vllm", "0.33.0", instead=said) as server,
        pytest.raises(EndpointError, match="an error with status 200: 'out of memory'"),
    ):
        rewards_of(server, "/classify")
