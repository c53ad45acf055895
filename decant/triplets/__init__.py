"""n-tuples (query, positive, negatives, teacher scores), drawn from scored candidates."""

STRATEGY_NAMES = ("hardest", "random", "by_rank", "by_score", "band", "mixed", "all_pairs", "teacher_top_k")
