"""Builds the application and handles its process signals."""
