"""Chained equations."""
