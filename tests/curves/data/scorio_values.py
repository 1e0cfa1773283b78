"""Reference values of scorio for `bontea rules`: writes `scorio.json` beside this file.

    pip install scorio==0.2.3 && python tests/curves/data/scorio_values.py      (2026-11-28)

pass@k, pass^k, max@k and maj@k are scorio's own estimators over all subsets. For votes scorio
decides one pool of responses, and takes the first of equal answers: here its decision is averaged
over all orders of all subsets, in which each of equal answers comes first equally often. (Scores
have no ties: in a weighted vote the answer of more responses would come first more often.)
"""

import json
from importlib.metadata import version
from itertools import permutations
from pathlib import Path

import numpy as np
from scorio.aggregate.best_of import best_of_n
from scorio.aggregate.vote import majority_vote, weighted_majority_vote
from scorio.eval import maj_at_k, max_at_k, pass_at_k, pass_hat_k

P, M = 5, 6
VALUES = np.array([0.0, 1.0, 2.5, 4.0])
TRUTH = ["a", "b", "a", "c", "a"]
KS = range(1, M + 1)


def decided(vote, answers, scores):
    """Share of right answers, mean over prompts, at each k."""
    means = []
    for k in KS:
        right = []
        for own, score, truth in zip(answers, scores, TRUTH, strict=True):
            for order in permutations(range(M), k):
                pool = np.array([own[i] for i in order], dtype=object)
                none = all(answer is None for answer in pool)
                right.append(not none and vote(pool, score[list(order)]) == truth)
        means.append(float(np.mean(right)))
    return means


rng = np.random.default_rng(7)
letters = np.array(list("abcd"))[np.minimum(3, rng.geometric(0.45, (P, M)) - 1)]
missing = rng.random((P, M)) < 0.15
answers = np.where(missing, None, letters.astype(object)).tolist()
scores = rng.random((P, M))
levels = rng.integers(0, 4, (P, M))
right = np.array([[int(a == t) for a in own] for own, t in zip(answers, TRUTH, strict=True)])
found = {
    "scorio": version("scorio"),
    "truth": TRUTH,
    "answers": answers,
    "letters": letters.tolist(),
    "scores": scores.tolist(),
    "rewards": VALUES[levels].tolist(),
    "pass_at_k": [pass_at_k(right, k) for k in KS],
    "pass_hat_k": [pass_hat_k(right, k) for k in KS],
    "max_at_k": [max_at_k(levels, k, w=VALUES) for k in KS],
    "maj_at_k": [maj_at_k(right, k) for k in KS],
    "majority": decided(lambda a, s: majority_vote(a), answers, scores),
    "weighted": decided(weighted_majority_vote, answers, scores),
    "best": decided(best_of_n, letters.tolist(), scores),
}
path = Path(__file__).with_name("scorio.json")
path.write_text(json.dumps(found) + "\n", encoding="utf-8")
