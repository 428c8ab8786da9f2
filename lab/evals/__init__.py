"""Evaluations: one file is one number or one curve. They never draw."""
