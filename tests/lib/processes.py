"""Stopping a process so that it has really stopped. Python standard library only."""
import contextlib
import os
import signal
import time


def _stopped(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii", errors="replace") as stat:
            if stat.read().rsplit(")", 1)[1].split()[0] not in "TtZX":
                return False
    return True


def pause(pid, deadline_s=10):
    """SIGSTOP, and waits until every thread stands: a thread that is running may still answer a request meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + deadline_s
    while not _stopped(pid):
        if time.monotonic() > end:
            raise TimeoutError(f"process {pid} does not stop")
        time.sleep(0.001)


@contextlib.contextmanager
def paused(pids):
    """All of them stand still meanwhile, as if the power had failed everywhere at one moment."""
    try:
        for pid in pids:
            pause(pid)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
