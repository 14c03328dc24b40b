"""Which streams may have unwanted pictures skipped without changing the others.

Skipping is exact where "non-reference" means that *no* other picture is predicted from it. In HEVC it only means none of the same
temporal layer, so a stream of several layers is decoded in full. Codecs not listed are decoded in full.
"""

from av.video.stream import VideoStream

EXACT = frozenset({"h264", "mpeg1video", "mpeg2video"})


def can_skip(stream: VideoStream) -> bool:
    """Whether `skip_frame = NONREF` leaves every other picture as it is."""
    name = stream.codec_context.name
    return name in EXACT or (name == "hevc" and _has_one_temporal_layer(stream.codec_context.extradata))


def _has_one_temporal_layer(configuration: bytes | None) -> bool:
    """Reads numTemporalLayers from an hvcC record (ISO/IEC 14496-15, 8.3.3.1); False where it is unknown."""
    if configuration is None or len(configuration) < 22 or configuration[0] != 1:
        return False
    return (configuration[21] >> 3) & 0b111 == 1
