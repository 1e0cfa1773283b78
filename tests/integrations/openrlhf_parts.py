"""For test_openrlhf.py, in its process and in others: rollouts, and packages that need a GPU, which
OpenRLHF imports, as empty ones. What the tests run calls none of them."""

import numpy as np

TOKENS = 5
FILES = {
    "deepspeed/__init__.py": "",
    "deepspeed/runtime/__init__.py": "",
    "deepspeed/runtime/zero/__init__.py": "",
    "deepspeed/runtime/zero/partition_parameters.py": "ZeroParamStatus = None\n",
    "flash_attn/__init__.py": "",
    "flash_attn/bert_padding.py": "index_first_axis = pad_input = rearrange = unpad_input = None\n",
    "flash_attn/utils/__init__.py": "",
    "flash_attn/utils/distributed.py": "all_gather = None\n",
    "vllm/__init__.py": "SamplingParams = dict\n",
    "vllm/inputs.py": "TokensPrompt = dict\n",
    "vllm/utils.py": "random_uuid = None\n",
}


def stubs(folder):
    """Write the packages; the folder goes on the path of every process."""
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def experiences_of(rewards, seed=0, size=6):
    """Rollouts with responses of 1 to TOKENS tokens, in another order, as OpenRLHF makes them when
    it balances batches. A row that ends early is padded on the right."""
    import torch
    from openrlhf.trainer.ppo_utils.experience import Experience

    order = np.random.default_rng(seed).permutation(len(rewards))
    out = []
    for part in np.split(order, np.arange(size, len(order), size)):
        lengths = torch.tensor(1 + part % TOKENS)
        reward = torch.tensor(np.asarray(rewards, float)[part], dtype=torch.float32)
        mask = torch.arange(TOKENS) < lengths.unsqueeze(1)
        kl = torch.tensor(np.random.default_rng(int(part[0])).normal(size=(len(part), TOKENS)))
        out.append(
            Experience(
                index=part.tolist(),
                rewards=reward,
                action_mask=mask,
                kl=kl.float(),
                response_length=lengths,
                truncated=torch.tensor(part % 7 == 0),
                info={"reward": reward.clone()},
            )
        )
    return out
