"""What the fast weights hold, and how they came to hold it: arrays in, arrays out."""
