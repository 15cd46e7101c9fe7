"""Several classes: labels, areas, report, calibration."""
