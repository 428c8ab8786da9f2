"""What the course computes: worlds small enough to be seen whole."""
