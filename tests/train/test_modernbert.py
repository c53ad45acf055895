"""ModernBERT students go the way of the presets that name them: trained by the stage, saved, loaded, evaluated."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from decant.data.sets import Row, Split, read_split, write_split
from decant.evaluate.run import evaluate
from decant.files import read_json
from decant.kinds import TRACKS
from tests.support import tiny_architectures as tiny
from tests.support.training_project import FRUIT, TrainingProject

MAKE = {"embedding": tiny.bi_encoder, "reranker": tiny.cross_encoder}


@pytest.mark.parametrize("layers", [None, [0, 3]], ids=["whole", "of two layers"])
@pytest.mark.parametrize("track", MAKE)
def test_a_modernbert_is_trained_saved_loaded_and_evaluated(
    track: str, layers: list[int] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the presets train, with a rate and epochs for eleven n-tuples.
    project = TrainingProject(tmp_path, 0.0, lr=3e-3, epochs=12, evaluations=6, freeze_embeddings=True, save_steps=10)
    project.set(dropout=0.0)
    student = MAKE[track]("ModernBERT", tmp_path / "modern")
    block = project.params[track]
    block["student"].update(model=f"path:{student}", layers=layers, max_length=64, head="keep")
    if track == "embedding":
        del block["student"]["head"]
    project.set()
    rows = [Row(f"the colour of a {each}", [f"a {each} is red"], [f"a {each} is heavy", "a"]) for each in FRUIT]
    write_split(tmp_path / "data/sets" / block["in_domain"] / "dev.parquet", Split(rows, ""))
    project.train_here(track, monkeypatch)

    folder = tmp_path / "models" / track
    types = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
    kept = layers or range(len(types))
    assert read_json(folder / "config.json")["layer_types"] == [types[layer] for layer in kept]
    before, after = (load_file(each / "model.safetensors") for each in (student, folder))
    embeddings = next(name for name in after if "tok_embeddings" in name)
    assert after[embeddings].equal(before[embeddings])  # frozen
    for place, layer in enumerate(kept):
        (name,) = (name for name in after if f"layers.{place}.attn.Wo" in name)
        assert not after[name].equal(before[name.replace(f"layers.{place}.", f"layers.{layer}.")])

    dev = read_split(tmp_path / "data/sets" / block["in_domain"] / "dev.parquet")
    run = evaluate(TRACKS[track].scorer(folder, 64), dev)
    start, *later = (float(point["map"]) for point in project.points(track, "dev.csv"))
    best = max(later)
    assert best > start
    assert run.means()["map"] == pytest.approx(best, abs=1e-4)
