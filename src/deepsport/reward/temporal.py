"""How well the model's own windows met the event: temporal intersection over union.

The best single window counts. A union would punish the hierarchical zoom, whose first look is wide on purpose; and spraying
windows over the video gains little, since each is measured against the whole event by itself.
"""

from deepsport.records import Episode, Window


def temporal_iou(episode: Episode) -> float | None:
    """Best IoU in [0, 1] of an accepted window with the gold window; 0 if none was asked for, None without a gold window."""
    gold = episode.question.window
    if gold is None:
        return None
    return max((window_iou(call.window, gold) for call in episode.calls if call.window), default=0.0)


def window_iou(a: Window, b: Window) -> float:
    """Intersection over union of two spans; two equal instants have 1."""
    shared_s = min(a.end_s, b.end_s) - max(a.start_s, b.start_s)
    joint_s = max(a.end_s, b.end_s) - min(a.start_s, b.start_s)
    if joint_s == 0:
        return 1.0
    return max(0.0, shared_s) / joint_s
