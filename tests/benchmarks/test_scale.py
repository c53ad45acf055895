"""The made-up set of `benchmarks.scale` goes through the stage's own code."""

from pathlib import Path

from benchmarks.synthetic import CANDIDATES, score, write_set


def test_all_pairs_of_the_made_up_set_are_scored_once(tmp_path: Path) -> None:
    write_set(tmp_path / "set.parquet", 50 * CANDIDATES)
    assert score(tmp_path) == 50 * CANDIDATES
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("pairs/*.parquet")}
    assert score(tmp_path) == 50 * CANDIDATES  # from the store
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("pairs/*.parquet")}
    assert before
