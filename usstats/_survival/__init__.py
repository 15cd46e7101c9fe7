"""Censored times: weights, partial likelihood, measures at a time."""
