"""The commands of amplifier-api, a module for each noun; each adds its own to the parser and runs them.

They import what they need when they run: a first start does so while PostgreSQL makes its files.
"""
