"""Who holds a folder, when hosts die and when locks do not reach from one host to another."""

import os
import threading
import time

import pytest

from deepsport import lock
from deepsport.errors import RunError
from deepsport.lock import LOCK_NAME
from deepsport.run import Run


def test_who_waits_gets_the_folder_when_its_holder_lets_go(tmp_path):
    held = lock.take(tmp_path)
    threading.Timer(0.3, lock.release, (held,)).start()
    began_s = time.monotonic()
    lock.release(lock.take(tmp_path, patience_s=30))
    assert 0.2 < time.monotonic() - began_s < 20


def test_who_waited_in_vain_is_told_process_and_host(tmp_path):
    held = lock.take(tmp_path)
    with pytest.raises(RunError, match=rf"in use by process {os.getpid()} on {os.uname().nodename}\. Wait"):
        lock.take(tmp_path, patience_s=0.2)
    lock.release(held)


def test_a_holder_learns_that_another_took_its_folder(tmp_path):
    held = lock.take(tmp_path)
    assert lock.ousted(held, tmp_path) == ""
    (tmp_path / LOCK_NAME).unlink()
    assert lock.ousted(held, tmp_path) == ""
    other = lock.take(tmp_path)
    assert lock.ousted(held, tmp_path) == f"{os.getpid()} on {os.uname().nodename}"
    assert lock.ousted(other, tmp_path) == ""
    for each in (held, other):
        lock.release(each)


def test_a_run_that_another_process_took_over_is_not_written_any_more(tmp_path):
    with Run.open(tmp_path, None) as first:
        (tmp_path / LOCK_NAME).unlink()
        with Run.open(tmp_path, None), pytest.raises(RunError, match="was taken over by process"):
            first.stage("sft").__enter__()
    assert not (tmp_path / "stages.json").exists()
