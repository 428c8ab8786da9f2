"""Texts in, token ids out: documents, tokenizers, shards, batches and needles."""
