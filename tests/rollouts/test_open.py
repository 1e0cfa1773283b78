"""Text files in the encodings, compressions and line ends that people have."""

import bz2
import gzip
import lzma

import pytest

from bontea._errors import BonteaError
from bontea.rollouts import read_rollouts
from bontea.rollouts._open import open_text, read_text

TEXT = "".join(
    f'{{"prompt": "Grüße {p} 猫", "reward": {p + j / 4}}}\n' for p in range(3) for j in range(4)
)
PLAIN = TEXT.encode()


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        gzip.compress(PLAIN, mtime=0),
        bz2.compress(PLAIN),
        lzma.compress(PLAIN),
        b"\xef\xbb\xbf" + PLAIN,
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        gzip.compress(TEXT.encode("utf-16"), mtime=0),
        PLAIN.replace(b"\n", b"\r"),
        PLAIN.replace(b"\n", b"\r\n"),
    ],
    ids=[
        *("plain", "gzip", "bz2", "xz", "bom", "utf-16", "utf-16-be", "utf-32"),
        *("no-bom-le", "no-bom-be", "gzip-utf-16", "cr", "crlf"),
    ],
)
def test_the_same_rows_however_they_are_written(tmp_path, data):
    path = tmp_path / "rollouts.jsonl"
    path.write_bytes(data)
    rollouts = read_rollouts(path)
    assert rollouts.prompts.tolist() == [f"Grüße {p} 猫" for p in range(3)]
    assert rollouts.table().tolist() == [[p + j / 4 for j in range(4)] for p in range(3)]


def test_a_wrong_suffix_does_not_matter(tmp_path):
    path = tmp_path / "rollouts.jsonl.gz"
    path.write_bytes(PLAIN)
    assert len(read_rollouts(path)) == 3


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PAR1 and more", "Parquet"),
        (b"\x28\xb5\x2f\xfd....", "zstd -d"),
        (b"PK\x03\x04....", "zip archive"),
        (b"\x01\x02\x00\x00\x00\x03", "not a text file"),
        (gzip.compress(PLAIN, mtime=0)[:-20], "not a whole compressed file"),
        (bz2.compress(PLAIN)[:-20], "not a whole compressed file"),
        (bz2.compress(PLAIN)[:8] + b"damaged damaged damaged", "not a whole compressed file"),
        (lzma.compress(PLAIN)[:-20], "not a whole compressed file"),
        (b"\xff\xfe" + TEXT.encode("utf-16-le")[:-1], "not whole UTF-16"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(tmp_path, data, said):
    path = tmp_path / "rollouts.jsonl"
    path.write_bytes(data)
    with pytest.raises(BonteaError, match=said) as caught:
        read_text(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_not_utf8_are_named(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_bytes("prompt\ncafé\n".encode("latin-1"))
    with pytest.raises(BonteaError, match=r"byte b'\\xe9' at position 11 .* iconv"):
        read_text(path)


def test_pieces_hold_whole_characters(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(("猫" * 100_000).encode("utf-16"))
    with open_text(path) as file:
        got = b""
        while piece := file.read(1000):
            piece.decode()
            got += piece
    assert got.decode() == "猫" * 100_000
