"""External validation: centres, their summary, tables."""
