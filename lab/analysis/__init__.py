"""One look inside a model or its fast weights per file: typed results, no drawing."""
