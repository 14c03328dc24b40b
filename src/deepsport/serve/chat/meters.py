"""What is counted, for Prometheus: a registry of its own, so that two servers in one process do not count together.

No label holds anything that a client may choose: codes, stop reasons and kinds are closed sets.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from deepsport.records import Episode

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)


class Meters:
    """The counters of one server."""

    def __init__(self) -> None:
        """All at zero."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._count("requests", "Requests answered, by HTTP status.", "code")
        self.hung_up = self._count("hung_up", "Chat requests whose client left before the end.")
        self.episodes = self._count("episodes", "Episodes played to their end, by stop reason.", "stop")
        self.running = Gauge("deepsport_in_flight", "Requests whose episodes run.", registry=self.registry)
        self.queued = Gauge("deepsport_queued", "Requests that wait for their turn.", registry=self.registry)
        self.queue_seconds = self._seconds("queue", "Wait for a turn.")
        self.episode_seconds = self._seconds("episode", "From the first look to the last word.")
        self.tokens = self._count("tokens", "Tokens read and said.", "kind")
        self.frames = self._count("frames", "Frames shown to the policy.")
        self.media_bytes = self._count("media_bytes", "Bytes of media that requests brought.")
        self.media_refused = self._count("media_refused", "Media refused, by reason.", "code")

    def count_episode(self, episode: Episode) -> None:
        """What an episode was and cost."""
        self.episodes.labels(episode.stop).inc()
        self.episode_seconds.observe(episode.usage.seconds)
        self.tokens.labels("prompt").inc(episode.usage.prompt_tokens)
        self.tokens.labels("reply").inc(episode.usage.reply_tokens)
        self.frames.inc(len(episode.frames_seen))

    def page(self) -> bytes:
        """All of it in the text format of Prometheus."""
        return generate_latest(self.registry)

    def _count(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"deepsport_{name}", what, labels, registry=self.registry)

    def _seconds(self, name: str, what: str) -> Histogram:
        return Histogram(f"deepsport_{name}_seconds", what, buckets=_SECONDS, registry=self.registry)
