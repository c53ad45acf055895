"""Train in several processes with DistributedDataParallel, with the result of one."""

import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from accelerate.data_loader import prepare_data_loader  # type: ignore[import-untyped]
from sentence_transformers.base.trainer import BaseTrainer
from torch import Tensor, distributed
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure, get_error_handler
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from decant.errors import DecantError
from decant.processes import end_with

ARROW = "\n  → "
TIMEOUT = timedelta(hours=12)  # of a wait for the others; a process that fails ends them all long before


def is_main() -> bool:
    """Whether this process is the one that evaluates, saves and prints."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def group_size() -> int:
    """How many processes train."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def wait_for_all() -> None:
    """Return when every process of the group has come here."""
    if distributed.is_initialized():
        distributed.barrier()


def from_main(make: Callable[[], Any]) -> Any:
    """What `make` returns in the main process, in every process; the others do not call it."""
    made = [make() if is_main() else None]
    if distributed.is_initialized():
        distributed.broadcast_object_list(made)
    return made[0]


def launch(arguments: Sequence[str], processes: int) -> None:
    """Run `python *arguments` in several processes, as torchrun does, and wait for them.

    They end when this process gets SIGINT or SIGTERM, which it then handles as before, and when one of them fails. The
    command calls `in_group`.

    Raises:
        DecantError: there are too few GPUs, a process raised it, or a process was killed.
        RuntimeError: a process raised something else; its traceback is the error's note.
    """
    if torch.cuda.is_available() and torch.cuda.device_count() < processes:
        raise DecantError(
            f"train.processes: {processes} processes need a GPU each, and there are {torch.cuda.device_count()}",
            f"set train.processes to {torch.cuda.device_count()}, and let train.accumulate make up for it",
        )
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the error raised here says the same
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    received = None
    with tempfile.TemporaryDirectory(prefix="decant-processes-") as scratch:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            signals_to_handle="SIGINT,SIGTERM",
            logs_specs=DefaultLogsSpecs(log_dir=scratch),
        )
        try:
            elastic_launch(config, sys.executable)(*arguments)
        except ChildFailedError as error:
            raise _cause(list(error.failures.values())) from None
        except SignalException as error:
            received = error.sigval
        finally:
            for signum, handler in handlers.items():
                signal.signal(signum, handler)
    if received is not None:
        signal.raise_signal(received)


def _cause(failures: list[ProcessFailure]) -> Exception:
    """The failure that the others follow from: a kill, or the error that was written first."""
    raised = [failure for failure in failures if Path(failure.error_file).is_file()]
    for failure in failures:
        if failure.exitcode < 0 and (failure.exitcode != -signal.SIGTERM or not raised):
            return DecantError(
                f"training: process {failure.local_rank} was killed by {signal.Signals(-failure.exitcode).name}",
                "if memory ran out, lower train.batch_size or set train.chunk; then run again",
            )
    if not raised:
        return RuntimeError(f"a training process ended with exit code {failures[0].exitcode}")
    first = min(raised, key=lambda failure: Path(failure.error_file).stat().st_mtime_ns)
    message: Any = first.error_file_data["message"]
    kind, _, text = message["message"].partition(": ")
    if kind == DecantError.__name__:
        problem, _, remedy = text.rpartition(ARROW)
        return DecantError(problem, remedy)
    cause = RuntimeError(f"training process {first.local_rank}: {message['message']}")
    cause.add_note(message["extraInfo"]["py_callstack"])
    return cause


def in_group(main: Callable[[], None]) -> None:
    """Run `main` as one of the processes that `launch` started; what it raises is raised there."""
    end_with(os.getppid())
    try:
        on_cpu = not torch.cuda.is_available()
        PartialState(cpu=on_cpu, backend="gloo" if on_cpu else None, timeout=TIMEOUT)
        if not is_main():
            sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        main()
        wait_for_all()
        distributed.destroy_process_group()
    except Exception as error:
        get_error_handler().record_exception(error)
        sys.stdout.flush()
        os._exit(1)  # at once: threads of the libraries may wait for the others for ever


class _Share:
    """Collates a process's share of each batch, with the share's weight.

    The last batch of an epoch may be too small to be shared evenly. The gradients of the processes are averaged; for
    that to be the gradient of the whole batch's mean, a share of m of a batch's n tuples weighs m · processes / n.
    A process that has none takes the first, at weight 0.
    """

    def __init__(self, collate: Any, rank: int, processes: int) -> None:
        self.collate, self.rank, self.processes = collate, rank, processes
        self.valid_label_columns = collate.valid_label_columns

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        share = rows[self.rank :: self.processes]
        weight = len(share) * self.processes / len(rows)
        return {**self.collate(share or rows[:1]), "weight": torch.tensor(weight)}


class SharedBatches(BaseTrainer):  # type: ignore[misc]
    """A trainer whose processes share each batch; `per_device_train_batch_size` is the size of the whole batch."""

    weight: Tensor | float

    def get_data_collator(self, *args: Any, **kwargs: Any) -> Any:
        """The library's collator, of this process's share."""
        collate = super().get_data_collator(*args, **kwargs)
        if not distributed.is_initialized():
            return collate
        return _Share(collate, distributed.get_rank(), group_size())

    def get_train_dataloader(self) -> Any:
        """The same batches in every process, in the order in which one process alone has them."""
        if not distributed.is_initialized():
            return super().get_train_dataloader()
        self.args.dataloader_drop_last = False  # which the library turns on, lest shares be uneven
        return prepare_data_loader(
            self._build_dataloader(self.train_dataset, self.args.train_batch_size, dataset_kind="train"),
            self.accelerator.device,
            num_processes=1,
            process_index=0,
            put_on_device=True,
            use_seedable_sampler=True,
            data_seed=self.args.data_seed,
        )

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The library's loss, weighted."""
        self.weight = inputs.pop("weight", 1.0)
        return super().compute_loss(model, inputs, *args, **kwargs)

    def track_loss_components(self, loss: dict[str, Tensor]) -> None:
        """Weigh the terms, which the library adds up next, and track them."""
        loss.update({name: term * self.weight for name, term in loss.items()})
        super().track_loss_components(loss)
