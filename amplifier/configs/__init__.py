"""Pure rules about configs: validation, encryption."""
