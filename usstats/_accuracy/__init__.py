"""Decisions against the truth: tables, paired tests, predictive values."""
