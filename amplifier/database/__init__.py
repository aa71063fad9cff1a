"""Pool, listening connection, TLS, classification of outages."""
