"""amplifier-api doctor: examines the settings, the database and a running service, and names remedies."""
