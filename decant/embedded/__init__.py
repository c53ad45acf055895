"""Reranking sets that are built from installed Python packages: no download, no account."""
