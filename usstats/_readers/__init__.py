"""Reader studies: the table of readings, figures of merit, their analysis."""
