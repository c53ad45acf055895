"""Train on a batch in parts of so many tokens, against the whole batch at once.

    python -m benchmarks.chunks

Forward and backward passes of both tracks' students over batches as large as params.yaml has them, of n-tuples drawn
at random. Baseline: each batch in one part, padded to its longest text. Needs `dvc repro triplets`.
"""

import random
import time

import pyarrow.parquet as pq
import torch

from decant import paths
from decant.kinds import TRACKS
from decant.models.load import transformer_of
from decant.params import load_params
from decant.sources.references import model_folder
from decant.train import chunking

BATCHES = 3
WHOLE = 1 << 30
TOKENS = (WHOLE, 512, 1024, 2048, 4096)


def main() -> None:
    """Print for each track the seconds a batch by tokens a part, and their ratio to the whole batch's."""
    params = load_params(paths.PARAMS)
    for track, kind in TRACKS.items():
        rows = pq.read_table(paths.TRIPLETS / f"{track}.parquet").to_pylist()
        block = params.track(track)
        drawn = [random.Random(number).sample(rows, block.train.batch_size) for number in range(BATCHES)]
        student = block.student
        folder = model_folder(student.model, student.revision, student.sha256, code=student.trust_remote_code)
        model = kind.models.make_student(student, folder, params.seed)
        model.train()
        transformer_of(model).get_input_embeddings().requires_grad_(False)
        pairs = not kind.embeds
        batches = []
        for batch in drawn:
            texts = [
                (row["query"], text) if pairs else text
                for row in batch
                for text in ([] if pairs else [row["query"]]) + [row["positive"], *row["negatives"]]
            ]
            batches.append(dict(model.preprocess(texts)))
        chunking.encode_in_chunks(model, None)
        baseline = 0.0
        for tokens in TOKENS:
            chunking.TOKENS = tokens
            for number, batch in enumerate((batches[0], *batches)):
                if number == 1:
                    start = time.perf_counter()  # after a round to warm up
                output = model(dict(batch))
                output["scores" if pairs else "sentence_embedding"].sum().backward()
            seconds = (time.perf_counter() - start) / BATCHES
            baseline = baseline or seconds
            name = "the whole batch" if tokens == WHOLE else f"{tokens:5} tokens"
            print(f"{track:9} {name:15} {seconds:.2f} s a batch, ratio {baseline / seconds:.2f}", flush=True)
    print(f"{torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
