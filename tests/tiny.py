"""Small parts of language models, made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

WORDS = ("the", "a", "one", "two", "cat", "dog", "bird", "fish")
WORDS += ("runs", "sees", "likes", "good", "bad", "big", "small", "and")

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """One token a word, numbered as given; the first three are `<pad>`, `<eos>`, `<unk>`."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    assert tuple(words[:3]) == ("<pad>", "<eos>", "<unk>")
    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )


def tiny_llama(path: Path, words: Sequence[str] = WORDS) -> str:
    """A Llama of 2 layers, 32 wide, over some words, and its tokenizer, saved in a folder."""
    import torch
    import transformers

    tokenizer = word_tokenizer(["<pad>", "<eos>", "<unk>", *words])
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64,
        pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)
