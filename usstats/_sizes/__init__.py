"""Sample sizes by purpose."""
