"""Tests of `amplifier/runtime/`: model providers, modules, and the execution of runs."""
