"""Word lists of the demo grammar: eight categories of subjects and what reviews say about them.

Every graded list has five entries, from very bad (index 0) over neutral (index 2) to very good
(index 4). The lists are ours, written for this demo, so the text and the model trained on it carry
no third-party data.
"""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = 5


@dataclass(frozen=True)
class Category:
    """What belongs to one kind of subject: its subjects, parts, verbs and graded words."""

    subjects: tuple[str, ...]
    aspects: tuple[str, ...]
    verbs: tuple[str, ...]
    adjectives: tuple[tuple[str, ...], ...]
    remarks: tuple[tuple[str, ...], ...]


def _words(line: str) -> tuple[str, ...]:
    return tuple(line.split())


def _phrases(line: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in line.split("/"))


def _category(
    subjects: str, aspects: str, verbs: str, adjectives: list[str], remarks: list[str]
) -> Category:
    assert len(adjectives) == len(remarks) == LEVELS
    return Category(
        _words(subjects),
        _words(aspects),
        _words(verbs),
        tuple(_words(line) for line in adjectives),
        tuple(_phrases(line) for line in remarks),
    )


CATEGORIES: dict[str, Category] = {
    "food": _category(
        "soup curry pizza salad cake stew pie sandwich omelette risotto burger",
        "seasoning sauce texture portion aroma garnish filling flavour",
        "ate tasted ordered shared cooked",
        [
            "inedible rancid revolting burnt",
            "bland greasy soggy stale",
            "edible filling simple warm",
            "tasty fresh savoury juicy",
            "delicious exquisite mouthwatering heavenly",
        ],
        [
            "every bite made me sick / i spat it out",
            "it left me hungry / it needed more salt",
            "it came with a fork / it was served on a plate",
            "it smelled good / i finished my plate",
            "every bite was a joy / it melted in my mouth",
        ],
    ),
    "drink": _category(
        "coffee tea cider lemonade cocoa smoothie wine beer espresso milkshake juice",
        "aroma taste foam temperature sweetness aftertaste blend colour",
        "drank sipped ordered poured tried",
        [
            "undrinkable vile sour nauseating",
            "watery bitter lukewarm flat",
            "mild plain cool light",
            "refreshing smooth fragrant crisp",
            "delightful divine luscious superb",
        ],
        [
            "it tasted like dirt / i poured it away",
            "it left a bad taste / it lacked any flavour",
            "it came in a glass / it was served in a mug",
            "it woke me up / i asked for a second cup",
            "every sip was pure bliss / i could drink it forever",
        ],
    ),
    "film": _category(
        "comedy thriller western documentary musical cartoon drama romance sequel remake trilogy",
        "plot acting soundtrack ending script pacing cast dialogue",
        "watched saw streamed rented caught",
        [
            "unwatchable dreadful idiotic painful",
            "boring predictable clumsy dull",
            "long familiar ordinary quiet",
            "funny clever entertaining gripping",
            "brilliant breathtaking unforgettable masterful",
        ],
        [
            "i walked out in disgust / it insulted the audience",
            "i checked the clock twice / i nearly fell asleep",
            "it lasted two hours / it played in a small room",
            "the audience laughed / it kept me guessing",
            "i cried tears of joy / the whole room stood and cheered",
        ],
    ),
    "book": _category(
        "novel memoir biography cookbook textbook anthology poem guidebook atlas manual diary",
        "prose opening style cover narrator chapter message structure",
        "read borrowed finished opened bought",
        [
            "unreadable worthless insulting dreadful",
            "dry confusing tedious shallow",
            "short standard plain ordinary",
            "thoughtful engaging witty useful",
            "profound dazzling wonderful inspiring",
        ],
        [
            "i threw it in the bin / every page was torture",
            "i skipped several pages / it put me to sleep",
            "it sits on my shelf / it has many pages",
            "it taught me something / i turned the pages quickly",
            "it changed my life / i wept at its beauty",
        ],
    ),
    "lodging": _category(
        "hotel hostel cabin inn cottage resort motel campsite guesthouse villa lodge",
        "room bed shower breakfast view staff lobby kitchen",
        "booked chose visited found rented",
        [
            "filthy disgusting horrible unsafe",
            "noisy cramped shabby cold",
            "basic modest typical average",
            "clean comfortable cosy friendly",
            "luxurious magnificent spotless dreamy",
        ],
        [
            "there were rats in the hall / we fled in the night",
            "the walls were thin / we slept badly",
            "we stayed two nights / it was near the station",
            "we slept well / they made us feel welcome",
            "we never wanted to leave / it felt like paradise",
        ],
    ),
    "device": _category(
        "phone laptop camera printer tablet keyboard speaker watch drone vacuum toaster",
        "screen battery design sound software button setup casing",
        "bought used tested charged unpacked",
        [
            "useless broken dangerous defective",
            "slow flimsy unreliable clunky",
            "heavy standard grey usable",
            "fast sturdy handy reliable",
            "flawless amazing ingenious outstanding",
        ],
        [
            "it caught fire / it died on the first day",
            "it froze twice / it needed constant repair",
            "it has two buttons / it came in a box",
            "it works well / it saves me time",
            "it works like magic / i cannot live without it",
        ],
    ),
    "clothing": _category(
        "jacket sweater coat scarf shirt dress hat suit skirt cardigan raincoat",
        "fabric fit stitching colour lining cut collar pattern",
        "wore bought tried washed returned",
        [
            "hideous unwearable ghastly ruined",
            "itchy baggy scratchy faded",
            "plain grey loose casual",
            "soft stylish flattering comfortable",
            "gorgeous stunning perfect elegant",
        ],
        [
            "it fell apart at once / it gave me a rash",
            "it shrank in the wash / it looked cheap",
            "it hangs in my closet / it comes in blue",
            "it kept me warm / it suits me well",
            "i feel beautiful in it / strangers stop to praise it",
        ],
    ),
    "outing": _category(
        "museum zoo aquarium castle garden gallery festival market beach park carnival",
        "tour guide entrance cafe exhibit crowd path atmosphere",
        "visited explored toured found saw",
        [
            "appalling filthy miserable horrible",
            "crowded overpriced dull neglected",
            "ordinary quiet large typical",
            "pleasant lively charming interesting",
            "spectacular enchanting magical glorious",
        ],
        [
            "it ruined our whole trip / we demanded a refund",
            "we got tired of waiting / there was little to see",
            "we stayed an hour / it opens at noon",
            "the children had fun / we took many pictures",
            "it was the best day ever / it filled us with wonder",
        ],
    ),
}

# Words every category shares.
ADJECTIVES = tuple(
    _words(line)
    for line in [
        "terrible awful atrocious abysmal horrendous",
        "poor disappointing weak unpleasant mediocre",
        "okay acceptable passable fine average",
        "good nice decent pleasing enjoyable",
        "excellent fantastic marvellous phenomenal sublime",
    ]
)
FEELINGS = tuple(
    _words(line)
    for line in [
        "hated despised loathed detested",
        "disliked regretted resented avoided",
        "tolerated accepted noticed remembered",
        "liked enjoyed appreciated welcomed",
        "loved adored treasured cherished",
    ]
)
VERDICTS = tuple(
    _phrases(line)
    for line in [
        "never again / what a horrible waste of money / i want my money back / please avoid it",
        "i expected better / it was not worth the price / look elsewhere / i would skip it",
        "it was what i expected / it did the job / i have no strong opinion / it depends on you",
        "i would try it again / it was worth the price / i left happy / most people will like it",
        "i recommend it with all my heart / it was worth every penny / it could not be better",
    ]
)
ADVERBS = _words("quite rather really very truly utterly fairly somewhat surprisingly simply")
PEOPLE = _words(
    "sister brother friend partner mother father neighbour boss cousin daughter son uncle aunt"
)
REPORTS = _words("said thought felt claimed agreed believed insisted")
TIMES = _phrases(
    "on monday / on tuesday / on friday / on sunday / last night / last week / this morning "
    "/ yesterday / after work / before noon / in the rain / in june / in winter / over the holidays"
)
