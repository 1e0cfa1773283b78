"""The table "The two candidates" of docs/bench.md: what the rule of the recommendation rests on.

    OMP_NUM_THREADS=1 python benchmarks/figures/candidates.py    # a minute on one core

Rollouts that `adaptive_tea` needs over those of `max_at_k(k=6)`, the square of the ratio of their
signal-to-noise, on laws of rewards and at several M, for N = 128; 64 prompts in a call.
"""

from __future__ import annotations

from scipy import stats

from bontea.theory import LAWS, effective_n, from_distribution, student_t

N, SIZES, GROUPS, PROMPTS = 128, (8, 16, 32, 64), 12_800, 64
LAWS_SHOWN = {
    "normal": LAWS["normal"](),
    "exponential_body": LAWS["exponential_body"](),
    "rounded": LAWS["rounded"](),
    "skewed_mixture": LAWS["skewed_mixture"](),
    "logistic": LAWS["logistic"](),
    "gumbel": LAWS["gumbel"](),
    "exponential": LAWS["exponential"](),
    "student_t, 5 degrees": LAWS["student_t"](),
    "student_t, 4": student_t(4),
    "student_t, 3": student_t(3),
    "lognormal(0.5)": from_distribution(stats.lognorm(0.5)),
    "lognormal(1)": from_distribution(stats.lognorm(1)),
    "atom": LAWS["atom"](),
    "beta": LAWS["beta"](),
    "uniform": LAWS["uniform"](),
}


def main() -> None:
    print("| rewards | " + " | ".join(f"M = {m}" for m in SIZES) + " |")
    print("|---" * (1 + len(SIZES)) + "|")
    for name, law in LAWS_SHOWN.items():
        cells = []
        for m in SIZES:
            options = {"n": N, "m": m, "law": law, "groups": GROUPS, "batch": PROMPTS, "rng": 0}
            tail, small = (effective_n(e, **options) for e in ("adaptive_tea", "max_at_k(k=6)"))
            cells.append(f"{(small.snr / tail.snr) ** 2:.2f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
