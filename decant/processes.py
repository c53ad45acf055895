"""Processes that must not outlive the one that started them."""

import os
import threading
import time


def end_with(parent: int) -> None:
    """End this process when its parent has ended, even if that was killed and could tell nobody.

    Args:
        parent: the parent's process id, as `os.getppid` gives it at the start.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
