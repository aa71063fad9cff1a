"""The formats of session files, a module for each tool. None of them knows the database."""
