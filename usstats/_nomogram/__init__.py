"""What a nomogram keeps of a fit, its axes and what a patient reads off."""
