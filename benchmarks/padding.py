"""Train on a batch without its padding, against the padded batch.

    python -m benchmarks.padding

Forward and backward passes of both tracks' students over batches as large as params.yaml has them, of n-tuples drawn
at random. Baseline: the library's own way, each batch padded to its longest text. Needs `dvc repro triplets`.
"""

import random
import time
from unittest.mock import patch

import pyarrow.parquet as pq
import torch

from decant import paths
from decant.kinds import TRACKS
from decant.models import load, packing
from decant.models.load import transformer_of
from decant.params import load_params
from decant.sources.references import model_folder
from decant.train import chunking

BATCHES = 4
WAYS = ("padded", "padded, in parts of 512 tokens", "without padding")


def main() -> None:
    """Print for each track the seconds a batch of each way, and their ratio to the padded batch's."""
    params = load_params(paths.PARAMS)
    for track, kind in TRACKS.items():
        rows = pq.read_table(paths.TRIPLETS / f"{track}.parquet").to_pylist()
        block = params.track(track)
        drawn = [random.Random(number).sample(rows, block.train.batch_size) for number in range(BATCHES)]
        student = block.student
        folder = model_folder(student.model, student.revision, student.sha256, code=student.trust_remote_code)
        baseline = 0.0
        for way in WAYS:
            with patch.object(load, "pack", packing.pack if way == "without padding" else lambda _: False):
                model = kind.models.make_student(student, folder, params.seed)
            model.train()
            transformer_of(model).get_input_embeddings().requires_grad_(False)
            if "parts" in way:
                chunking.encode_in_chunks(model, None)
            batches = []
            for batch in drawn:
                tuples = [(row["query"], [row["positive"], *row["negatives"]]) for row in batch]
                texts = [text for query, candidates in tuples for text in (query, *candidates)]
                pairs = [(query, text) for query, candidates in tuples for text in candidates]
                batches.append(dict(model.preprocess(texts if kind.embeds else pairs)))
            for number, features in enumerate((batches[0], *batches)):
                if number == 1:
                    start = time.perf_counter()  # after a round to warm up
                output = model(dict(features))
                output["sentence_embedding" if kind.embeds else "scores"].sum().backward()
            seconds = (time.perf_counter() - start) / BATCHES
            baseline = baseline or seconds
            print(f"{track:9} {way:30} {seconds:.2f} s a batch, ratio {baseline / seconds:.2f}", flush=True)
    print(f"{torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
