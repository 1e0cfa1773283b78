"""What servers and tools call the ways in which a completion ends: the words of `finish_reason`."""

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
CUT_OFF = tuple(ENDS["length"].split())
"""The values of `finish_reason` that mean that a response was cut off, in small letters."""
