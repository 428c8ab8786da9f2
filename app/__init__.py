"""The explorer: it asks `lab` and shows. Nothing is computed here."""
