"""The rungs of model updating and the closed test."""
