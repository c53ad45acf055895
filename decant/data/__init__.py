"""Sets, scores, and the files that hold them."""

SPLITS = ("train", "dev", "test")
