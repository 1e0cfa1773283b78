"""Chats as a person reads them: turns, tool calls, images, and what is no chat."""

import base64
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bontea._errors import BonteaError
from bontea.curves import compare, evaluate
from bontea.rollouts import as_rollouts, read_rollouts
from bontea.rollouts._images import decoded, image_size
from bontea.rollouts.chat_text import quoted, readable
from bontea.rollouts.prompts import load_prompts

FORMATS = ["PNG", "JPEG", "GIF", "WEBP", "BMP"]


def picture(kind, size=(96, 40), **options):
    """The bytes of a picture that no one could shorten: noise."""
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def address(data, kind="png"):
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def said(*parts, **more):
    """A turn with these parts as it is shown, after its role."""
    shown = readable([{"role": "user", "content": list(parts), **more}])
    return shown.removeprefix("user:").strip()


# --- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (96, 40), (300, 701)])
def test_the_size_of_an_image(kind, size):
    assert image_size(picture(kind, size)) == size


def test_the_size_behind_other_segments_and_in_other_variants():
    colours = {"icc_profile": bytes(70_000), "exif": b"Exif\0\0" + bytes(60_000)}
    assert image_size(picture("JPEG", (640, 480), **colours)) == (640, 480)
    assert image_size(picture("JPEG", (640, 480), progressive=True)) == (640, 480)
    assert image_size(picture("WEBP", (33, 65), lossless=True)) == (33, 65)
    assert image_size(picture("WEBP", (33, 65), exif=b"Exif\0\0" + bytes(50))) == (33, 65)
    upside_down = b"BM" + bytes(12) + (40).to_bytes(4, "little") + (7).to_bytes(4, "little")
    assert image_size(upside_down + (-9).to_bytes(4, "little", signed=True)) == (7, 9)
    old = b"BM" + bytes(12) + (12).to_bytes(4, "little") + bytes([7, 0, 9, 0])
    assert image_size(old) == (7, 9)


@pytest.mark.parametrize("kind", FORMATS)
def test_half_a_header_has_no_size(kind):
    whole = picture(kind)
    for length in range(64):
        assert image_size(whole[:length]) in (None, (96, 40)), length


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", ""]), st.binary(max_size=80))
def test_no_bytes_are_too_strange(kind, noise):
    start = picture(kind)[:30] if kind else b""
    size = image_size(start + noise)
    assert size is None or min(size) > 0


def test_spellings_of_the_same_image():
    data = picture("PNG")
    plain = base64.b64encode(data).decode()
    for spelled in (data, list(data), plain, plain.rstrip("="), address(data),
                    base64.urlsafe_b64encode(data).decode(), base64.encodebytes(data).decode(),
                    address(data).replace("data:image/png", "DATA:")):  # fmt: skip
        assert decoded(spelled) == data
    for none in ("https://a/b.png", "data:image/svg+xml,<svg/>", "no, base64", 3, [300], None):
        assert decoded(none) is None
    # Cut off in the middle of a character group: the header is there.
    assert image_size(decoded(plain[:101])) == (96, 40)


@pytest.mark.parametrize("kind", FORMATS)
def test_images_are_shown_by_their_size(kind):
    data = picture(kind, (512, 384))
    plain = base64.b64encode(data).decode()
    parts = [
        {"type": "image_url", "image_url": {"url": address(data), "detail": "low"}},
        {"type": "image_url", "image_url": address(data)},
        {"type": "input_image", "image_url": address(data), "file_id": None},
        {"type": "image", "source": {"type": "base64", "media_type": "image/x", "data": plain}},
        {"type": "image", "image": address(data)},
        {"type": "image", "image": plain},
        {"type": "image", "image": data},
        {"type": "image", "image": {"bytes": data, "path": None}},
        {"type": "image", "base64": plain},
        {"type": "image", "text": None, "image": None, "url": address(data)},
        {"image": plain},
    ]
    assert said(*parts).split("\n") == ["[image, 512 x 384]"] * len(parts)
    as_text = said({"type": "text", "text": f"before ![x]({address(data)}) after {plain}"})
    assert as_text == "before ![x]([image, 512 x 384]) after " + (
        plain if kind == "BMP" else "[image, 512 x 384]"
    )
    assert readable(f"<img src='{address(data)}'>") == "<img src='[image, 512 x 384]'>"


def test_images_elsewhere():
    long = "https://cdn.example.com/" + "folder/" * 30 + "picture.png?signature=secret#x"
    shown = said(
        {"type": "image_url", "image_url": {"url": "https://me:key@host:8080/a/b.png?token=s3"}},
        {"type": "image", "source": {"type": "url", "url": long}},
        {"type": "image", "image": "images/cat.png"},
        {"type": "image"},
        {"type": "input_image", "file_id": "file-123"},
        {"type": "image", "image": address(b"no image")},
        {"type": "image", "image": "https://[broken"},
    ).split("\n")
    assert shown[0] == "[image at https://host:8080/a/b.png]"
    assert shown[1].startswith("[image at https://cdn.example.com/folder/")
    assert shown[1].endswith("/picture.png]")
    assert len(shown[1]) < 90
    assert shown[2:] == ["[image at images/cat.png]", *["[image]"] * 3,
                         "[image at an address that is none]"]  # fmt: skip


# --- tool calls and other parts -----------------------------------------------------------------

WEATHER = {"query": "weather", "days": 3}
SHOWN = 'search(query="weather", days=3)'


@pytest.mark.parametrize(
    "turn",
    [
        {"tool_calls": [{"id": "1", "type": "function",
                         "function": {"name": "search", "arguments": json.dumps(WEATHER)}}]},
        {"tool_calls": [{"function": {"name": "search", "arguments": WEATHER}}], "content": None},
        {"tool_calls": [{"function": {"name": "search", "arguments": WEATHER | {"other": None}}}]},
        {"tool_calls": [{"name": "search", "arguments": WEATHER}], "content": ""},
        {"tool_calls": {"name": "search", "arguments": WEATHER}},
        {"function_call": {"name": "search", "arguments": json.dumps(WEATHER)}},
        {"content": [{"type": "tool_use", "id": "1", "name": "search", "input": WEATHER}]},
    ],
)  # fmt: skip
def test_tool_calls_by_name_and_arguments(turn):
    chat = [{"role": "assistant", **turn}]
    assert readable(chat) == f"assistant: {SHOWN}"
    assert readable(json.dumps(chat)) == f"assistant: {SHOWN}"
    assert readable(json.dumps(chat[0])) == f"assistant: {SHOWN}"
    assert readable({"messages": chat}) == f"assistant: {SHOWN}"


def test_arguments_of_every_kind():
    def call(arguments, name="f"):
        return said(tool_calls=[{"function": {"name": name, "arguments": arguments}}])

    assert call("") == call(None) == call({}) == call("{}") == "f()"
    assert call('{"a": null, "b": [1, {"c": "d"}], "e": true}') == (
        'f(a=null, b=[1, {"c": "d"}], e=true)'
    )
    assert call('{"text": "日本, \\"so\\""}') == 'f(text="日本, \\"so\\"")'
    assert call('{"query": "wea') == 'f({"query": "wea)'  # the model was cut off
    assert call("[1, 2]") == "f([1, 2])"
    assert call({}, name=None) == "[unnamed tool]()"
    image = address(picture("PNG", (8, 9)))
    raw = base64.b64encode(picture("BMP")).decode()
    assert call({"image": image, "data": raw}) == (
        f'f(image="[image, 8 x 9]", data="[{len(raw):,} characters of data]")'
    )
    assert call({"word": "a" * 500}) == f'f(word="{"a" * 500}")'
    deep = json.loads("[" * 500 + "]" * 500)
    assert call({"deep": deep}).startswith("f(deep=[")
    for depth in (300, 600, 900, 100_000):  # some of them JSON can read and we cannot follow
        text = '[{"role": "user", "content": ' + "[" * depth + '"x"' + "]" * depth + "}]"
        assert readable(text) in ("user: x", "[a chat that is nested too deeply to be shown]", text)


def test_a_whole_conversation():
    chat = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "name": "Ann", "content": [{"type": "text", "text": "Rain?"}]},
        {"role": "assistant", "content": None, "reasoning_content": "I need the forecast.",
         "tool_calls": [{"id": "c1", "function": {"name": "search", "arguments": WEATHER}}]},
        {"role": "tool", "tool_call_id": "c1", "content": '{"rain": true}'},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "So yes.", "signature": "EqQB" * 90},
            {"type": "redacted_thinking", "data": "Zm9v" * 90},
            {"type": "text", "text": "Yes."},
            {"type": "tool_use", "id": "c2", "name": "alarm", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c2", "content": [
                {"type": "text", "text": "set"}, {"type": "image"}]},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            {"type": "file", "filename": "a.pdf"},
            {"type": "hologram", "payload": "UklG" * 90}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "content": None, "tool_calls": None, "name": None},
    ]  # fmt: skip
    assert readable(json.dumps(chat)) == "\n\n".join(
        [
            "system: Be short.",
            "user (Ann): Rain?",
            f"assistant:\n[thinking: I need the forecast.]\n{SHOWN}",
            'tool (search): {"rain": true}',
            "assistant:\n[thinking: So yes.]\n[thinking, not shown]\nYes.\nalarm()",
            "user:\n[result of alarm: set\n[image]]\n[audio]\n[file 'a.pdf']\n[hologram]",
            "assistant: [refusal: No.]",
            "assistant: [refusal: No.]",
            "assistant: [no content]",
        ]
    )


def test_the_lists_of_the_second_interface_of_openai():
    items = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Look it up."}]},
        {"type": "function_call", "call_id": "c", "name": "search",
         "arguments": json.dumps(WEATHER)},
        {"type": "function_call_output", "call_id": "c", "output": "rain"},
        {"type": "message", "role": "assistant",
         "content": [{"type": "output_text", "text": "Rain.", "annotations": []}]},
    ]  # fmt: skip
    assert readable(json.dumps(items)) == (
        f"[thinking: Look it up.]\n\n{SHOWN}\n\n[result of search: rain]\n\nassistant: Rain."
    )
    assert readable('[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]') == "a\n\nb"


def test_data_in_the_result_of_a_tool():
    raw = base64.b64encode(picture("BMP")).decode()
    shown = readable([{"role": "tool", "content": json.dumps({"screenshot": raw})}])
    assert shown == f'tool: {{"screenshot": "[{len(raw):,} characters of data]"}}'


def test_right_to_left_text_begins_a_line():
    """The direction of a line is that of its first letter, which must not be the role's."""
    assert readable([{"role": "user", "content": "שלום!"}]) == "user:\nשלום!"
    assert readable([{"role": "user", "content": "a\nb"}]) == "user:\na\nb"


# --- what is no chat ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "7", r"$\frac{1}{2}$ and \n", '{"answer": 7}', '[{"a": 1}]', '[{"broken', "[1]",
        '[{"a":' * 100_000, '[{"role": "CEO", "name": "Ann"}]', '{"type": "text", "text": "x"}',
        '{"name": "search", "arguments": {"query": "weather"}}', '[{"type": "circle", "r": 1}]',
        "[{'role': 'user'", '{"role":', "data:image/png;base64,iVBORw0KGgo=", "A" * 1000,
        '[{"role": "user", "content": "a"}, 3]', "null", "[]", "{}",
    ],
)  # fmt: skip
def test_other_text_stays_as_it_is(text):
    assert readable(text) == text


WORDS = st.text(max_size=6) | st.sampled_from(["text", "image", "tool_use", "x" * 300])
LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | WORDS | st.binary(max_size=20)
FIELDS = """role content type text image image_url url source data tool_calls function name
arguments input id tool_call_id thinking refusal reasoning_content messages"""
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS.split()), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_nothing_is_too_strange(value):
    for chat in (value, [{"role": "user", "content": value}], [{"role": "a", "tool_calls": value}]):
        assert isinstance(readable(chat), str)
        assert len(quoted(chat, 60)) <= 4 * 60 * 3  # escapes, at most


# --- where they are shown -----------------------------------------------------------------------


def test_quoted_is_one_short_line():
    assert quoted("7") == "'7'"
    assert quoted("  ") == "'  '"
    assert quoted("a" * 60) == repr("a" * 60)
    assert quoted("a" * 61) == repr("a" * 57 + "...")
    assert quoted("a\n b") == "'a b'"
    assert quoted("\x1b[31m\u202e") == r"'\x1b[31m\u202e'"
    assert quoted("\n" * 10_000) == "'...'"
    assert quoted(np.str_("a")) == "'a'"


def chat(text):
    image = {"type": "image_url", "image_url": {"url": address(picture("PNG", (8, 9)))}}
    return [{"role": "user", "content": [image, {"type": "text", "text": text}]}]


def rows(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


SEEN = r"'user: \[image, 8 x 9\] {}'"


def test_errors_show_the_prompt_and_not_its_json(tmp_path):
    one, two = SEEN.format("one"), SEEN.format("two")
    path = rows(tmp_path / "a.jsonl", *({"prompt_id": 1, "prompt": chat(t), "reward": 0.0}
                                       for t in ("one", "two")))  # fmt: skip
    with pytest.raises(BonteaError, match=rf"\({one}, {two}\): prompt '1' has two texts"):
        read_rollouts(path)
    path = rows(tmp_path / "b.jsonl", *({"prompt": chat("one"), "rollout": 1, "reward": 0.0},) * 2)
    with pytest.raises(BonteaError, match=rf"rollout 1 of prompt {one}; remove"):
        read_rollouts(path)
    names = [json.dumps(chat(t)) for t in ("one", "two")]
    with pytest.raises(BonteaError, match=rf"prompt 1 \({two}\), rollout 0: the reward is inf"):
        as_rollouts([[0.0], [np.inf]], prompts=names)
    with pytest.raises(BonteaError, match=rf"both called {one}"):
        as_rollouts([[0.0], [1.0]], prompts=names[:1] * 2)
    a, b = (as_rollouts([[0.0, 1.0]], prompts=[name]) for name in names)
    with pytest.raises(BonteaError, match=rf"such as {one} and {two}"):
        compare(a, b)
    few = as_rollouts([[0.0, 1.0, 2.0, 3.0], [1.0], [1.0, 3.0, 4.0]], prompts=[*names, "c"])
    assert f"prompt {two} has only 1".replace("\\", "") in evaluate({"a": few}).warnings[0]
    path = rows(tmp_path / "c.jsonl", [chat("one"), 3])
    with pytest.raises(
        BonteaError, match=r"line 1: '\[\[{\"role\": \"user\", .*' is not an object"
    ):
        read_rollouts(path)


def test_a_prompt_that_is_none_is_shown_without_its_data(tmp_path):
    path = rows(tmp_path / "p.jsonl", {"prompt": [{"image": "x", "n": 3}]})
    with pytest.raises(
        BonteaError, match=r"""line 1: '\[{"image": "x", "n": 3}\]' is not a prompt"""
    ):
        load_prompts(str(path))
