"""The pattern sets of REDACT: what keys and addresses look like in texts.

Most patterns of keys are those of detect-secrets. Of its detectors only those count whose matches are keys beyond
doubt: a match is replaced in the transcript, where a false one does harm. Google's RE2 compiles the patterns, because a
caller chooses the texts: it matches in linear time, and refuses look-around.
"""

import re
from importlib import import_module
from typing import NamedTuple

# detectors of detect-secrets, with the name that stands in place of a match
_DETECTORS = {
    "aws.AWSKeyDetector": "aws-key",
    "azure_storage_key.AzureStorageKeyDetector": "azure-storage-key",
    "basic_auth.BasicAuthDetector": "password",
    "discord.DiscordBotTokenDetector": "discord-token",
    "github_token.GitHubTokenDetector": "github-token",
    "mailchimp.MailchimpDetector": "mailchimp-key",
    "openai.OpenAIDetector": "openai-key",
    "pypi_token.PypiTokenDetector": "pypi-token",
    "sendgrid.SendGridDetector": "sendgrid-key",
    "slack.SlackDetector": "slack-token",
    "square_oauth.SquareOAuthDetector": "square-secret",
    "stripe.StripeDetector": "stripe-key",
    "telegram_token.TelegramBotTokenDetector": "telegram-token",
    "twilio.TwilioKeyDetector": "twilio-key",
}
# Searched for on their own: with the others, their states multiply in base64, which then takes thirty times as long.
APART = frozenset({"discord-token", "email"})
_ANY = ".{"  # of patterns that also match what stands around a key
# keys that detect-secrets does not know, or of which it finds a part only
_KEYS = (
    ("private-key", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----[^\n]*?(?:-----END [A-Z0-9 ]*-----|\n|\z)"),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    ("aws-key", r"(?i)\baws_?secret_?(?:access_?)?key['=: ]{1,5}[A-Za-z0-9/+]{40}"),
    ("amplifier-key", r"\bapp_[0-9a-f]{16}_[A-Za-z0-9_-]{43}"),
    ("anthropic-key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    ("openai-key", r"\bsk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,}"),
    ("openai-key", r"\bsk-[A-Za-z0-9]{32,}"),
    ("google-key", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("github-token", r"\bgithub_pat_[0-9A-Za-z_]{22,}"),
    ("gitlab-token", r"\bgl(?:pat|dt|ft|soat|rt|ptt|oas)-[A-Za-z0-9_-]{20,}"),
    ("npm-token", r"\bnpm_[A-Za-z0-9]{36}"),
    ("huggingface-token", r"\bhf_[A-Za-z0-9]{34}"),
    ("bearer-token", r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{20,}=*"),
)
# the production `email` of the WHATWG's HTML standard, with a dot in the domain
_EMAIL = (
    r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+"
)


class Pattern(NamedTuple):
    """A pattern in the syntax of RE2, which matches no line feed but at its end: see `scrubber.py`."""

    name: str
    text: str


def patterns(sets: frozenset[str]) -> list[Pattern]:
    """Returns the patterns of these sets, `keys` and `emails`. Raises ImportError without the extra `redact`."""
    found: list[Pattern] = []
    if "keys" in sets:
        found += [Pattern(*one) for one in _KEYS]
        for path, name in _DETECTORS.items():
            module, _, detector = path.partition(".")
            plugin = getattr(import_module(f"detect_secrets.plugins.{module}"), detector)
            found += [Pattern(name, _text(one)) for one in plugin.denylist if _ANY not in one.pattern]
    if "emails" in sets:
        found.append(Pattern("email", _EMAIL))
    return found


def _text(compiled: "re.Pattern[str]") -> str:
    return f"(?i){compiled.pattern}" if compiled.flags & re.IGNORECASE else compiled.pattern
