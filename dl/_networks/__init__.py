"""What networks are made of, and those that the registry lists."""
