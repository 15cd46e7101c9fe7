"""Areas under ROC curves: placements, covariances, limits, contrasts."""
