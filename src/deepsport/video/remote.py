"""The caller's side of the decoding process: starts it, asks it, and replaces it when it dies or hangs.

One request runs at a time. A request that kills the process, or outlives the time limit, is a BadVideo for its file; the next
request finds a new process. What comes back is checked field by field. The environment is not passed on: decoding needs no keys.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from fractions import Fraction
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from deepsport.errors import BadVideo
from deepsport.video.container import MAX_PIXELS, Stamp
from deepsport.video.pixels import Pixels
from deepsport.video.probe import VideoInfo

PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")
"""Environment variables that the process gets."""

GRACE_S = 1.0
"""How long a process may take to end by itself."""

MAX_HEADER_BYTES = 2**24

MALFORMED = (KeyError, TypeError, ValueError, ArithmeticError)
"""What reading a reply of the wrong form raises."""

Header = dict[str, Any]


class WorkerProcess:
    """A running decoding process and the pipe to it."""

    def __init__(self, memory_limit_mb: int, time_limit_s: float) -> None:
        self.connection, theirs = Pipe()
        arguments = [str(theirs.fileno()), str(memory_limit_mb), str(int(time_limit_s) + 1)]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "deepsport.video.worker", *arguments],
            pass_fds=(theirs.fileno(),),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()

    def end(self) -> int:
        """Hangs up, which ends an idle process, and kills one that does not listen; returns its exit code."""
        self.connection.close()
        try:
            return self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def _environment() -> dict[str, str]:
    """Just enough to import this package, and one thread for numpy."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    home = str(Path(__file__).resolve().parents[2])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (home, kept.get("PYTHONPATH"))))
    return kept | {"OPENBLAS_NUM_THREADS": "1"}


class RemoteDecoders:
    """Decoders in a process of their own; the same calls as `DecoderCache`."""

    def __init__(self, *, time_limit_s: float, memory_limit_mb: int) -> None:
        self._time_limit_s = time_limit_s
        self._memory_limit_mb = memory_limit_mb
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the worker, if one runs."""
        worker = self._worker
        return worker.process.pid if worker is not None and worker.process.poll() is None else None

    def info(self, path: str, stamp: Stamp) -> VideoInfo:
        """The facts about the file. Raises BadVideo."""
        header, _ = self._ask("info", path, stamp, ())
        try:
            return _facts(path, header["info"])
        except MALFORMED:
            self._refuse(path)

    def frames(self, path: str, stamp: Stamp, indices: Sequence[int]) -> list[Pixels]:
        """Pictures in the order asked. Raises BadVideo."""
        return self._ask("frames", path, stamp, indices)[1]

    def times(self, path: str, stamp: Stamp, indices: Sequence[int]) -> list[float]:
        """Seconds from the first frame, in the order asked. Raises BadVideo."""
        header, _ = self._ask("times", path, stamp, indices)
        try:
            times = [float(time_s) for time_s in header["times"]]
        except MALFORMED:
            self._refuse(path)
        return times if len(times) == len(indices) else self._refuse(path)

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._drop()

    def _ask(self, what: str, path: str, stamp: Stamp, indices: Sequence[int]) -> tuple[Header, list[Pixels]]:
        """Sends a request and reads its reply. Raises BadVideo for whatever goes wrong."""
        request = json.dumps({"do": what, "path": os.path.abspath(path), "stamp": stamp, "indices": [int(i) for i in indices]})
        with self._lock:
            worker = self._send(request.encode())
            expired = threading.Event()
            watchdog = threading.Timer(self._time_limit_s, _kill, (worker, expired))
            watchdog.start()
            try:
                header, pictures = _receive(worker.connection, len(indices) if what == "frames" else 0)
            except (EOFError, OSError):
                raise BadVideo(self._post_mortem(path, expired)) from None
            except MALFORMED:
                self._drop()
                self._refuse(path)
            except BaseException:
                self._drop()  # a reply left in the pipe would be taken for that of the next request
                raise
            finally:
                watchdog.cancel()
        if "error" in header:
            raise BadVideo(str(header["error"]))
        return header, pictures

    def _send(self, request: bytes) -> WorkerProcess:
        """Hands the request to the worker; one that died in the meantime is replaced."""
        if self._worker is not None:
            try:
                self._worker.connection.send_bytes(request)
                return self._worker
            except OSError:
                self._drop()
        self._worker = WorkerProcess(self._memory_limit_mb, self._time_limit_s)
        self._worker.connection.send_bytes(request)
        return self._worker

    def _post_mortem(self, path: str, expired: threading.Event) -> str:
        """Buries the worker and says what it died of."""
        code = self._drop()
        if expired.is_set():
            return f"{path}: decoding took longer than {self._time_limit_s:g} s and was stopped. Re-encode the file or drop it."
        cause = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return f"{path}: the decoder died on it ({cause}). The file is damaged; re-download it or drop it."

    def _drop(self) -> int | None:
        worker, self._worker = self._worker, None
        return worker.end() if worker is not None else None

    def _refuse(self, path: str) -> NoReturn:
        raise BadVideo(f"{path}: the decoding process gave a malformed reply. Drop the file.")


def _kill(worker: WorkerProcess, expired: threading.Event) -> None:
    expired.set()
    worker.process.kill()


def _receive(connection: Connection, n_pictures: int) -> tuple[Header, list[Pixels]]:
    """Reads a header and the pictures it announces. Raises EOFError or OSError if the process dies, ValueError and the like
    for a reply of the wrong form."""
    header: Header = json.loads(connection.recv_bytes(MAX_HEADER_BYTES))
    if "error" in header:
        return header, []
    shapes = [(int(height), int(width)) for height, width in header.get("shapes", ())]
    if len(shapes) != n_pictures or any(height * width > MAX_PIXELS for height, width in shapes):
        raise ValueError("pictures other than those asked for")
    return header, [_picture(connection.recv_bytes(height * width * 3), height, width) for height, width in shapes]


def _picture(received: bytes, height: int, width: int) -> Pixels:
    """[height, width, 3]; raises ValueError if the bytes are too few."""
    return np.frombuffer(bytearray(received), dtype=np.uint8).reshape(height, width, 3)


def _facts(path: str, facts: Header) -> VideoInfo:
    """A VideoInfo, each field checked."""
    return VideoInfo(
        path=path,
        n_frames=int(facts["n_frames"]),
        fps=Fraction(*facts["fps"]),
        duration_s=float(facts["duration_s"]),
        width=int(facts["width"]),
        height=int(facts["height"]),
        rotation=int(facts["rotation"]),
        codec=str(facts["codec"]),
        metadata={str(name): str(text) for name, text in facts["metadata"].items()},
        start_s=float(facts["start_s"]),
    )
