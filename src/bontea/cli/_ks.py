"""`--ks`: the values of k that `curve` and `rules` show."""

from __future__ import annotations

from bontea._errors import BonteaError


def read_ks(text: str) -> list[int]:
    """The values of k in a text such as "1,8,64", rising, each once."""
    try:
        ks = sorted({int(part) for part in text.split(",")})
    except ValueError:
        ks = []
    if not ks or ks[0] < 1:
        raise BonteaError(f"--ks {text}: give whole numbers of at least 1, such as --ks 1,8,64")
    return ks
