"""Pictures as a video, one a second: so the agent loop looks at what was sent as images the way it looks at footage."""

from collections.abc import Sequence
from fractions import Fraction

from deepsport.errors import BadVideo
from deepsport.serve.media.brought import Album
from deepsport.video.pixels import Pixels
from deepsport.video.source import FrameSource, Shown, Stamp, VideoInfo


class Stills(FrameSource):
    """The frames of one album; it knows no other path."""

    def __init__(self, album: Album) -> None:
        """Opens nothing: the pictures are here."""
        super().__init__()
        self._album = album

    def info(self, path: str) -> VideoInfo:
        """The facts, as of a video of one frame a second. Raises BadVideo for another path."""
        pictures = self._pictures(path)
        height, width = pictures[0].shape[:2]
        return VideoInfo(
            path=path,
            n_frames=len(pictures),
            fps=Fraction(1),
            duration_s=float(len(pictures)),
            width=width,
            height=height,
            rotation=0,
            codec="stills",
            metadata={},
        )

    def state(self, path: str) -> Stamp | None:
        """Always the same: pictures do not change."""
        return Stamp(self._album.n_bytes, 0, 0) if path == self._album.path else None

    def frames(self, path: str, indices: Sequence[int]) -> list[Pixels]:
        """Copies of the pictures, in the order asked. Raises BadVideo."""
        return [self._picture(path, index).copy() for index in indices]

    def times(self, path: str, indices: Sequence[int]) -> list[float]:
        """The index of each, as seconds. Raises BadVideo."""
        return [shown.time_s for shown in self.look(path, indices)]

    def look(self, path: str, indices: Sequence[int]) -> list[Shown]:
        """The pictures themselves, in the order asked, to be looked at only. Raises BadVideo."""
        return [Shown(index, float(index), self._picture(path, index)) for index in indices]

    def _picture(self, path: str, index: int) -> Pixels:
        pictures = self._pictures(path)
        if not 0 <= index < len(pictures):
            raise BadVideo(f"frame {index} is outside the pictures, which are 0 to {len(pictures) - 1}. Ask for one of these.")
        return pictures[index]

    def _pictures(self, path: str) -> tuple[Pixels, ...]:
        if path != self._album.path:
            raise BadVideo(f"{path!r} is not what was sent. Ask for the pictures of this request.")
        return self._album.pictures
