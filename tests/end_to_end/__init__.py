"""Tests of the whole service: real processes, models, soaks."""
