"""Rules for configs without database or HTTP: validation and the encryption of secrets."""
