"""Save the frames of a window as pictures: the frames that the tool would show.

python examples/frames_of_a_window.py clip.mp4 0.5 1.2 frames
"""

import sys
from pathlib import Path

from PIL import Image

import deepsport as ds

path, start_s, end_s, folder = sys.argv[1:]
Path(folder).mkdir(exist_ok=True)
with ds.Video(path) as video:
    print(video)
    for frame in video.frames(float(start_s), float(end_s), 8):
        Image.fromarray(frame.pixels).save(Path(folder, f"{frame.index:06d}.png"))
        print(f"frame {frame.index}, {frame.time_s:.2f} s, {frame.pixels.shape}")
