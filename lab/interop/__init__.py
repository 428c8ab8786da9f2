"""Models that come from elsewhere and go elsewhere, one foreign layout per file."""
