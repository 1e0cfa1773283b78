"""The pages of the docs: snippets run, links lead somewhere, and tables of effective N are true.

The tables are measured again with fewer groups and another seed, and must agree within 5 standard
errors: a false-fail rate of 5.7e-7 for each of some 170 figures.
"""

import ast
import math
import re
from pathlib import Path

import pytest
from tests.test_readme import test_snippet_prints_what_it_says as assert_prints_what_it_says

from bontea import ADVANTAGES, effective_n

DOCS = Path(__file__).parents[1] / "docs"
ESTIMATORS = DOCS / "estimators"
PAGES = [
    DOCS / "choose-an-estimator.md",
    DOCS / "theory.md",
    DOCS / "deploy.md",
    DOCS / "guide" / "2-tails.md",
    DOCS / "guide" / "3-planning.md",
    DOCS / "guide" / "6-extrapolation.md",
    *sorted(ESTIMATORS.glob("*.md")),
]
SNIPPETS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    )
]

NUMBER = r"([\d.,]+) \+- ([\d.,]+)"
FIGURES = rf"{NUMBER} \| {NUMBER} \| {NUMBER}"  # effective N, cosine, SNR
ROW = re.compile(rf"^\| `(\w+)(?:\((.*)\))?` \| (\w+) \| {FIGURES} \|$", re.M)
ROWS = sorted({row for page in ESTIMATORS.glob("*.md") for row in ROW.findall(page.read_text())})
GROUPS = 10_000


@pytest.mark.parametrize("block", SNIPPETS)
def test_snippet(block):
    assert_prints_what_it_says(block)


def test_every_estimator_has_a_page_and_a_picture():
    pages = {page.stem for page in ESTIMATORS.glob("*.md")}
    assert pages == {"README", *ADVANTAGES}
    index = (ESTIMATORS / "README.md").read_text(encoding="utf-8")
    for name in ADVANTAGES:
        page = (ESTIMATORS / f"{name}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# `{name}`\n")
        assert f"](../figures/estimators/{name}.png)" in page
        assert f"[`{name}`]({name}.md)" in index
        assert "```python\n" in page
    pictures = {picture.stem for picture in (DOCS / "figures" / "estimators").glob("*.png")}
    assert pictures == set(ADVANTAGES)


@pytest.mark.parametrize("page", sorted(DOCS.glob("**/*.md")), ids=lambda page: page.stem)
def test_links(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)", text):
        to = page.parent / target if target else page
        assert to.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", to.read_text(encoding="utf-8"), re.M)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{page.name}: {target}#{anchor}"


def test_the_tables_are_found():
    """A change of their form must not pass for want of rows."""
    real = set(ADVANTAGES) - {"max_rl", "pass_at_k", "pass_at_n", "inference_aware"}
    assert {row[0] for row in ROWS if row[2] == "normal"} == real


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]} {row[2]}".strip())
def test_table_of_effective_n(row):
    name, params, law, *figures = row
    call = ast.parse(f"f({params})", mode="eval").body
    params = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    batch = 64 if name == "adaptive_tea" else None
    got = effective_n(name, n=128, m=16, law=law, groups=GROUPS, batch=batch, rng=1, **params)
    value, se, *rest = (float(text.replace(",", "")) for text in figures)
    # Effective N is far from normal when large; its logarithm is not.
    error = math.hypot(se / value, got.standard_error / got.value, 0.005)
    assert abs(math.log(got.value / value)) < 5 * error
    for (value, se), own in zip(
        [rest[:2], rest[2:]],
        [(got.cosine, got.cosine_standard_error), (got.snr, got.snr_standard_error)],
        strict=True,
    ):
        assert abs(own[0] - value) < 5 * math.hypot(se, own[1]) + 1e-4
