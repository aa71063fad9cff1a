"""Hooks that request an approval before a tool runs: through the kernel, and in the way of hooks-approval."""

from typing import Any

from amplifier_core import ApprovalRequest, HookResult


async def asking(coordinator: Any, config: dict[str, Any]) -> None:
    """Asks through the kernel. `config` holds fields of HookResult; with `show_text` the question contains the text."""
    show_text = config.pop("show_text", False)

    async def ask(event: str, data: dict[str, Any]) -> HookResult:
        about = data["tool_input"].get("text") if show_text else data["tool_name"]
        given = {"approval_prompt": f"Run {about}?", **config}
        return HookResult(action="ask_user", **given)

    coordinator.hooks.register("tool:pre", ask, name="asking")


async def providing(coordinator: Any, config: dict[str, Any]) -> None:
    """Asks the approval provider that was registered."""
    providers: list[Any] = []

    async def ask(event: str, data: dict[str, Any]) -> HookResult:
        request = ApprovalRequest(tool_name=data["tool_name"], action="run it", risk_level="high", timeout=30)
        response = await providers[0].request_approval(request)
        return HookResult(action="continue" if response.approved else "deny", reason=response.reason)

    coordinator.register_capability("approval.register_provider", providers.append)
    coordinator.hooks.register("tool:pre", ask, name="providing")
