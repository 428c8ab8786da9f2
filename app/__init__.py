"""The explorer: it asks `lab` and shows the answers. Nothing is computed here."""
