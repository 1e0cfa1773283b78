"""The experiments on gradients: the measurement itself, the ablations, and the warnings."""

import numpy as np
import pytest
from tests.scripts import ROOT, load_script

import bontea
from bontea.tails.normal import tail_coefficient
from bontea.theory import exact, get_law

EXPERIMENTS = ROOT / "benchmarks" / "experiments"


@pytest.fixture(scope="module")
def alignment():
    return load_script(EXPERIMENTS / "gradient_alignment" / "alignment.py")


@pytest.fixture(scope="module")
def ablations():
    return load_script(EXPERIMENTS / "ablations" / "run.py")


@pytest.fixture(scope="module")
def warnings():
    return load_script(EXPERIMENTS / "warnings" / "run.py")


def test_the_exact_advantage_of_a_sample_is_near_that_of_its_law(alignment):
    r = np.random.default_rng(0).normal(size=200_000)
    at = np.linspace(-1, 3, 9)
    found = alignment.exact_advantage(r, at, 16.0)
    expected = exact.advantage(get_law("normal"), 16)(at)
    assert found == pytest.approx(expected - expected.mean(), abs=0.06)


def test_a_policy_with_a_known_gradient(alignment):
    """Rewards are normal, the sketch is the score of location and log scale, and noise beside."""
    rng = np.random.default_rng(0)
    halves = []
    for _ in range(2):
        z = rng.normal(size=60_000)
        scores = np.stack([z, z**2 - 1], axis=1)
        halves.append(alignment.Half(z, np.hstack([scores, rng.normal(size=(60_000, 8))])))
    table = alignment.measure(
        {
            "oracle": lambda r: alignment.exact_advantage(halves[0].r, r.ravel(), 64).reshape(
                r.shape
            ),
            "max_at_k": lambda r: bontea.max_at_k(r, k=15),
            "mean": bontea.reinforce,
        },
        halves,
        16,
        64.0,
    )
    assert table["oracle"]["cosine"] == pytest.approx(1, abs=0.02)
    assert table["oracle"]["closest_n"] >= 32  # beyond, the directions hardly differ
    # In location and log scale the gradient of best-of-k is (1, c_k), that of the mean (1, 0).
    truth = np.array([1, bontea.expected_max(64)])
    for name, c in {"max_at_k": bontea.expected_max(15), "mean": 0.0}.items():
        own = np.array([1, c])
        cosine = own @ truth / np.sqrt((own @ own) * (truth @ truth))
        assert table[name]["cosine"] == pytest.approx(cosine, abs=0.02)
    assert table["max_at_k"]["closest_n"] in (8, 16, 32)
    assert table["mean"]["closest_n"] == 1


@pytest.mark.parametrize("alpha", [0.25, 0.5])
def test_tea_with_the_other_standard_deviation(ablations, alpha):
    r = np.random.default_rng(0).normal(size=(32, 16))
    k = int(alpha * 16)
    tail = np.sort(r)[:, -k:]
    threshold, mean = tail[:, :1], tail.mean(1, keepdims=True)
    for ddof, found in ((0, bontea.tea(r, n=128, alpha=alpha)), (1, None)):
        sd = tail.std(1, ddof=ddof, keepdims=True)
        wide = (r - mean) ** 2 - (threshold - mean) ** 2
        a = (r >= threshold) * ((r - threshold) + tail_coefficient(128, alpha) / (2 * sd) * wide)
        a = (a - a.mean(1, keepdims=True)) / alpha
        found = ablations.tea_ddof1(r, 128, alpha) if found is None else found
        assert found == pytest.approx(a, abs=1e-10)


def test_variants_hold_the_defaults_and_work_at_every_setting(ablations):
    r = np.random.default_rng(0).normal(size=(64, 32))
    for m, n in ablations.SETTINGS:
        table = ablations.variants(m, n)
        assert {label.partition(":")[0] for label in table} > {"ddof of tea", "k of max_at_k"}
        for call in table.values():
            assert np.isfinite(call(np.random.default_rng(0).normal(size=(64, m)))).all()
    table = ablations.variants(32, 128)
    for label, default in {
        "alpha of linear_tea: 0.25": bontea.linear_tea(r, n=128),
        "ddof of tea: 0": bontea.tea(r, n=128),
        "alphas of adaptive_tea: 0.75, 0.5, 0.25": bontea.adaptive_tea(r, n=128),
        "tail of adaptive_tea: normal": bontea.adaptive_tea(r, n=128),
    }.items():
        assert np.array_equal(table[label](r), default), label


def test_what_the_diagnostics_say_of_known_rewards(warnings):
    def draw(cut):
        return lambda rng: cut(rng.normal(size=(warnings.GROUPS, warnings.M)))

    normal, ceiling, binary = (
        warnings.before(draw(cut))
        for cut in (lambda z: z, lambda z: np.minimum(z, 1), lambda z: 1.0 * (z > 1))
    )
    assert normal["kind"] == "continuous"
    assert abs(normal["z"]) < 1.5
    assert normal["refused"] < 0.2
    assert ceiling["refused"] == 1
    assert ceiling["short"] == 1
    assert binary["kind"] == "binary"


def test_the_warning_comes_before_the_loss(warnings, monkeypatch):
    monkeypatch.setattr(warnings, "STEPS", (0, 25, 100))
    monkeypatch.setattr(warnings, "BATCHES", 8)
    faked = warnings.along_training("linear_tea(alpha=0.5)", 0.5)
    safe = warnings.along_training("linear_tea", 0.25)
    (_, start, *_), (_, early, z, _), (_, late, *_) = faked
    assert z < -3
    assert early > start > late + 0.1
    assert safe[-1][1] > 0.9
    assert safe[-1][2] > -2
