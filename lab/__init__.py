"""The laboratory: everything with a clock, a file, a seed or a figure."""

from lab import compile_cache


compile_cache.enable()
