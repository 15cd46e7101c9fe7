"""Movements between risk groups."""
