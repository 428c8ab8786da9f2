"""Evaluations: one number or one curve per file. Evaluations never draw."""
