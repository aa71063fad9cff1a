"""Checks that named SQL fits the database and shows nobody what is not theirs."""
