"""Kappas, intraclass correlation, limits of agreement."""
