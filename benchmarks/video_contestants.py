"""The contestants of the video benchmark: how each library is asked for frames, and the process that asks it.

Each process holds one library, keeps its files open and is limited to one thread. The recipes are the ones a careful user would
write: sorted indices, one call where the library has one, one seek for a window.

    python video_contestants.py NAME      answers requests on stdin, one JSON object a line
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Read = Callable[[Sequence[int], bool], Sequence[Pixels]]
"""Frames at rising indices; the flag says that they lie within a short window."""

RIVAL_ENVIRONMENT = Path(__file__).resolve().parents[1] / ".venv-video"
PACKAGES = {"pyav": "av", "opencv": "opencv-python-headless", "decord": "decord", "torchcodec": "torchcodec"}


def open_ours(path: str) -> Read:
    from deepsport.video.decode import Decoder

    decoder = Decoder(path)
    return lambda indices, _: decoder.frames(indices)


def open_pyav(path: str) -> Read:
    """The usual recipe: seek, decode forward to the timestamp; within a window, seek once."""
    import av

    container = av.open(path)
    stream = container.streams.video[0]
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    ticks_per_frame = round(1 / (stream.average_rate * stream.time_base))

    def forward(indices: Sequence[int]) -> Iterator[Pixels]:
        wanted = [index * ticks_per_frame for index in indices]
        container.seek(wanted[0], stream=stream)
        for frame in container.decode(stream):
            if frame.pts in wanted:
                yield frame.to_ndarray(format="rgb24", threads=1)
            if frame.pts >= wanted[-1]:
                return

    def read(indices: Sequence[int], is_window: bool) -> list[Pixels]:
        return [pixels for part in ([indices] if is_window else [[index] for index in indices]) for pixels in forward(part)]

    return read


def open_opencv(path: str) -> Read:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "threads;1"
    import cv2

    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)

    def read(indices: Sequence[int], is_window: bool) -> list[Pixels]:
        frames: list[Pixels] = []
        here = -1
        for index in indices:
            if not is_window or here < 0:
                capture.set(cv2.CAP_PROP_POS_FRAMES, index)
                here = index
            while here <= index:
                capture.grab()
                here += 1
            frames.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
        return frames

    return read


def open_decord(path: str) -> Read:
    import decord

    reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
    return lambda indices, _: reader.get_batch(list(indices)).asnumpy()


def open_torchcodec(path: str) -> Read:
    import torch
    from torchcodec.decoders import VideoDecoder

    torch.set_num_threads(1)
    decoder = VideoDecoder(path, num_ffmpeg_threads=1, dimension_order="NHWC", device="cpu")
    return lambda indices, _: decoder.get_frames_at(list(indices)).data.numpy()


OPENERS: dict[str, Callable[[str], Read]] = {
    "ours": open_ours,
    "pyav": open_pyav,
    "opencv": open_opencv,
    "decord": open_decord,
    "torchcodec": open_torchcodec,
}


def serve(name: str) -> None:
    """Answers requests on stdin, one JSON object a line, with the CPU and wall time each took."""
    readers: dict[str, Read] = {}
    for line in sys.stdin:
        request = json.loads(line)
        path = request["path"]
        if path not in readers:
            readers[path] = OPENERS[name](path)
        cpu, wall = time.process_time(), time.perf_counter()
        frames = readers[path](request["indices"], request["is_window"])
        reply = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        if request["save"]:
            np.save(request["save"], np.stack([np.asarray(frame) for frame in frames]))
        print(json.dumps(reply), flush=True)


class Contestant:
    """A process that serves one library."""

    def __init__(self, name: str, python: Path) -> None:
        self.name = name
        libraries = {"LD_LIBRARY_PATH": str(RIVAL_ENVIRONMENT / "libav")} if name == "torchcodec" else {}
        self.process = subprocess.Popen(
            [str(python), __file__, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | libraries | {"OMP_NUM_THREADS": "1"},
        )

    def ask(self, path: Path, indices: Sequence[int], is_window: bool, save: str = "") -> dict[str, float]:
        """Times of one request."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"path": str(path), "indices": list(indices), "is_window": is_window, "save": save}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} died with exit code {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        self.process.communicate()


if __name__ == "__main__":
    serve(sys.argv[1])
