"""The rows of a hub's repository: large Parquet streams, and gives what the library's cache gives."""

from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decant.errors import DecantError
from decant.fetch.readers import rows
from decant.fetch.readers.rows import HubRows

RECORDS = [{"query": f"q{n}", "positive": [f"p{n}"], "negative": [f"n{n}", "多"], "grade": n % 3} for n in range(2500)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "repository").mkdir()
    for part in range(2):
        table = pa.Table.from_pylist(RECORDS[part * 1250 : (part + 1) * 1250])
        pq.write_table(table, tmp_path / f"repository/train-0000{part}-of-00002.parquet", row_group_size=500)
    return tmp_path / "repository"


@pytest.mark.parametrize("large", [True, False])
def test_rows_and_their_order_are_the_same_and_large_files_are_not_copied(
    large: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(path.stat().st_size for path in folder.iterdir())
    monkeypatch.setattr(rows, "LARGE", size - 1 if large else size)
    read = HubRows(folder, "train")
    assert list(read) == list(read) == RECORDS
    assert read.column_names == ["query", "positive", "negative", "grade"]
    assert bool(list((folder.parent / "cache").rglob("*.arrow"))) != large


def test_files_of_other_kinds_beside_them_do_not_stream(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LARGE", 0)
    assert rows.streams(folder)
    (folder / "README.md").write_text("A card")
    assert rows.streams(folder)
    (folder / "test.jsonl").write_text("{}")
    assert not rows.streams(folder)


@pytest.mark.parametrize("large", [True, False])
def test_a_damaged_file_and_a_split_that_is_not_there_are_told_alike(
    large: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "LARGE", 0 if large else 1 << 30)
    with pytest.raises(DecantError, match="the split 'test' cannot be read"):
        HubRows(folder, "test")
    second = folder / "train-00001-of-00002.parquet"
    content = bytearray(second.read_bytes())
    content[200:-400] = bytes(len(content) - 600)
    second.write_bytes(content)
    with pytest.raises(DecantError, match="the split 'train' cannot be read"):
        list(HubRows(folder, "train"))
