"""The reasons for which models end their answers, in one vocabulary for all providers.

The table in `docs/providers.md` lists them. What follows from a reason is decided in `modules/endings.py`.
"""

import re
from typing import Any

_SPELLINGS = {
    "stop": "end end_turn stop_sequence eos eos_token complete completed done",
    "length": "max_tokens max_output_tokens max_length model_length model_context_window_exceeded",
    "tool_calls": "tool_call tool_use function_call",
    "content_filter": "safety image_safety recitation blocklist prohibited_content spii sensitive guardrail_intervened",
    "refusal": "refused",
    "pause_turn": "pause",
    "error": "network_error insufficient_system_resource malformed_function_call function_call_filter",
}
_REASONS = {one: reason for reason, others in _SPELLINGS.items() for one in (reason, *others.split())}
_OTHER = re.compile(r"[^a-z0-9_.-]+")
_MOST = 64  # characters


def normalised(given: Any) -> str | None:
    """Returns the reason in the vocabulary of the service, or None if there is none.

    A reason that is not known is kept, in small letters. What follows a colon is left out, because Gemini appends its
    own reason there.
    """
    if not isinstance(given, str) or not given.strip():
        return None
    reason = _OTHER.sub("_", given.partition(":")[0].strip().lower())[:_MOST]
    return _REASONS.get(reason, reason)
