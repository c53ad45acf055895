"""Read and tokenise the next step's batches while this one trains."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from sentence_transformers.base.trainer import BaseTrainer

Batches = tuple[list[Any], Any]


class ReadsAhead(BaseTrainer):  # type: ignore[misc]
    """A trainer that has a thread read its batches, one step ahead.

    The tokenizer works outside of Python's lock, so the thread that feeds the device does not wait for it. Batches and
    their order stay the same.
    """

    reader: ThreadPoolExecutor
    ahead: tuple[Iterator[Any], Future[Batches]] | None = None  # the epoch, and its next step's batches

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """The library's training, with the thread."""
        with ThreadPoolExecutor(1, thread_name_prefix="decant-batches") as self.reader:
            return super().train(*args, **kwargs)

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: Any) -> Batches:
        """A step's batches, fewer at the epoch's end; and begin to read those of the next."""
        read = super().get_batch_samples
        if self.ahead is not None and self.ahead[0] is epoch_iterator:
            batches = self.ahead[1].result()
        else:
            batches = read(epoch_iterator, num_batches, device)
        following = self.reader.submit(read, epoch_iterator, self.args.gradient_accumulation_steps, device)
        self.ahead = epoch_iterator, following
        return batches

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        """Wait for the thread: the evaluation uses the tokenizer, which serves one at a time."""
        if self.ahead is not None and (self.control.should_evaluate or self.control.should_save):
            wait([self.ahead[1]])
        super()._maybe_log_save_evaluate(*args, **kwargs)
