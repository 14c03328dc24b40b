"""A model of this process stops at the next token once nobody waits for its answer."""

from pathlib import Path

from chat_server import eventually, hold, running
from tiny_models import wide_nano


def test_a_client_that_hangs_up_stops_a_local_model(tmp_path: Path) -> None:
    policy = wide_nano(tmp_path)
    sampled: list[int] = []
    decode = policy.engine._decode

    def counted() -> None:
        sampled.append(1)
        decode()

    policy.engine._decode = counted  # type: ignore[method-assign]
    with running(policy, model="nano") as server:
        with hold(server.url, model="nano", max_tokens=4096, temperature=2, seed=3):
            assert eventually(lambda: len(sampled) > 3), "it never began"
        assert eventually(lambda: server.metric("deepsport_hung_up_total") == 1)
        assert eventually(lambda: policy.engine._task is not None and policy.engine._task.done(), 2)
        n_sampled = len(sampled)
        assert n_sampled < 1000
        assert not eventually(lambda: len(sampled) > n_sampled, 0.3)
