"""Tokenizers and models to draw from, by name or folder, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bontea._errors import BonteaError


def load_tokenizer(model: str, *, chats: bool = False, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a hub model or a local folder, padding on the left.

    `chats`: the prompts are chats, so it needs a chat template. Raises FileNotFoundError or
    ValueError saying what to do.
    """
    from transformers import AutoTokenizer

    path = Path(model)
    if not path.exists() and model.startswith((".", "/", "~")):
        raise FileNotFoundError(f"model {model} is not there: give a hub name or a model folder")
    if path.is_dir() and not (path / "config.json").exists():
        raise BonteaError(f"model {model} has no config.json: it is not a model folder")
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            model, padding_side="left", trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BonteaError(
            f"model {model} has no tokenizer that can be loaded ({str(error).splitlines()[0]}): "
            "save one into the folder with tokenizer.save_pretrained, or check the name"
        ) from None
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise BonteaError(
            f"model {model} has no tokenizer files: save its tokenizer into the folder with "
            "tokenizer.save_pretrained"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if chats and tokenizer.chat_template is None:
        raise BonteaError(
            f"the prompts are chats, but the tokenizer of {model} has no chat template: "
            "use plain text prompts, or an instruction-tuned model"
        )
    return tokenizer


def load_model(path: str, *, dtype: str, trust_remote_code: bool = False) -> Any:
    """A causal language model for sampling (LoRA adapter included), on this process's device.

    `dtype`: float32, bfloat16, float16, or auto, what the weights are stored in.
    """
    import torch
    from accelerate import PartialState
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {
        "dtype": dtype if dtype == "auto" else getattr(torch, dtype),
        "trust_remote_code": trust_remote_code,
    }
    if (Path(path) / "adapter_config.json").exists():
        from peft import AutoPeftModelForCausalLM

        model = AutoPeftModelForCausalLM.from_pretrained(path, **options)
    else:
        model = AutoModelForCausalLM.from_pretrained(path, **options)
    return model.to(PartialState().device).eval()
