"""Chats through the chat templates of well-known models, as TRL keeps them, and as requests."""

import json
from pathlib import Path

import pytest
from tests.tiny import word_tokenizer

from bontea import demo
from bontea._errors import BonteaError
from bontea.rollouts.chats import (
    check_for_server,
    check_in_process,
    for_template,
    joined,
    only_for_prefills,
    request_fields,
    template_text,
    token_ids,
)

trl = pytest.importorskip("trl")

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 17}'}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


WITH_TOOLS = [
    user("1 + 17"),
    assistant(None, tool_calls=[CALL]),
    {"role": "tool", "tool_call_id": "c1", "name": "add", "content": "18"},
]


def with_template(name):
    tokenizer = word_tokenizer(["<pad>", "<eos>", "<unk>", "hi"])
    tokenizer.bos_token = "<eos>"
    tokenizer.chat_template = (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    return tokenizer


@pytest.mark.parametrize("name", ["qwen2_5", "llama3", "gemma3", "phi3"])
def test_a_chat_of_text_is_what_the_template_makes_of_it(name):
    tokenizer, chat = with_template(name), [user("hi "), assistant("yes"), user("hi hi")]
    options = {"add_generation_prompt": True}
    text = tokenizer.apply_chat_template(chat, tokenize=False, **options)
    assert template_text(tokenizer, chat) == text
    ids = tokenizer.apply_chat_template(chat, return_dict=True, **options)["input_ids"]
    assert token_ids(tokenizer, chat) == ids
    assert token_ids(tokenizer, "hi hi") == [3, 3]


@pytest.mark.parametrize("name", ["qwen2_5", "qwen3", "llama3", "gemma3", "phi3", "deepseekv3"])
@pytest.mark.parametrize("start", ["The answer is", "The answer is \n", " <think>\n"])
def test_a_last_turn_of_the_assistant_is_continued(name, start):
    """The text ends in that turn, with its spaces, and no new turn is begun after it."""
    tokenizer = with_template(name)
    text = template_text(tokenizer, [user("Why?"), assistant(start)])
    asked = template_text(tokenizer, [user("Why?")])
    assert text.endswith(start)
    assert text.count("Why?") == 1
    assert text.startswith(asked[: asked.index("Why?") + 4])
    parts = [user("Why?"), assistant([{"type": "text", "text": start}])]
    assert template_text(tokenizer, parts) == text


@pytest.mark.parametrize(
    ("name", "between"), [("qwen2_5", "\n"), ("phi3", "\n"), ("gemma3", ""), ("qwen3_6", "")]
)
def test_text_in_parts_is_text(name, between):
    """A template that knows parts gets them; another would print a list of Python's."""
    chat = [user([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}])]
    text = template_text(with_template(name), chat)
    assert f"one{between}two" in text
    assert "{'type'" not in text


@pytest.mark.parametrize("part", [IMAGE, {"type": "image"}, {"type": "image", "image": "x.png"}])
@pytest.mark.parametrize("name", ["qwen2_5", "qwen2_5_vl", "gemma3"])
def test_an_image_is_refused_with_the_reason(name, part):
    rows = {0: {"prompt": [user("hi")]}, 1: {"prompt": [user([part])]}}
    with pytest.raises(BonteaError, match=r"^prompt 1 .*this prompt has an image .*--endpoint"):
        check_in_process(with_template(name), rows)


@pytest.mark.parametrize(
    ("name", "chat", "tools", "said"),
    [
        ("qwen3", [{"role": "developer", "content": "Be brief."}, user("hi")], None, "leaves out"),
        ("phi3", [{"role": "critic", "content": "Be brief."}, user("hi")], None, "'critic'"),
        ("gemma", [{"role": "system", "content": "Be brief."}, user("hi")], None, "not supported"),
        ("phi3", [user("1 + 17")], [ADD], r"leaves out the tools \(add\)"),
        ("phi3", WITH_TOOLS, None, r"leaves out the tool calls of turn 2 \(add\)"),
        ("qwen2_5", [user([{"type": "input_audio"}])], None, "an audio"),
        ("qwen3", [user("hi"), assistant("<think>a</think>\n\n\n\nb")], None, "final message"),
    ],
)
def test_what_a_template_would_leave_out_is_refused(name, chat, tools, said):
    with pytest.raises(BonteaError, match=said):
        template_text(with_template(name), chat, tools)


def test_tools_and_tool_calls():
    """Arguments are written once as JSON, whether the file has them as text or as an object."""
    tokenizer = with_template("qwen2_5")
    text = template_text(tokenizer, WITH_TOOLS, [ADD])
    assert '{"name": "add", "arguments": {"a": 17}}' in text
    assert "None" not in text
    as_object = json.loads(json.dumps(WITH_TOOLS))
    as_object[1]["tool_calls"][0]["function"]["arguments"] = {"a": 17}
    assert template_text(tokenizer, as_object, [ADD]) == text
    assert json.dumps(ADD) in text
    assert '{"a": 17}' in template_text(with_template("deepseekv3"), WITH_TOOLS)  # only as text
    assert WITH_TOOLS[1]["tool_calls"][0]["function"]["arguments"] == '{"a": 17}'
    assert for_template(tokenizer, WITH_TOOLS) == for_template(tokenizer, as_object)


def test_a_continuation_and_its_start_are_one_turn():
    prompt = [user("Why?"), assistant("Because", name="x")]
    assert joined(prompt, [assistant(" so.")]) == [
        user("Why?"),
        assistant("Because so.", name="x"),
    ]
    assert joined([user("Why?")], [assistant("So.")]) == [user("Why?"), assistant("So.")]


def test_a_request_has_the_chat_unchanged():
    chat = [user([{"type": "text", "text": "What?"}, IMAGE]), *WITH_TOOLS]
    assert request_fields({"prompt": chat, "tools": [ADD]}) == {"messages": chat, "tools": [ADD]}
    assert request_fields({"prompt": chat, "tools": []}) == {"messages": chat}
    assert request_fields({"prompt": "hi", "tools": "saw"}) == {"messages": [user("hi")]}


def test_a_server_is_asked_to_continue_only_what_ends_with_the_assistant():
    asked = {"continue_final_message": True, "add_generation_prompt": False}
    prefill = {"messages": [user("Why?"), assistant("Be")], **asked}
    assert only_for_prefills(prefill) == prefill
    assert only_for_prefills({"messages": [user("Why?")], **asked}) == {"messages": [user("Why?")]}
    assert only_for_prefills({"prompt": "Why?"}) == {"prompt": "Why?"}

    rows = {0: {"prompt": "Why?"}, 1: {"prompt": [user("Why?"), assistant("Be")]}}
    with pytest.raises(BonteaError, match=r"prompt 1 .*turn of the assistant.*--extra-body"):
        check_for_server(rows, None)
    check_for_server(rows, asked)
    check_for_server(rows, {"continue_final_message": None})
    rows[1]["prompt"][-1]["prefix"] = True
    check_for_server(rows, None)
    with pytest.raises(BonteaError, match=r"prompt 0 .*cannot be sent as JSON .*bytes"):
        check_for_server({0: {"prompt": [user([{"type": "image", "image": b"x"}])]}}, None)


@pytest.fixture
def chat_model(tmp_path):
    """The demo policy in a folder, with a chat template that writes turns one after the other."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = demo.policy_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{% for turn in messages %}{{ turn.content }} {% endfor %}"
    return AutoModelForCausalLM.from_pretrained(folder), tokenizer


def test_completions_go_on_where_a_chat_ends(chat_model, tmp_path):
    """The same as those of the text that the template gives; the reward sees the whole chat."""
    from bontea.rollouts.generate import sample_rollouts

    words = demo.held_out_prompts()[0].split()
    seen = []

    def reward(prompts, completions, **_):
        seen.extend(zip(prompts, completions, strict=True))
        return [1.0] * len(prompts)

    chat = [user(" ".join(words[:-1])), assistant(words[-1])]
    files = [
        sample_rollouts(
            *chat_model, {0: {"prompt": prompt}}, reward, path, m=4, max_new_tokens=6, batch_size=4
        )
        for prompt, path in ((chat, tmp_path / "a.jsonl"), (" ".join(words), tmp_path / "b.jsonl"))
    ]
    texts = [file.texts(4)[0] for file in files]
    assert texts[0] == texts[1]
    assert [c[0]["content"] for _, c in seen[:4]] == texts[0]
    assert [p for p, _ in seen[:4]] == [chat] * 4
