"""Typed errors, one class per border crossed; each is also the stdlib class it refines.

A message says what is wrong, where, and what to do about it. A bad *sample* is recorded and counted by whoever
loops over samples; only a bad program or a bad configuration ends a run.
"""


class DeepSportError(Exception):
    """Base of every error raised on purpose by this package."""


class BadVideo(DeepSportError, ValueError):
    """A video file that cannot be probed or decoded as asked."""


class BadRecord(DeepSportError, ValueError):
    """A line of a record file that is not the record it should be."""


class LeakError(DeepSportError, ValueError):
    """Splits of a dataset that share what they must not."""


class BadAnnotation(DeepSportError, ValueError):
    """An annotation file that does not have the layout its source publishes."""


class BadConfig(DeepSportError, ValueError):
    """A recipe or an override with an unknown key or a value out of bounds."""


class PolicyError(DeepSportError, RuntimeError):
    """A policy that could not reply: endpoint down, garbage reply, broken checkpoint."""


class ContextOverflow(PolicyError):
    """The conversation no longer fits the policy's context window."""


class EngineError(DeepSportError, RuntimeError):
    """Servers for rollouts that cannot be relied on: none answers, the prompt is not ours, the weights are not the newest."""


class Stopped(DeepSportError, RuntimeError):
    """A run that was told to stop, or has spent what it may: what is finished is kept, and it can go on later."""


class RunError(DeepSportError, RuntimeError):
    """A run directory that is locked, unwritable, or belongs to another configuration."""


class ExecutorError(DeepSportError, RuntimeError):
    """Batch work that no host could do: no cluster, a host that lacks its files, a shard that was lost again and again."""


class TrainingError(DeepSportError, RuntimeError):
    """Training that must not go on: a loss or gradient that is not finite, tokens that do not match frames."""
