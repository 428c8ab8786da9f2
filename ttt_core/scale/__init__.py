"""The same numbers on more devices, or faster. Skip this at a first reading."""
