"""Models from other programs and for other programs, one foreign layout per file."""
