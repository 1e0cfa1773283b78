"""The grammar the demo policy is pre-trained on: short opinionated reviews of a named subject.

A review strings together two to five clauses. Each clause draws its own grade around a mood that
the review holds, so that the opinion of a whole review is a sum of many small choices: nearly
Gaussian, with a far end that random draws almost never reach.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from bontea.demo import lexicon
from bontea.demo.lexicon import CATEGORIES, LEVELS, Category

HELD_OUT_PER_CATEGORY = 3
# Reviewers are a little grumpy and seldom of one mind: an all-excellent review is far out in the
# upper tail, which leaves a policy room to improve on the best of many draws.
MOOD_MEAN, MOOD_SD, CLAUSE_SD = -0.4, 0.4, 0.75
MIN_TOKENS, MAX_TOKENS = 8, 30
_FUNCTION_WORDS = (
    "the",
    "this",
    "was",
    "of",
    "i",
    "my",
    "and",
    "a",
    "an",
    "we",
    "it",
    "but",
    "review",
)
_PUNCTUATION = (".", ",", ":")

Clause = Callable[[random.Random, str, Category, Callable[[], int]], str]


def category_of(subject: str) -> str:
    """The category a subject belongs to."""
    for name, category in CATEGORIES.items():
        if subject in category.subjects:
            return name
    raise KeyError(subject)


def subjects() -> list[str]:
    """All subjects, cycling through the categories so that any prefix is balanced."""
    columns = [category.subjects for category in CATEGORIES.values()]
    return [subject for row in zip(*columns, strict=True) for subject in row]


def training_subjects() -> list[str]:
    """Subjects that reinforcement learning may prompt with."""
    return subjects()[: -HELD_OUT_PER_CATEGORY * len(CATEGORIES)]


def held_out_subjects() -> list[str]:
    """Subjects kept for evaluation: seen in pre-training text, never in training prompts."""
    return subjects()[-HELD_OUT_PER_CATEGORY * len(CATEGORIES) :]


def prompt_for(subject: str) -> str:
    """The prompt that asks for a review of a subject."""
    return f"review of the {subject}:"


def _adjective(rng: random.Random, category: Category, level: int) -> str:
    # Mostly the category's own words, so that a text shows what it is about.
    words = category.adjectives if rng.random() < 0.7 else lexicon.ADJECTIVES
    return rng.choice(words[level])


def _described(rng: random.Random, category: Category, level: int) -> str:
    adverb = rng.choice(lexicon.ADVERBS) + " " if rng.random() < 0.5 else ""
    return adverb + _adjective(rng, category, level)


def _indefinite(word: str) -> str:
    # "useful" and "usable" start with a consonant sound.
    vowel = word[0] in "aeiou" and not word.startswith("us")
    return f"{'an' if vowel else 'a'} {word}"


def _about_subject(
    rng: random.Random, subject: str, category: Category, level: Callable[[], int]
) -> str:
    return f"{rng.choice(('the', 'this'))} {subject} was {_described(rng, category, level())}"


def _about_aspect(
    rng: random.Random, subject: str, category: Category, level: Callable[[], int]
) -> str:
    owner = f"of the {subject} " if rng.random() < 0.25 else ""
    aspect = rng.choice(category.aspects)
    return f"the {aspect} {owner}was {_described(rng, category, level())}"


def _about_two_aspects(
    rng: random.Random, subject: str, category: Category, level: Callable[[], int]
) -> str:
    first, second = rng.sample(category.aspects, 2)
    return (
        f"the {first} was {_adjective(rng, category, level())} "
        f"and the {second} {_adjective(rng, category, level())}"
    )


def _feeling(rng: random.Random, subject: str, category: Category, level: Callable[[], int]) -> str:
    thing = f"the {subject}" if rng.random() < 0.6 else f"the {rng.choice(category.aspects)}"
    person = "i" if rng.random() < 0.6 else f"my {rng.choice(lexicon.PEOPLE)}"
    return f"{person} {rng.choice(lexicon.FEELINGS[level()])} {thing}"


def _experience(
    rng: random.Random, subject: str, category: Category, level: Callable[[], int]
) -> str:
    article = _indefinite(_adjective(rng, category, level())) if rng.random() < 0.4 else "the"
    time = f" {rng.choice(lexicon.TIMES)}" if rng.random() < 0.7 else ""
    return f"{rng.choice(('i', 'we'))} {rng.choice(category.verbs)} {article} {subject}{time}"


def _hearsay(rng: random.Random, subject: str, category: Category, level: Callable[[], int]) -> str:
    return (
        f"my {rng.choice(lexicon.PEOPLE)} {rng.choice(lexicon.REPORTS)} "
        f"it was {_described(rng, category, level())}"
    )


def _remark(rng: random.Random, subject: str, category: Category, level: Callable[[], int]) -> str:
    return rng.choice(category.remarks[level()])


def _verdict(rng: random.Random, subject: str, category: Category, level: Callable[[], int]) -> str:
    return rng.choice(lexicon.VERDICTS[level()])


_OPENINGS: tuple[Clause, ...] = (_about_subject, _experience, _feeling)
_MIDDLES: tuple[Clause, ...] = (
    _about_aspect,
    _about_two_aspects,
    _about_subject,
    _feeling,
    _hearsay,
    _remark,
)


def _join(clauses: list[tuple[str, float]], rng: random.Random) -> str:
    """Join clauses with connectives that fit their grades: "but" only where the grade turns."""
    text, last = clauses[0]
    for clause, grade in clauses[1:]:
        turns = (grade - 2) * (last - 2) < 0
        text += rng.choice((". ", ", but ") if turns else (". ", " and ", ", and "))
        text, last = text + clause, grade
    return text + "."


def token_count(text: str) -> int:
    """Words and punctuation marks in a text, as the demo tokenizer counts them."""
    return len(text.split()) + sum(text.count(mark) for mark in _PUNCTUATION)


def review(subject: str, rng: random.Random, mood: float | None = None) -> tuple[str, float]:
    """One review of a subject and its mean grade, from -2 (very bad) to 2 (very good).

    ``mood`` shifts every clause; it is drawn at random when not given.
    """
    category = CATEGORIES[category_of(subject)]
    while True:
        centre = rng.gauss(MOOD_MEAN, MOOD_SD) if mood is None else mood
        grades: list[int] = []

        def level(centre: float = centre, grades: list[int] = grades) -> int:
            drawn = round(centre + rng.gauss(0.0, CLAUSE_SD)) + LEVELS // 2
            grades.append(min(max(drawn, 0), LEVELS - 1))
            return grades[-1]

        count = rng.choices((2, 3, 4, 5), weights=(1, 3, 4, 2))[0]
        opening = rng.choice(_OPENINGS)
        others = [make for make in _MIDDLES if make is not opening]
        makers = [opening, *rng.sample(others, count - 1)]
        if rng.random() < 0.5:
            makers[-1] = _verdict
        clauses = []
        for make in makers:
            before = len(grades)
            clause = make(rng, subject, category, level)
            own = grades[before:] or [LEVELS // 2]
            clauses.append((clause, sum(own) / len(own)))
        text = _join(clauses, rng)
        # Rejecting, rather than repairing, keeps every accepted review a plain draw of the rules.
        if MIN_TOKENS <= token_count(text) <= MAX_TOKENS and f" {subject}" in text and grades:
            return text, sum(grades) / len(grades) - LEVELS // 2


def vocabulary() -> list[str]:
    """Every word and mark the grammar can produce, sorted."""
    words = {*_FUNCTION_WORDS, *_PUNCTUATION}
    words |= {*lexicon.ADVERBS, *lexicon.PEOPLE, *lexicon.REPORTS}
    for graded in (lexicon.ADJECTIVES, lexicon.FEELINGS):
        words.update(word for row in graded for word in row)
    texts = [*lexicon.TIMES, *(phrase for row in lexicon.VERDICTS for phrase in row)]
    for category in CATEGORIES.values():
        words |= {*category.subjects, *category.aspects, *category.verbs}
        words.update(word for row in category.adjectives for word in row)
        texts += [phrase for row in category.remarks for phrase in row]
    return sorted(words.union(*(text.split() for text in texts)))
