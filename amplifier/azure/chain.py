"""azure-identity's default chain of credentials with limits for its waits, and its errors in words."""

import logging
import re
from typing import TYPE_CHECKING

from amplifier.errors import OperatorError, one_line

if TYPE_CHECKING:
    from azure.identity import DefaultAzureCredential

_LIMITS = {"connection_timeout": 2, "read_timeout": 5, "retry_total": 1, "process_timeout": 10}  # seconds; attempts
_LIBRARIES = ("azure.core", "azure.identity", "msal")  # their warnings repeat what the errors here say
_NAMES = {
    "Environment": "service principal (AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_CLIENT_SECRET)",
    "WorkloadIdentity": "workload identity",
    "ManagedIdentity": "managed identity",
    "AzureCli": "Azure CLI",
    "AzurePowerShell": "Azure PowerShell",
    "AzureDeveloperCli": "Azure Developer CLI",
}
_REMEDY = (
    "On Azure, assign a managed identity to what runs the service, and set AZURE_CLIENT_ID to its client id if it is "
    "user-assigned. On Kubernetes, label the pods for workload identity. On a machine of your own, run: az login"
)
_ABSENT = re.compile(r"authentication unavailable\.?$|not fully configured|not found|could not be found|not installed")
_NOT_CONFIGURED = "not configured"
_LONGEST = 300  # characters of a reason


class CredentialError(OperatorError):
    """Raised when there is no token. The message says what was tried and what to do.

    `may_pass` tells whether a credential was found, which may give a token later.
    """

    def __init__(self, message: str, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


def chain() -> "DefaultAzureCredential":
    """Returns the chain without those credentials that only Windows and editors have. Raises CredentialError."""
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise CredentialError("Azure's packages are missing, run: pip install 'amplifier-api[azure]'") from None
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        return DefaultAzureCredential(
            exclude_broker_credential=True,
            exclude_shared_token_cache_credential=True,
            exclude_visual_studio_code_credential=True,
            **_LIMITS,
        )
    except ValueError as error:  # of AZURE_TOKEN_CREDENTIALS
        raise CredentialError(one_line(error)) from None


def refusal(scope: str, error: Exception) -> CredentialError:
    """Returns the error for one of the chain: each credential that was tried and why it gave no token."""
    text = str(getattr(error, "message", None) or error)
    tried = re.findall(r"^\t(\w+)Credential: (.*)", text, re.MULTILINE)
    reasons = [f"{_NAMES.get(name, name)}: {_reason(text)}" for name, text in tried] or [_reason(one_line(error))]
    may_pass = any(not reason.endswith(_NOT_CONFIGURED) for reason in reasons)
    return no_token(scope, f". Tried: {'; '.join(reasons)}", may_pass)


def no_token(scope: str, reason: str, may_pass: bool = True) -> CredentialError:
    """Returns the error with the reason and what to do."""
    resource = scope.removesuffix("/.default")
    return CredentialError(f"Microsoft Entra gave no token for {resource}{reason}. {_REMEDY}", may_pass)


def _reason(text: str) -> str:
    answered = text.partition("Token request error: ")[2]  # after words that say the opposite
    if answered:
        said = re.sub(r"^\(\w+\) |\bNone\b,? ?", "", answered).strip(" .")  # a code that stands for all errors
        return f"its endpoint refuses: {said[:_LONGEST]}" if said else "its endpoint refuses, without a reason"
    if "Expecting value" in text:
        return "its answer is not JSON"
    return _NOT_CONFIGURED if _ABSENT.search(text) else text.strip(" .")[:_LONGEST]
