"""Fitting: likelihoods, scaling, tables of coefficients."""
