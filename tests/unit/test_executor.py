"""Shards, what comes back from a host, whether a host is fit, and the desk where the processes of a run ask before they spend."""

import asyncio
import sys
from pathlib import Path

import pytest

from deepsport.errors import BadVideo, ExecutorError, Stopped
from deepsport.executor.cluster import open_cluster
from deepsport.executor.outcome import Outcome, awaited_outcome, outcome_of
from deepsport.executor.place import Place, require_like, this_place
from deepsport.executor.shards import Shard, cut
from deepsport.policy.openai.desk import Desk
from deepsport.policy.openai.reply_cache import ReplyCache
from deepsport.policy.openai.settings import EndpointConfig


def test_neighbours_are_cut_into_shards_of_one_size_and_a_rest() -> None:
    assert list(cut("abcdefg", 3)) == [(0, "abc"), (1, "def"), (2, "g")]


def test_a_shard_is_called_by_its_number_and_its_ends() -> None:
    shard = Shard(index=7, items=("1", "2", "3"), names=("a/1", "a/2", "b/1"), files=("a.mp4",))
    assert shard.name == "shard 7 (a/1 ... b/1)"
    assert [alone.name for alone in shard.singles()] == ["shard 7 (a/1)", "shard 7 (a/2)", "shard 7 (b/1)"]
    assert {alone.files for alone in shard.singles()} == {("a.mp4",)}


def test_what_a_task_made_comes_back() -> None:
    assert Outcome.model_validate_json(outcome_of(lambda: ["a", "b"])).result("shard 1") == ["a", "b"]


def test_an_error_of_ours_comes_back_as_itself_with_the_shard_and_the_host() -> None:
    def fails() -> None:
        raise BadVideo("dive.mp4 has no video stream.")

    outcome = Outcome.model_validate_json(outcome_of(fails)).model_copy(update={"host": "gpu-7"})
    with pytest.raises(BadVideo, match=r"^dive.mp4 has no video stream. \(shard 1, on host gpu-7\)$"):
        outcome.result("shard 1")


def test_a_bug_is_no_outcome() -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(awaited_outcome(fails))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "clip.mp4").write_bytes(b"1234")
    return tmp_path / "clip.mp4"


def test_a_host_with_the_same_files_and_packages_is_fit(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clip.parent)
    require_like(this_place(["clip.mp4", "no such file", "no\0name"]))


def test_a_shard_works_in_the_folder_that_relative_paths_count_from(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clip.parent)
    place = this_place(["clip.mp4"])
    monkeypatch.chdir("/")
    require_like(place)
    assert Path.cwd() == clip.parent


@pytest.mark.parametrize(("there", "fault"), [(None, "is not there"), (b"12345", "has 5 bytes instead of 4")])
def test_a_host_that_lacks_a_file_is_refused(clip: Path, there: bytes | None, fault: str) -> None:
    place = this_place([str(clip)])
    clip.unlink()
    if there is not None:
        clip.write_bytes(there)
    with pytest.raises(ExecutorError, match=rf"clip.mp4 {fault} on this host. Mount the folder"):
        require_like(place)


def test_a_host_with_another_version_is_refused(clip: Path) -> None:
    place = this_place([])
    packages = {**place.packages, "numpy": "1.0", "torch-of-another-host": "9"}
    with pytest.raises(ExecutorError, match=r"this host has numpy .*, where the work was started it is 1.0"):
        require_like(Place(folder=place.folder, packages=packages, sizes={}))


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExecutorError, match=r"pip install 'deepsport\[scale\]'"), open_cluster():
        pass


def test_a_ray_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="needs ray, the extra `scale`")
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(ExecutorError, match="on a host of the cluster"), open_cluster():
        pass


def desk_of(folder: Path, max_usd: float | None = None, **settings: float | None) -> Desk:
    config = EndpointConfig.model_validate({"model": "m", "base_url": "http://localhost/v1", "prompt_usd": 1.0, **settings})
    return Desk(folder / "replies.sqlite", {"endpoint": config}, max_usd)


def spent_usd(folder: Path) -> float:
    with ReplyCache(folder / "replies.sqlite") as replies:
        return replies.spent_usd()


async def waits(desk: Desk, attempt: str, most_usd: float) -> "asyncio.Task[int]":
    """A request that has been asked for, and had time to be granted."""
    asked = asyncio.create_task(desk.begin(attempt, "endpoint", most_usd, False))
    await asyncio.sleep(0.01)
    return asked


def test_requests_of_two_shards_share_the_money(tmp_path: Path) -> None:
    async def ask() -> None:
        desk = desk_of(tmp_path, max_usd=1.0)
        first = await desk.begin("1.1", "endpoint", 0.7, False)
        second = await waits(desk, "2.1", 0.7)
        assert not second.done()
        await desk.end(first, 0.2)
        await desk.end(await second, 0.6)
        with pytest.raises(Stopped, match=r"\$0.8000 of at most \$1.0000 are spent"):
            await desk.begin("1.1", "endpoint", 0.7, False)
        assert "spent" in desk.why_stopped()

    asyncio.run(ask())


def test_requests_of_two_shards_share_the_places_of_an_endpoint(tmp_path: Path) -> None:
    async def ask() -> None:
        desk = desk_of(tmp_path, max_concurrent=1)
        first, second = await desk.begin("1.1", "endpoint", 0, False), await waits(desk, "2.1", 0)
        assert not second.done()
        await desk.end(first, 0)
        assert await second != first

    asyncio.run(ask())


def test_the_pace_of_an_endpoint_holds_for_all_shards_together(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, requests_per_minute=1.0)
    assert desk.wait_s("endpoint", 100) == 0.0
    assert desk.wait_s("endpoint", 100) > 50


def test_what_a_lost_shard_had_under_way_counts_at_the_most_it_could_cost(tmp_path: Path) -> None:
    async def ask() -> None:
        desk = desk_of(tmp_path, max_usd=1.0, max_concurrent=2)
        number, other = await desk.begin("1.1", "endpoint", 0.4, False), await desk.begin("2.1", "endpoint", 0.5, False)
        late = await waits(desk, "1.1", 0.05)
        await desk.lost("1.1")
        await desk.end(number, 0.0)  # a late word of a process that was taken for dead
        with pytest.raises(Stopped, match="given up"):
            await late
        await desk.end(other, 0.5)
        with pytest.raises(Stopped, match=r"\$0.9000 of at most"):
            await desk.begin("2.1", "endpoint", 0.2, False)

    asyncio.run(ask())
    assert spent_usd(tmp_path) == 0.4, "the other one's cost is kept with its reply"


def test_one_request_shows_what_requests_cost_before_others_are_sent_at_once(tmp_path: Path) -> None:
    async def ask() -> None:
        desk = desk_of(tmp_path, max_usd=1.0)
        first = await desk.begin("1.1", "endpoint", 0.01, True)
        others = [asyncio.create_task(desk.begin(f"{n}.1", "endpoint", 0.01, True)) for n in (2, 3)]
        await asyncio.sleep(0.01)
        assert not any(other.done() for other in others)
        await desk.end(first, 0.4)
        granted = await asyncio.wait_for(others[0], 1)
        assert not others[1].done(), "two that may cost 0.4 each do not fit beside what is spent"
        await desk.end(granted, 0.1)
        await asyncio.wait_for(others[1], 1)

    asyncio.run(ask())


def test_a_stopped_desk_grants_nothing(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    desk.stop("interrupted.")
    with pytest.raises(Stopped, match="interrupted"):
        asyncio.run(desk.begin("1.1", "endpoint", 0.0, False))


def test_replies_and_losses_are_in_the_file_of_the_run(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    desk.put([("key", "body", 0.25)])
    desk.pay(0.5)
    assert (desk.get("key"), desk.get("other"), spent_usd(tmp_path)) == ("body", None, 0.75)
