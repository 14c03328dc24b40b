"""Which frames to look at: k indices spread evenly over a span, both ends included.

Position j of k lies at start + j * (end - start) / (k - 1), rounded half up in integer arithmetic, so the same span gives the
same indices on every machine and at every length. Positions that fall on the same index are returned once. Pure: no I/O.
"""


def uniform(n_frames: int, k: int) -> tuple[int, ...]:
    """Up to k rising indices spread over a video of `n_frames` frames, the first and the last included.

    One index asked for is the first frame. Raises ValueError unless both counts are positive."""
    if n_frames < 1:
        raise ValueError(f"a video of {n_frames} frames has no frame to sample")
    return window(0, n_frames - 1, k)


def window(start: int, end: int, k: int) -> tuple[int, ...]:
    """Up to k rising indices spread over `[start, end]`, both ends included.

    One index asked for is `start`. Raises ValueError if the window is reversed or k is not positive."""
    if end < start:
        raise ValueError(f"window ends at frame {end}, before its start at frame {start}")
    if k < 1:
        raise ValueError(f"asked for {k} frames; at least 1 is needed")
    span = end - start
    if k > span:
        return tuple(range(start, end + 1))
    steps = k - 1
    return tuple(start + (2 * j * span + steps) // (2 * steps) for j in range(k)) if steps else (start,)
