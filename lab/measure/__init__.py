"""Who reads, what is read, what it costs, and how sure we are."""
