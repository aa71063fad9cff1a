"""Servers and databases made on the spot: embedded, throwaway."""
