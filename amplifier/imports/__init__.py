"""Sessions of other tools, from their files into the database: reading, comparing with what is there, writing."""
