"""Applies rotated secrets while the service runs: reads references again, and renews the keys that encrypt configs."""

import msgspec

from amplifier.configs.encryption import Keyring
from amplifier.secret import Secret
from amplifier.secret_references import HELD
from amplifier.setting_sources import SECRETS
from amplifier.settings import Settings


async def keep_rotating(settings: Settings, keyring: Keyring) -> None:
    """Reads references again every SECRETS_REFRESH seconds. Returns at once if this process has none."""

    def accept(secret: Secret, candidate: Secret) -> None:
        """Raises SettingsError for a text with which the service would not start."""
        changes = {name: candidate for name in SECRETS if getattr(settings, name) is secret}
        msgspec.structs.replace(settings, **changes)

    def applied() -> None:
        keyring.renew(settings.encryption_keys, settings.derivation_keys)

    await HELD.keep_fresh(settings.secrets_refresh, accept, applied)
