"""Tokenizers and models to draw from, by name or folder, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bontea._errors import BonteaError, MissingPackageError, what_gave_up
from bontea._settings import DEMO


def start_model(name: str) -> str:
    """The hub name or folder behind a model's name; `"demo"` is the embedded policy.

    For that, PyTorch is set to one thread: so small a model gains little from more and waits long
    for them on a busy machine, and the last digits, from which runs drift apart, no longer depend
    on the number of cores.
    """
    if name != DEMO:
        return name
    import torch

    from bontea import demo

    torch.set_num_threads(1)
    return str(demo.policy_folder())


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

    `dtype`: float32, bfloat16, float16, or auto, what the weights are stored in. Raises BonteaError
    when it cannot be loaded.
    """
    import torch
    from accelerate import PartialState
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {
        "dtype": dtype if dtype == "auto" else getattr(torch, dtype),
        "trust_remote_code": trust_remote_code,
    }
    try:
        if (Path(path) / "adapter_config.json").exists():
            from peft import AutoPeftModelForCausalLM

            model = AutoPeftModelForCausalLM.from_pretrained(path, **options)
        else:
            model = AutoModelForCausalLM.from_pretrained(path, **options)
    except ModuleNotFoundError:
        raise  # the command line knows what to install
    except Exception as error:  # the libraries raise many unrelated types
        raise unloadable(error, f"model {path} cannot be loaded") from error
    return model.to(PartialState().device).eval()


def unloadable(error: Exception, what: str) -> Exception:
    """What to raise for something that could not be loaded: the error itself where it says enough.

    Libraries raise errors of every type for a missing, broken or foreign file; too little memory is
    none of these.
    """
    if isinstance(error, BonteaError) or what_gave_up(error):
        return error
    kind = MissingPackageError if isinstance(error, ImportError) else BonteaError
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return kind(f"{what} ({lines[0]}): check the name, and that its files are whole")
