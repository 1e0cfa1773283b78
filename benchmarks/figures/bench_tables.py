"""The tables of docs/bench.md, as Markdown, from the CSV files of `bontea bench --output FOLDER`.

bontea bench all --full --output runs/bench
python benchmarks/figures/bench_tables.py runs/bench > tables.md
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from bontea._numbers import percent


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(text: str, digits: int) -> str:
    if not text:
        return "beyond"
    value = float(text)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}f}"


def markdown(header: list[str], rows: list[list[str]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|---" * len(header) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def wide(rows: list[dict[str, str]], column: str, cell) -> None:
    """Estimators down, the values of a column across."""
    columns = list(dict.fromkeys(row[column] for row in rows))
    table = []
    for name in dict.fromkeys(row["estimator"] for row in rows):
        cells = {row[column]: cell(row) for row in rows if row["estimator"] == name}
        table.append([f"`{name}`", *(cells.get(c, "") for c in columns)])
    markdown(["estimator", *columns], table)


def main(folder: Path) -> None:
    direction = read(folder / "direction.csv")
    for n, m in dict.fromkeys((row["N"], row["M"]) for row in direction):
        print(f"### N = {n}, M = {m}\n")
        markdown(
            ["estimator", "effective N", "cosine", "SNR"],
            [
                [
                    f"`{row['estimator']}`",
                    f"{number(row['effective N'], 1)} ± {number(row['effective N se'], 1)}",
                    f"{float(row['cosine']):.4f} ± {float(row['cosine se']):.4f}",
                    f"{float(row['SNR']):.3f} ± {float(row['SNR se']):.3f}",
                ]
                for row in direction
                if (row["N"], row["M"]) == (n, m)
            ],
        )
    print("### Effective N against M, asked for N = 128\n")
    budget = [row | {"M": f"M = {row['M']}"} for row in read(folder / "budget.csv")]
    wide(
        budget,
        "M",
        lambda row: f"{number(row['effective N'], 1)} ± {number(row['effective N se'], 1)}",
    )
    print("### Other laws, N = 128, M = 16: cosine / SNR / effective N\n")
    wide(
        [
            {**row, "estimator": row["law"], "law": f"`{row['estimator']}`"}
            for row in read(folder / "laws.csv")
        ],
        "law",
        lambda row: " / ".join(
            [number(row["cosine"], 3), number(row["SNR"], 2), number(row["effective N"], 0)]
        ),
    )
    print("### Bias of the location against M (truth 1), raw form, N = 128, tail of a quarter\n")
    slopes = read(folder / "slopes.csv")
    table = []
    sizes = sorted({int(row["M"]) for row in slopes})
    for name in dict.fromkeys(row["estimator"] for row in slopes):
        mine = {int(row["M"]): row for row in slopes if row["estimator"] == name}
        one = next(iter(mine.values()))
        low, high = (
            number(one[key], 2) if one[key] else "none" for key in ("slope low", "slope high")
        )
        table.append(
            [
                f"`{name}`",
                *(
                    f"{float(mine[m]['bias']):.4f} ± {float(mine[m]['bias se']):.4f}"
                    if m in mine
                    else ""
                    for m in sizes
                ),
                f"{float(one['bias slope']):.2f} [{low}, {high}]",
                number(one["variance slope"], 2),
            ]
        )
    markdown(
        ["estimator", *(f"M = {m}" for m in sizes), "slope of the bias", "slope of the variance"],
        table,
    )
    for name, title in (("frontier", "one mean style"), ("styles", "softmax over 41 styles")):
        print(f"### Share of the best V_N, {title}\n")
        rows = [
            row | {"at": f"N = {row['N']}, M = {row['M']}"} for row in read(folder / f"{name}.csv")
        ]
        wide(
            rows,
            "at",
            lambda row: (
                f"{percent(float(row['share']))} "
                f"[{percent(float(row['low']))}, {percent(float(row['high']))}]"
            ),
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
