"""Fault group V, what is not in the file: processes that die or hang, files that change, paths that are no files."""

import gc
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from deepsport.errors import BadVideo
from deepsport.video.decode import Decoder
from deepsport.video.probe import probe
from deepsport.video.remote import RemoteDecoders
from deepsport.video.source import FrameSource
from video_damage import Make, beginning, directory, fifo, link_to_device, playlist
from video_files import Recipe, write


@pytest.fixture(scope="module")
def source() -> Generator[FrameSource]:
    with FrameSource(trusted=False, time_limit_s=120.0) as opened:
        yield opened


def worker_pid(source: FrameSource) -> int:
    """Process id of the worker, which has to be there."""
    assert isinstance(source.decoders, RemoteDecoders)
    assert source.decoders.pid is not None
    return source.decoders.pid


def test_a_decoder_that_crashes_is_a_bad_video_and_the_next_file_decodes_v24(source: FrameSource, tmp_path: Path):
    path = str(write(tmp_path / "v.mp4"))
    source.info(path)
    pid = worker_pid(source)
    os.kill(pid, signal.SIGSTOP)  # held still, so that the crash happens while the request is under way
    crash = threading.Timer(0.3, lambda: (os.kill(pid, signal.SIGSEGV), os.kill(pid, signal.SIGCONT)))
    crash.start()
    with pytest.raises(BadVideo, match="SIGSEGV"):
        source.frames(path, [0])
    assert source.frames(path, [0])[0].shape == (64, 96, 3)
    assert worker_pid(source) != pid


def test_a_decoder_that_died_between_two_requests_is_replaced_unnoticed(source: FrameSource, tmp_path: Path):
    path = str(write(tmp_path / "v.mp4"))
    source.info(path)
    pid = worker_pid(source)
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    assert source.frames(path, [3])[0].shape == (64, 96, 3)


def test_a_decoder_that_hangs_is_stopped_at_the_time_limit_v25(tmp_path: Path):
    path = str(write(tmp_path / "v.mp4"))
    with FrameSource(trusted=False, time_limit_s=1.0) as source:
        source.info(path)
        pid = worker_pid(source)
        os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(BadVideo, match="longer than 1 s"):
            source.frames(path, [0])
        assert time.monotonic() - started < 10
        assert source.frames(path, [0])[0].shape == (64, 96, 3)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_file_replaced_after_the_probe_is_refused_until_it_is_probed_again_v26(trusted: bool, tmp_path: Path):
    path = tmp_path / "v.mp4"
    write(path, Recipe(n_frames=60))
    with FrameSource(trusted=trusted) as source:
        assert source.info(str(path)).n_frames == 60
        write(tmp_path / "other.mp4", Recipe(n_frames=30)).replace(path)
        with pytest.raises(BadVideo, match="was replaced"):
            source.frames(str(path), [0])
        with pytest.raises(BadVideo, match="was replaced"):
            source.times(str(path), [0])
        assert source.info(str(path)).n_frames == 30
        assert len(source.frames(str(path), [29])) == 1


@pytest.mark.parametrize("trusted", [True, False])
def test_a_file_removed_after_the_probe_is_refused_v26(trusted: bool, tmp_path: Path):
    path = write(tmp_path / "v.mp4")
    with FrameSource(trusted=trusted) as source:
        source.info(str(path))
        path.unlink()
        with pytest.raises(BadVideo, match="No such file"):
            source.frames(str(path), [0])


@pytest.fixture
def open_folder() -> Generator[Path]:
    """A folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="deepsport_"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_file_that_may_not_be_read_is_refused_v27(open_folder: Path):
    path = write(open_folder / "v.mp4")
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # permissions do not bind root
    try:
        with pytest.raises(BadVideo, match="Permission denied"):
            probe(str(path))
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("make", [fifo, link_to_device, directory])
@pytest.mark.parametrize("trusted", [True, False])
def test_what_is_not_a_regular_file_is_refused_v28(make: Make, trusted: bool, tmp_path: Path):
    with FrameSource(trusted=trusted) as source, pytest.raises(BadVideo, match="not a regular file"):
        source.info(str(make(tmp_path)))


SCRIPTS: dict[str, Make] = {
    "HLS": playlist("v.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.4,\n{inner}\n#EXT-X-ENDLIST\n"),
    "HLS named mp4": playlist("v.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.4,\nfile:{inner}\n#EXT-X-ENDLIST\n"),
    "HLS of an address": playlist("v.mp4", "#EXTM3U\n#EXTINF:2.4,\nhttp://127.0.0.1:9/{inner}\n#EXT-X-ENDLIST\n"),
    "concat script": playlist("v.mp4", "ffconcat version 1.0\nfile '{inner}'\n"),
    "DASH": playlist("v.mpd", '<?xml version="1.0"?><MPD><Period><BaseURL>{inner}</BaseURL></Period></MPD>'),
}


@pytest.mark.parametrize("make", SCRIPTS.values(), ids=SCRIPTS.keys())
@pytest.mark.parametrize("trusted", [True, False])
def test_a_script_that_names_other_files_is_refused_v29(make: Make, trusted: bool, tmp_path: Path):
    with FrameSource(trusted=trusted) as source, pytest.raises(BadVideo):
        source.info(str(make(tmp_path)))


@pytest.mark.parametrize("prefix", ["concat:", "file:", "subfile,,start,0,end,0,,:", "http://127.0.0.1:9", "pipe:", "data:"])
def test_an_address_is_not_a_path_v29(prefix: str, tmp_path: Path):
    path = write(tmp_path / "v.ts")
    with pytest.raises(BadVideo, match="No such file"):
        probe(f"{prefix}{path}")


@pytest.mark.parametrize(
    "name",
    ["größe 世界.mp4", "a b.mp4", "a\nb.mp4", "-v.mp4", "http:v.mp4", "100%d.mp4", "'q\".mp4", os.fsdecode(b"\xff\xfe.mp4")],
)
@pytest.mark.parametrize("trusted", [True, False])
def test_any_file_name_will_do_v30(name: str, trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "v.mp4", Recipe(n_frames=3)).rename(name)
    with FrameSource(trusted=trusted) as source:
        assert source.info(name).path == name
        assert source.frames(name, [2])[0].shape == (64, 96, 3)


def test_a_thousand_opens_do_not_grow_the_process_v31(tmp_path: Path):
    broken = str(beginning(0.5)(tmp_path).rename(tmp_path / "broken.mp4"))
    good = str(write(tmp_path / "good.mp4", Recipe(n_frames=10)))
    open_often(good, broken, 50)
    before = resident_mb()
    open_often(good, broken, 500)
    assert resident_mb() - before < 20


def open_often(good: str, broken: str, times: int) -> None:
    """Opens two files, as often each."""
    for _ in range(times):
        with Decoder(good) as decoder:
            decoder.frames([9])
        with pytest.raises(BadVideo):
            Decoder(broken)


def resident_mb() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
