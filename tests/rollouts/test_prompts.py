"""Prompt files of every kind, and what is wrong with them in one message."""

import json

import pytest

from bontea.rollouts.prompts import load_prompts


def write(path, text):
    path.write_text(text)
    return str(path)


def test_jsonl_keeps_order_and_columns(tmp_path):
    rows = [{"prompt": f"p{i}", "answer": i} for i in range(5)]
    source = write(tmp_path / "p.jsonl", "\n".join(map(json.dumps, rows)))
    assert load_prompts(source) == rows


def test_csv_and_column_name(tmp_path):
    source = write(tmp_path / "p.csv", "question,id\nhello,1\nworld,2\n")
    assert [row["prompt"] for row in load_prompts(source, column="question")] == ["hello", "world"]
    with pytest.raises(ValueError, match="no column 'prompt'; its columns are question, id"):
        load_prompts(source)


def test_parquet(tmp_path):
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "p.parquet"
    datasets.Dataset.from_list([{"prompt": "a"}, {"prompt": "b"}]).to_parquet(path)
    assert [row["prompt"] for row in load_prompts(str(path))] == ["a", "b"]


def test_chat_prompts_lose_a_final_answer(tmp_path):
    user, answer = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}
    source = write(tmp_path / "p.jsonl", json.dumps({"prompt": [user, answer]}))
    assert load_prompts(source)[0]["prompt"] == [user]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.jsonl", "", "empty file"),
        ("p.jsonl", "\n \n", "empty file"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": ', "cannot be read"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": ""}', "row 2"),
        ("p.jsonl", '{"prompt": 3}', "row 1.*not a prompt"),
        ("p.txt", "hello", "must end in"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        load_prompts(write(tmp_path / name, text))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="not there"):
        load_prompts(str(tmp_path / "none.jsonl"))
    with pytest.raises(FileNotFoundError, match="a folder"):
        load_prompts(str(tmp_path))
