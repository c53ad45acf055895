"""Reranking sets that are built from installed Python packages: no download, no account."""

# Of the texts, by split. They are fixed, so that another number of train queries leaves the test split as it is.
SHARES = {"train": 0.6, "dev": 0.1, "test": 0.3}
