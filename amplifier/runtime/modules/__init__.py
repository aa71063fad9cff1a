"""The modules of amplifier-core that the service brings along."""
