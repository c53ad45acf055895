"""Speed, as ratios against a stated baseline in one run."""
