"""An open video file with everything that is needed to address its frames: packets, head, timeline.

The order of the steps matters: the head tells whether packets name frames, and the timeline is built on that.
"""

from deepsport.video.container import as_bad_video, open_video
from deepsport.video.head import read_head
from deepsport.video.packets import PacketReader
from deepsport.video.timeline import build


class Track:
    """The video stream of an open file. Raises BadVideo if the file is no video."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.container, self.stream = open_video(path)
        self.reader = PacketReader(path, self.container, self.stream)
        try:
            with as_bad_video(path, "reading"):
                self.head = read_head(self.reader)
                self.timeline = build(self.container, self.reader, self.head)
        except BaseException:
            self.container.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self.container.close()
