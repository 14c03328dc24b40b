"""Media that a request brings, once they are let through: names, sharing, cleaning up, pictures, and pictures as a video."""

import asyncio
import base64
import io
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.rollout import Limits, run_episode
from deepsport.config import load
from deepsport.errors import BadConfig, BadVideo, RunError
from deepsport.policy.base import Sampling
from deepsport.policy.scripted import Scripted
from deepsport.records import Question, StopReason
from deepsport.serve.media.brought import Album, Brought, Clip, MediaPart
from deepsport.serve.media.data_uri import CHUNK
from deepsport.serve.media.refusal import MediaRefused, Refusal
from deepsport.serve.media.settings import MediaPolicy
from deepsport.serve.media.stills import Stills
from deepsport.serve.media.store import MediaStore
from deepsport.video.source import FrameSource
from fetch_server import FetchServer, Flow, Give
from video_files import Recipe, picture, write

CLOSED = MediaPolicy()
"""Nothing but what stands in the request."""


def data(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def video(content: bytes) -> MediaPart:
    return MediaPart(kind="video", url=data(content, "video/mp4"))


def image(content: bytes, media_type: str = "image/png") -> MediaPart:
    return MediaPart(kind="image", url=data(content, media_type))


def encoded(pixels: np.ndarray, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def colour(level: int, width: int = 8, height: int = 6) -> np.ndarray:
    return np.full((height, width, 3), level, dtype=np.uint8)


def brought_of(*parts: MediaPart, policy: MediaPolicy = CLOSED) -> Brought:
    """What they become, though the file of a clip is gone by then."""

    async def bring() -> Brought:
        with MediaStore(policy) as store:
            async with store.bring(parts) as brought:
                return brought

    return asyncio.run(bring())


def album_of(*parts: MediaPart, policy: MediaPolicy = CLOSED) -> Album:
    brought = brought_of(*parts, policy=policy)
    assert isinstance(brought, Album)
    return brought


def refused(*parts: MediaPart, policy: MediaPolicy = CLOSED) -> tuple[Refusal, str]:
    with pytest.raises(MediaRefused) as raised:
        brought_of(*parts, policy=policy)
    return raised.value.code, str(raised.value)


# settings


@pytest.mark.parametrize(
    "host",
    [
        "",
        "*",
        "https://a.example.org",
        "a.example.org/videos",
        "*.*.example.org",
        "a b",
        "exämple.org",
        "a.org:x",
        "*.10.0.0.1",
        "::1",
    ],
)
def test_an_entry_that_is_no_host_is_refused_when_the_server_is_set_up(host: str) -> None:
    with pytest.raises(BadConfig, match="is no host"):
        load(MediaPolicy, None, [f'hosts=["{host}"]'])


@pytest.mark.parametrize(
    "host", ["a.example.org", "*.example.org", "a.example.org:8443", "localhost", "10.0.0.1:80", "[fd00::1]:80", "a_b.org"]
)
def test_names_addresses_and_ports_can_be_listed(host: str) -> None:
    assert MediaPolicy(hosts=(host,)).hosts == (host,)


@pytest.mark.parametrize("network", ["169.254.0.0/16", "169.254.169.254/32", "fe80::/10", "10.0.0.1/8", "lan"])
def test_a_network_that_is_none_or_holds_only_metadata_services_cannot_be_allowed(network: str) -> None:
    with pytest.raises(BadConfig, match="networks"):
        load(MediaPolicy, None, [f'networks=["{network}"]'])


# one kind


def test_a_request_without_media_is_told_what_to_add() -> None:
    assert refused() == (Refusal.MALFORMED, "no video and no picture was sent. Add a video_url or image_url part.")


@pytest.mark.parametrize("others", [[video(b"b")], [image(b"b")], [image(b"b"), image(b"c")]])
def test_two_videos_or_a_video_with_pictures_are_refused(others: list[MediaPart]) -> None:
    assert refused(video(b"a"), *others)[0] is Refusal.TOO_MANY


def test_more_pictures_than_the_server_takes_are_refused_before_one_is_decoded() -> None:
    code, message = refused(*[image(b"no picture")] * 5, policy=MediaPolicy(max_images=4))
    assert (code, message) == (Refusal.TOO_MANY, "5 pictures were sent; this server takes 4 at most.")


def test_ten_thousand_frames_in_one_data_uri_are_refused() -> None:
    part = MediaPart(kind="video", url="data:video/jpeg;base64," + ",".join(["AAAA"] * 10_000))
    assert refused(part) == (Refusal.TOO_MANY, "10000 frames were sent; this server takes 64 at most.")


# data URIs


@pytest.mark.parametrize("n_bytes", [1, 2, 3, 1000, 2**20, 3 * 2**20 + 1])
def test_a_video_in_a_data_uri_arrives_byte_for_byte(n_bytes: int) -> None:
    content = np.random.default_rng(n_bytes).bytes(n_bytes)

    async def bring() -> None:
        with MediaStore(MediaPolicy()) as store:
            async with store.bring([video(content)]) as brought:
                assert isinstance(brought, Clip)
                assert (Path(brought.path).read_bytes(), brought.n_bytes) == (content, n_bytes)

    asyncio.run(bring())


@pytest.mark.parametrize(
    "url",
    [
        "data:",
        "data:video/mp4,AAAA",
        "data:;base64,AAAA",
        "data:video/mp4;base64,",
        "data:video/mp4;base64,AAA",
        "data:video/mp4;base64,AA=A",
        "data:video/mp4;base64,AA==AAAA",
        "data:video/mp4;base64,AA AA",
        "data:video/mp4;base64,AAAA\n",
        "data:video/mp4;base64,%41AAA",
        "data:video/mp4;base64,ÄÄÄÄ",
        "data:video/mp4;base64,__--",
        "data:video/mp4;base64,AAAA,AAAA",
        "data:video/mp4;" + "a=b;" * 5000 + "base64,AAAA",
    ],
)
def test_a_data_uri_that_cannot_be_read_is_refused(url: str) -> None:
    assert refused(MediaPart(kind="video", url=url))[0] is Refusal.MALFORMED


def test_base64_that_goes_on_after_its_padding_is_refused_wherever_the_padding_stands() -> None:
    part = MediaPart(kind="video", url="data:video/mp4;base64," + "A" * (CHUNK - 1) + "=" + "AAAA")
    assert refused(part)[0] is Refusal.MALFORMED


def test_a_data_uri_may_name_its_codecs() -> None:
    assert isinstance(brought_of(MediaPart(kind="video", url='DATA:Video/MP4;codecs="avc1";base64,AAAA')), Clip)


def test_a_picture_sent_as_a_video_and_a_video_sent_as_a_picture_are_refused() -> None:
    assert refused(MediaPart(kind="video", url=data(b"a", "image/png")))[0] is Refusal.TYPE
    assert refused(MediaPart(kind="image", url=data(b"a", "video/mp4")))[0] is Refusal.TYPE


def test_a_medium_larger_than_the_limit_is_refused_and_one_of_the_limit_is_not() -> None:
    policy = MediaPolicy(max_bytes=1000)
    assert refused(video(bytes(1001)), policy=policy)[0] is Refusal.SIZE
    assert brought_of(video(bytes(1000)), policy=policy).n_bytes == 1000


def test_the_limit_of_bytes_is_of_all_pictures_together() -> None:
    one = encoded(colour(9))
    assert refused(*[image(one)] * 3, policy=MediaPolicy(max_bytes=3 * len(one) - 1))[0] is Refusal.SIZE
    assert len(album_of(*[image(one)] * 3, policy=MediaPolicy(max_bytes=3 * len(one))).pictures) == 3


# pictures


@pytest.mark.parametrize(("form", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
def test_png_jpeg_and_webp_are_read(form: str, media_type: str) -> None:
    (pixels,) = album_of(image(encoded(colour(120), form), media_type)).pictures
    assert pixels.shape == (6, 8, 3)
    assert np.abs(pixels.astype(int) - 120).max() <= 2


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "ICO", "PPM"])
def test_other_pictures_are_refused_whatever_they_are_called(form: str) -> None:
    assert refused(image(encoded(colour(1, 16, 16), form)))[0] is Refusal.MALFORMED


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_was_cut_short_is_refused(form: str) -> None:
    whole = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), form)
    for n_bytes in (1, 10, 30, len(whole) // 2, len(whole) * 9 // 10):
        assert refused(image(whole[:n_bytes]))[0] is Refusal.MALFORMED


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_damaged_picture_is_read_or_refused_and_nothing_else(form: str) -> None:
    whole, random = encoded(picture(3, 64, 64), form), np.random.default_rng(5)

    async def bring() -> int:
        n_refused = 0
        with MediaStore(MediaPolicy()) as store:
            for _ in range(150):
                damaged = bytearray(whole)
                for place in random.integers(0, len(whole), 4):
                    damaged[place] = random.integers(256)
                try:
                    async with store.bring([image(bytes(damaged))]):
                        pass
                except MediaRefused:
                    n_refused += 1
        return n_refused

    assert asyncio.run(bring()) > 0


def test_a_picture_is_turned_as_its_exif_data_says() -> None:
    pixels = np.zeros((4, 8, 3), dtype=np.uint8)
    pixels[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    (upright,) = album_of(image(encoded(pixels, "PNG", exif=exif))).pictures
    assert upright.shape == (8, 4, 3)
    assert (upright[:4] == 255).all()
    assert not upright[4:].any()


def test_what_is_transparent_is_white() -> None:
    (pixels,) = album_of(image(encoded(np.zeros((4, 4, 4), dtype=np.uint8)))).pictures
    assert (pixels == 255).all()


@pytest.mark.parametrize("level", [0, 20_000, 65_535])
def test_a_picture_of_sixteen_bits_is_seen_as_bright_as_it_is(level: int) -> None:
    (pixels,) = album_of(image(encoded(np.full((4, 4), level, dtype=np.uint16)))).pictures
    assert np.abs(pixels.astype(int) - level // 257).max() <= 1


def test_an_animation_shows_its_first_frame() -> None:
    file = io.BytesIO()
    frames = [Image.fromarray(colour(level)) for level in (10, 200)]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert (album_of(image(file.getvalue(), "image/webp")).pictures[0] == 10).all()


def test_a_picture_with_more_pixels_than_are_taken_is_refused_without_being_decoded() -> None:
    bomb = encoded(np.zeros((9000, 9000), dtype=np.uint8))
    assert len(bomb) < 100_000
    assert refused(image(bomb))[0] is Refusal.SIZE


def test_the_limit_of_pixels_is_of_all_pictures_together_and_the_refusal_says_which_one() -> None:
    code, message = refused(*[image(encoded(colour(9)))] * 3, policy=MediaPolicy(max_pixels=2 * 48))
    assert code is Refusal.SIZE
    assert message.startswith("picture 3 of 3: ")


def test_frames_of_a_data_uri_are_pictures_in_their_order() -> None:
    texts = [base64.b64encode(encoded(colour(level), "JPEG")).decode() for level in (10, 100, 200)]
    album = album_of(MediaPart(kind="video", url="data:video/jpeg;base64," + ",".join(texts)))
    assert [int(pixels.mean()) for pixels in album.pictures] == [10, 100, 200]


def test_pictures_are_fetched_and_read_from_allowed_folders_too(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(colour(10)))
    with FetchServer({"/b.png": Give(body=encoded(colour(20)), content_type="image/png")}) as server:
        host = f"127.0.0.1:{server.port}"
        policy = MediaPolicy(folders=(str(tmp_path),), hosts=(host,), networks=("127.0.0.0/8",))
        urls = (f"file://{tmp_path}/a.png", f"http://{host}/b.png")
        album = album_of(*(MediaPart(kind="image", url=url) for url in urls), policy=policy)
    assert [int(pixels.mean()) for pixels in album.pictures] == [10, 20]


# names


def test_equal_contents_have_one_name_and_different_ones_never_do() -> None:
    names = [Path(brought_of(video(content)).path).name for content in (b"a", b"b", b"a")]
    assert names[0] == names[2] != names[1]
    one, other = image(encoded(colour(1))), image(encoded(colour(2)))
    albums = [album_of(*parts).path for parts in ([one, other], [other, one], [one, other], [one], [one, one])]
    assert albums[0] == albums[2]
    assert len(set(albums)) == 4


def test_a_local_file_keeps_its_name_until_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "clip.mp4"
    policy = MediaPolicy(folders=(str(tmp_path),), max_bytes=1)

    def name() -> str:
        return Path(brought_of(MediaPart(kind="video", url=f"file://{file}"), policy=policy).path).name

    file.write_bytes(b"one")
    first = name()
    assert name() == first
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert name() != first
    assert file.read_bytes() == b"two"


# the folder


def held(store_parent: Path) -> list[str]:
    """Everything in the folders of stores but their locks."""
    return [path.name for path in store_parent.glob("deepsport-media-*/*") if path.name != ".lock"]


def test_what_was_brought_is_there_for_as_long_as_somebody_looks_at_it_and_no_longer(tmp_path: Path) -> None:
    async def bring() -> None:
        with MediaStore(MediaPolicy(), parent=tmp_path) as store:
            async with store.bring([video(b"same")]) as first:
                inode = os.stat(first.path).st_ino
                async with store.bring([video(b"same")]) as second:
                    assert first == second
                    assert os.stat(first.path).st_ino == inode
                assert os.stat(first.path).st_ino == inode
                assert len(held(tmp_path)) == 2  # the file, and where the first request's came in
            assert held(tmp_path) == []
        assert list(tmp_path.iterdir()) == []

    asyncio.run(bring())


def test_nobody_else_may_enter_the_folder(tmp_path: Path) -> None:
    with MediaStore(MediaPolicy(), parent=tmp_path):
        (folder,) = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_cancelled_request_leaves_nothing_behind(tmp_path: Path) -> None:
    async def bring(server: FetchServer) -> None:
        host = f"127.0.0.1:{server.port}"
        policy = MediaPolicy(hosts=(host,), networks=("127.0.0.0/8",))
        with MediaStore(policy, parent=tmp_path) as store:

            async def one() -> None:
                async with store.bring([MediaPart(kind="video", url=f"http://{host}/clip.mp4")]):
                    raise AssertionError("it never ends")

            request = asyncio.create_task(one())
            while not server.n_sent:
                await asyncio.sleep(0.01)
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            assert held(tmp_path) == []

    with FetchServer({"/clip.mp4": Flow(pause_s=0.01)}) as server:
        asyncio.run(bring(server))


def test_a_fault_of_whoever_looks_is_theirs_and_the_medium_goes(tmp_path: Path) -> None:
    async def bring() -> None:
        with MediaStore(MediaPolicy(), parent=tmp_path) as store:
            with pytest.raises(FileNotFoundError):
                async with store.bring([video(b"a")]):
                    raise FileNotFoundError
            assert held(tmp_path) == []

    asyncio.run(bring())


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from deepsport.serve.media.brought import MediaPart
from deepsport.serve.media.settings import MediaPolicy
from deepsport.serve.media.store import MediaStore

async def main():
    with MediaStore(MediaPolicy(), parent=Path(sys.argv[1])) as store:
        async with store.bring([MediaPart(kind="video", url="data:video/mp4;base64,AAAA")]):
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_what_a_killed_server_left_is_removed_by_the_next_one_and_what_a_living_one_holds_is_not(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert len(held(tmp_path)) > 0
    (tmp_path / "deepsport-media-of-somebody").mkdir()  # without a lock: not known to be a store's
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".lock").touch()
    (tmp_path / "deepsport-media-link").symlink_to(elsewhere)

    async def start() -> None:
        with MediaStore(MediaPolicy(), parent=tmp_path) as living:
            async with living.bring([video(b"a")]) as brought:
                assert not left.exists()
                with MediaStore(MediaPolicy(), parent=tmp_path):
                    assert Path(brought.path).exists()

    asyncio.run(start())
    assert {path.name for path in tmp_path.iterdir()} == {"deepsport-media-of-somebody", "deepsport-media-link", "elsewhere"}
    assert (elsewhere / ".lock").exists()


def test_a_place_that_cannot_be_written_is_an_error_of_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunError), MediaStore(MediaPolicy(), parent=tmp_path / "nowhere"):
        pass


def test_a_brought_video_is_decoded_and_the_same_again_gives_the_same_frames(tmp_path: Path) -> None:
    content = write(tmp_path / "clip.mp4", Recipe(n_frames=10)).read_bytes()

    async def bring() -> None:
        with MediaStore(MediaPolicy()) as store, FrameSource(trusted=False) as source:
            for _ in range(2):
                async with store.bring([video(content)]) as brought:
                    assert source.info(brought.path).n_frames == 10
                    assert len(source.look(brought.path, [0, 9])) == 2

    asyncio.run(bring())


# stills


def stills(*levels: int) -> tuple[str, Stills]:
    album = album_of(*(image(encoded(colour(level))) for level in levels))
    return album.path, Stills(album)


def test_pictures_are_a_video_of_one_frame_a_second() -> None:
    path, source = stills(10, 20, 30)
    info = source.info(path)
    assert (info.n_frames, info.fps, info.duration_s, info.width, info.height) == (3, 1, 3.0, 8, 6)
    assert source.times(path, [2, 0]) == [2.0, 0.0]
    assert [int(pixels.mean()) for pixels in source.frames(path, [2, 0, 2])] == [30, 10, 30]
    assert [(shown.index, shown.time_s) for shown in source.look(path, [1])] == [(1, 1.0)]
    assert source.state(path) == source.state(path) is not None


def test_on_stills_that_others_look_at_nobody_can_write() -> None:
    path, source = stills(10)
    source.frames(path, [0])[0][:] = 99
    with pytest.raises(ValueError, match="read-only"):
        source.look(path, [0])[0].pixels[:] = 99
    assert (source.look(path, [0])[0].pixels == 10).all()


@pytest.mark.parametrize("index", [-1, 2])
def test_a_still_that_is_not_there_is_refused_with_the_valid_range(index: int) -> None:
    path, source = stills(10, 20)
    with pytest.raises(BadVideo, match="0 to 1"):
        source.look(path, [index])


def test_stills_know_no_other_path() -> None:
    _, source = stills(10)
    for asked in (source.info, lambda path: source.look(path, [0]), lambda path: source.frames(path, [0])):
        with pytest.raises(BadVideo):
            asked("/etc/passwd")
    assert source.state("/etc/passwd") is None


def play(policy: Scripted, n_pictures: int, limits: Limits) -> Sequence[int]:
    path, source = stills(*range(n_pictures))
    question = Question(id="q", video=path, text="What happens?")
    episode = asyncio.run(run_episode(question, policy, source, limits=limits, sampling=Sampling()))
    assert episode.stop is StopReason.ANSWERED
    assert {frame.video for frame in episode.frames_seen} == {path}
    return [frame.index for frame in episode.frames_seen]


def test_the_agent_loop_looks_at_stills_as_it_looks_at_a_video() -> None:
    replies = [write_call("look", 3, 5), write_answer("seen", "a dive")]
    assert play(Scripted(replies), 9, Limits(first_frames=3, frames_per_call=3))[3:] == [3, 4, 5]
