"""Captions to word ids: splitting, vocabulary, tokenizer."""
