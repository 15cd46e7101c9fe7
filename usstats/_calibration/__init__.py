"""Recalibration, flexible curves, tests of fit."""
