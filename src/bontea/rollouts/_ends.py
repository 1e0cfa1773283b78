"""What servers and tools call the ways in which a completion ends: the words of `finish_reason`."""

from __future__ import annotations

import re

ENDS = {
    "stop": "stop eos eos_token end end_turn stop_sequence stop_token stopped complete completed",
    # OpenAI's interface, Anthropic, Inspect, Mistral; in capitals Gemini and Cohere.
    "length": "length max_tokens max_output_tokens max_completion_tokens max_length model_length "
    "limit token_limit model_context_window_exceeded",
    "content_filter": "content_filter content_filtered safety sensitive refusal recitation "
    "blocklist prohibited_content spii guardrail_intervened",
    "tool_calls": "tool_calls tool_call tool_use function_call",
}
NAMES = {word: name for name, words in ENDS.items() for word in words.split()}
"""The word of this library for each of them, in small letters."""


def end_named(word: str) -> str:
    """The word of this library for a `finish_reason`, however a server or a tool spells it.

    >>> [end_named(word) for word in ("LENGTH", "max-tokens", "FinishReason.MAX_TOKENS", "Odd")]
    ['length', 'length', 'length', 'odd']
    """
    plain = re.sub(r"[\s-]+", "_", word.strip().lower()).rpartition(".")[2]
    return NAMES.get(plain, plain)
