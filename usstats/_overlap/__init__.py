"""Masks and maps compared pixel by pixel."""
