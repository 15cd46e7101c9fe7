"""Internal validation: plans of resamples, refits, corrected curves."""
