"""Benchmarks: speed and memory on the machine at hand, as ratios within one run."""
