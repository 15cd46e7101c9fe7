"""Draws of patients and the limits made of replicates."""
