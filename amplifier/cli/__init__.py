"""The commands of amplifier-api: parses arguments and prepares the database. Their work is done in other packages."""
