"""Table 1: its tests, over patients and over images."""
