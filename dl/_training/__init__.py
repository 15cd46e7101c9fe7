"""One fold: its task, its objective, its learner, and what it leaves on the disk."""
