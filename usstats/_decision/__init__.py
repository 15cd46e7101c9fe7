"""Net benefit, with and without censoring, and the value of knowing it."""
