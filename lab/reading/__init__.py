"""One live reading, for the explorer, the command and the course."""
