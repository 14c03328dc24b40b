"""Faults of group S: what a request may make this server look at, and what it may not.

Real sockets: a web server on 127.0.0.1 that lies, drips and redirects, reached under made-up names through a resolver that the
test hands in, with the loopback network allowed on purpose. The way through the code is that of a server in use. Every refusal is
also looked at for what it must not tell: addresses and local paths.
"""

import asyncio
import base64
import gzip
import io
import os
import socket
import tarfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deepsport.errors import BadConfig, BadVideo
from deepsport.serve.media.addresses import as_address, reachable
from deepsport.serve.media.brought import Clip, MediaPart
from deepsport.serve.media.fetch import Resolve, resolve_name
from deepsport.serve.media.refusal import MediaRefused, Refusal
from deepsport.serve.media.settings import MediaPolicy
from deepsport.serve.media.store import MediaStore
from deepsport.video.source import FrameSource
from fetch_server import Act, FetchServer, Flow, Give, HangUp, redirect, self_signed

LOOPBACK = ("127.0.0.0/8",)
CLIP = b"the bytes of a clip " * 500


class Names:
    """A resolver that knows the names of a test, and counts what it is asked; each question takes the next answer."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers) or [["127.0.0.1"]]
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


def bytes_shown(url: str, policy: MediaPolicy, folder: Path, names: Resolve | None = None) -> bytes:
    """What a decoder would be given for a video of this address."""

    async def bring() -> bytes:
        with MediaStore(policy, parent=folder, resolve=names or Names()) as store:
            async with store.bring([MediaPart(kind="video", url=url)]) as brought:
                assert isinstance(brought, Clip)
                return Path(brought.path).read_bytes()

    shown = asyncio.run(bring())
    assert list(folder.glob("deepsport-media-*")) == []
    return shown


def refusal(url: str, policy: MediaPolicy, folder: Path, names: Resolve | None = None) -> Refusal:
    """What it is refused for, once the message is seen to tell nothing of this server."""
    with pytest.raises(MediaRefused) as raised:
        bytes_shown(url, policy, folder, names)
    message = str(raised.value)
    for secret in ("127.", "10.0.", "169.254", "::", str(folder), "/etc", "Errno", "0x"):
        assert secret not in message
    return raised.value.code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def trusting(server: FetchServer, **changed: object) -> MediaPolicy:
    """A policy that allows the test's host in the loopback network."""
    settings: dict[str, object] = {"hosts": (f"clips.example.org:{server.port}",), "networks": LOOPBACK, "fetch_s": 10.0}
    return MediaPolicy.model_validate({**settings, **changed})


def clip_url(server: FetchServer, path: str = "/clip.mp4") -> str:
    return f"http://clips.example.org:{server.port}{path}"


# schemes


@pytest.mark.parametrize(
    "url",
    [
        "ftp://clips.example.org/a.mp4",
        "gopher://clips.example.org/_GET",
        "javascript:alert(1)",
        "concat:/etc/passwd|/etc/hosts",
        "http",
        " http://clips.example.org/a.mp4",
        "",
    ],
)
def test_a_scheme_that_is_not_a_medium_s_is_refused(url: str, folder: Path) -> None:
    assert refusal(url, MediaPolicy(hosts=("clips.example.org",)), folder) is Refusal.SCHEME


def test_a_local_file_is_refused_where_no_folder_is_allowed(folder: Path) -> None:
    assert refusal("file:///etc/passwd", MediaPolicy(), folder) is Refusal.FOLDER


def test_a_data_uri_with_a_page_in_it_is_refused(folder: Path) -> None:
    assert refusal("data:text/html;base64,PGI+", MediaPolicy(), folder) is Refusal.TYPE


def test_nothing_is_fetched_where_no_host_is_allowed(folder: Path) -> None:
    names = Names(["127.0.0.1"])
    assert refusal("http://clips.example.org/clip.mp4", MediaPolicy(), folder, names) is Refusal.HOST
    assert names.asked == []


# addresses

PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_of_the_public_internet_is_refused_even_if_it_is_listed(address: str, folder: Path) -> None:
    host = f"[{address}]" if ":" in address else address
    assert refusal(f"http://{host}/clip.mp4", MediaPolicy(hosts=(host,)), folder) is Refusal.ADDRESS


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_to_such_an_address_is_refused(address: str, folder: Path) -> None:
    policy = MediaPolicy(hosts=("clips.example.org",))
    assert refusal("http://clips.example.org/clip.mp4", policy, folder, Names([address])) is Refusal.ADDRESS


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_an_address_of_the_public_internet_may_be_connected_to(address: str) -> None:
    parsed = as_address(address)
    assert parsed is not None
    assert reachable(())(parsed)


@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "::ffff:169.254.169.254"])
def test_a_metadata_service_is_refused_even_in_a_network_that_is_allowed(address: str) -> None:
    parsed = as_address(address)
    assert parsed is not None
    assert not reachable(("0.0.0.0/0", "::/0"))(parsed)
    assert reachable(("0.0.0.0/0", "::/0"))(as_address("10.0.0.1") or parsed)


@pytest.mark.parametrize(
    "host",
    ["2130706433", "017700000001", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1.", "127.0.0.0x1", "1.2.3.4.5"],
)
def test_a_number_that_some_resolvers_take_for_an_address_is_no_host(host: str, folder: Path) -> None:
    with FetchServer({"/clip.mp4": Give(body=CLIP)}) as server:
        names = Names(["127.0.0.1"])
        url = f"http://{host}:{server.port}/clip.mp4"
        assert refusal(url, trusting(server), folder, names) is Refusal.MALFORMED
        assert (names.asked, server.requests) == ([], [])
    with pytest.raises(ValueError, match="is no host"):
        MediaPolicy(hosts=(host,))


@pytest.mark.parametrize(
    "url",
    [
        "http://clips.example.org@evil.example.com/clip.mp4",
        "http://clips.example.org:80@evil.example.com/clip.mp4",
        "http://user:secret@clips.example.org/clip.mp4",
        "http://evil.example.com\\@clips.example.org/clip.mp4",
        "http://clips.example.org\\.evil.example.com/clip.mp4",
        "http://clips.example.org\t.evil.example.com/clip.mp4",
        "http://clips.example.org\r\nHost: evil.example.com/clip.mp4",
        "http://clips.example.org\0.evil.example.com/clip.mp4",
        "http://clips.example.org./clip.mp4",
        "http://clips%2eexample.org/clip.mp4",
        "http:///clip.mp4",
        "http:clips.example.org/clip.mp4",
        "http://clips.example.org:0/clip.mp4",
        "http://clips.example.org:99999/clip.mp4",
        "http://[::1/clip.mp4",
        "http://clips.example.org/" + "a" * 9000,
        "http://clips.example.órg/clip.mp4",
        "http://clips。example.org/clip.mp4",
        "http://ⓒlips.example.org/clip.mp4",
        "http://clips.example.org/clíp.mp4",
        "http://clips.example.org/..\\clip.mp4",
    ],
)
def test_an_address_that_can_be_read_in_two_ways_is_refused_before_anybody_is_asked(url: str, folder: Path) -> None:
    names = Names(["127.0.0.1"])
    assert refusal(url, MediaPolicy(hosts=("clips.example.org",), networks=LOOPBACK), folder, names) is Refusal.MALFORMED
    assert names.asked == []


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("clips.example.org", "http://clips.example.org.evil.com/a.mp4"),
        ("clips.example.org", "http://evilclips.example.org/a.mp4"),
        ("clips.example.org", "http://a.clips.example.org/a.mp4"),
        ("*.example.org", "http://example.org/a.mp4"),
        ("*.example.org", "http://evilexample.org/a.mp4"),
        ("*.example.org", "http://example.org.evil.com/a.mp4"),
        ("clips.example.org", "http://evil.com/clips.example.org"),
        ("clips.example.org", "http://evil.com/?clips.example.org#clips.example.org"),
        ("clips.example.org", "http://xn--lips-hxd.example.org/a.mp4"),
        ("clips.example.org", "http://clips.example.org:8080/a.mp4"),
        ("clips.example.org", "http://clips.example.org:22/a.mp4"),
        ("clips.example.org:8080", "http://clips.example.org/a.mp4"),
        ("clips.example.org:8080", "http://clips.example.org:8081/a.mp4"),
    ],
)
def test_a_host_or_port_that_only_looks_like_a_listed_one_is_refused(listed: str, url: str, folder: Path) -> None:
    names = Names(["127.0.0.1"])
    assert refusal(url, MediaPolicy(hosts=(listed,), networks=LOOPBACK), folder, names) is Refusal.HOST
    assert names.asked == []


def test_a_name_with_a_public_and_a_private_address_is_refused_whatever_their_order(folder: Path) -> None:
    with FetchServer({"/clip.mp4": Give(body=CLIP)}) as server:
        for answer in (["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"]):
            assert refusal(clip_url(server), trusting(server), folder, Names(answer)) is Refusal.ADDRESS
        assert server.requests == []


def test_a_name_that_changes_its_address_after_the_check_is_asked_once_and_the_checked_address_is_used(folder: Path) -> None:
    with FetchServer({"/clip.mp4": Give(body=CLIP)}) as server:
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        assert bytes_shown(clip_url(server), trusting(server), folder, names) == CLIP
    assert names.asked == ["clips.example.org"]


def test_a_name_that_changes_its_address_between_two_hops_is_checked_again(folder: Path) -> None:
    with FetchServer({"/clip.mp4": redirect("/clip.mp4?again")}) as server:
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        assert refusal(clip_url(server), trusting(server), folder, names) is Refusal.ADDRESS
        assert len(server.requests) == 1


def test_a_name_without_an_address_is_refused(folder: Path) -> None:
    async def nobody(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for names in (nobody, Names([])):
        policy = MediaPolicy(hosts=("clips.example.org",))
        assert refusal("http://clips.example.org/a.mp4", policy, folder, names) is Refusal.UPSTREAM


def test_this_machine_s_own_resolver_finds_loopback_and_it_is_refused(folder: Path) -> None:
    assert "127.0.0.1" in asyncio.run(resolve_name("localhost", 80))
    assert refusal("http://localhost/clip.mp4", MediaPolicy(hosts=("localhost",)), folder, resolve_name) is Refusal.ADDRESS


# redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_private_address_is_refused(status: int, folder: Path) -> None:
    with FetchServer({"/clip.mp4": redirect("http://127.0.0.2/latest/meta-data", status)}) as server:
        policy = trusting(server, hosts=(f"clips.example.org:{server.port}", "127.0.0.2"), networks=("127.0.0.1/32",))
        assert refusal(clip_url(server), policy, folder) is Refusal.ADDRESS


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("file:///etc/passwd", Refusal.SCHEME),
        ("ftp://clips.example.org/a.mp4", Refusal.SCHEME),
        ("data:video/mp4;base64,AAAA", Refusal.SCHEME),
        ("http://evil.example.com/clip.mp4", Refusal.HOST),
        ("//evil.example.com/clip.mp4", Refusal.HOST),
        ("http://clips.example.org/other-port.mp4:1", Refusal.HOST),
        ("http://clips.example.org@evil.example.com/", Refusal.MALFORMED),
        ("http://[::1/", Refusal.REDIRECT),
        ("", Refusal.REDIRECT),
    ],
)
def test_a_redirect_is_checked_as_if_it_were_the_first_address(to: str, code: Refusal, folder: Path) -> None:
    with FetchServer({"/clip.mp4": redirect(to)}) as server:
        assert refusal(clip_url(server), trusting(server), folder) is code
        assert len(server.requests) == 1


def test_five_redirects_are_followed_and_a_sixth_is_refused(folder: Path) -> None:
    hops: dict[str, Act | Sequence[Act]] = {f"/{n}": redirect(f"/{n + 1}") for n in range(7)}
    with FetchServer({**hops, "/5": Give(body=CLIP)}) as server:
        assert bytes_shown(clip_url(server, "/0"), trusting(server), folder) == CLIP
        assert len(server.requests) == 6
    with FetchServer({**hops, "/6": Give(body=CLIP)}) as server:
        assert refusal(clip_url(server, "/0"), trusting(server), folder) is Refusal.REDIRECT


def test_a_redirect_carries_no_cookie_and_no_trace_of_the_last_hop(folder: Path) -> None:
    with FetchServer({"/a": redirect("/b", set_cookie="id=1; Path=/"), "/b": Give(body=CLIP)}) as server:
        bytes_shown(clip_url(server, "/a"), trusting(server), folder)
        assert set(server.requests[1].headers) == {"host", "accept", "accept-encoding", "connection", "user-agent"}


def test_the_host_is_told_the_name_and_the_environment_s_proxy_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with FetchServer({"/clip.mp4?a=%2F&b=1": Give(body=CLIP)}) as server:
        assert bytes_shown(clip_url(server, "/clip.mp4?a=%2F&b=1#t=3"), trusting(server), folder) == CLIP
        (head,) = server.requests
    assert head.headers["host"] == f"clips.example.org:{server.port}"
    assert head.sent.count("host") == 1


# TLS


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FetchServer]:
    from deepsport.serve.media import fetch

    certificate = self_signed(tmp_path, "clips.example.org")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    fetch.certificates.cache_clear()
    with FetchServer({"/clip.mp4": Give(body=CLIP), "/down": redirect("http://clips.example.org/")}, certificate) as server:
        yield server
    fetch.certificates.cache_clear()


def test_the_certificate_is_checked_against_the_name_though_the_address_is_pinned(secure: FetchServer, folder: Path) -> None:
    url = f"https://clips.example.org:{secure.port}/clip.mp4"
    assert bytes_shown(url, trusting(secure), folder) == CLIP
    assert secure.named == ["clips.example.org"]
    assert secure.requests[0].headers["host"] == f"clips.example.org:{secure.port}"


def test_a_host_that_cannot_show_the_name_s_certificate_is_refused(secure: FetchServer, folder: Path) -> None:
    policy = trusting(secure, hosts=(f"other.example.org:{secure.port}",))
    assert refusal(f"https://other.example.org:{secure.port}/clip.mp4", policy, folder) is Refusal.UPSTREAM
    assert secure.requests == []


def test_a_redirect_that_gives_up_encryption_is_refused(secure: FetchServer, folder: Path) -> None:
    policy = trusting(secure, hosts=(f"clips.example.org:{secure.port}", "clips.example.org"))
    assert refusal(f"https://clips.example.org:{secure.port}/down", policy, folder) is Refusal.REDIRECT


# bodies


def test_a_body_shorter_than_announced_is_refused_after_three_attempts(folder: Path) -> None:
    with FetchServer({"/clip.mp4": Give(body=CLIP, announced=len(CLIP) + 9)}) as server:
        assert refusal(clip_url(server), trusting(server), folder) is Refusal.UPSTREAM
        assert len(server.requests) == 3


def test_of_a_body_longer_than_announced_only_what_was_announced_is_taken(folder: Path) -> None:
    with FetchServer({"/clip.mp4": Give(body=CLIP, announced=100)}) as server:
        assert bytes_shown(clip_url(server), trusting(server), folder) == CLIP[:100]


def test_a_body_that_announces_more_than_is_taken_is_refused_before_it_comes(folder: Path) -> None:
    with FetchServer({"/clip.mp4": Give(body=b"", announced=10**12)}) as server:
        assert refusal(clip_url(server), trusting(server), folder) is Refusal.SIZE


def test_a_body_without_an_end_is_stopped_at_the_limit(folder: Path) -> None:
    with FetchServer({"/clip.mp4": Flow()}) as server:
        assert refusal(clip_url(server), trusting(server, max_bytes=10**6), folder) is Refusal.SIZE
        assert server.n_sent < 10**8


def test_a_body_that_drips_is_stopped_at_the_time_limit(folder: Path) -> None:
    with FetchServer({"/clip.mp4": Flow(chunk=b"\0", pause_s=0.02)}) as server:
        began = time.monotonic()
        assert refusal(clip_url(server), trusting(server, fetch_s=0.5), folder) is Refusal.TIME
        assert time.monotonic() - began < 3


def test_a_host_that_takes_the_connection_and_says_nothing_is_stopped_at_the_time_limit(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        policy = MediaPolicy(hosts=(f"clips.example.org:{port}",), networks=LOOPBACK, fetch_s=0.5)
        assert refusal(f"http://clips.example.org:{port}/clip.mp4", policy, folder) is Refusal.TIME


def test_a_resolver_that_never_answers_is_stopped_at_the_time_limit(folder: Path) -> None:
    async def silent(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    policy = MediaPolicy(hosts=("clips.example.org",), fetch_s=0.2)
    assert refusal("http://clips.example.org/a.mp4", policy, folder, silent) is Refusal.TIME


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_a_compressed_body_is_refused_and_not_unpacked(encoding: str, folder: Path) -> None:
    bomb = gzip.compress(bytes(10**7))
    with FetchServer({"/clip.mp4": Give(body=bomb, headers={"content-encoding": encoding})}) as server:
        assert refusal(clip_url(server), trusting(server), folder) is Refusal.TYPE
        assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("content_type", ["text/html", "TEXT/HTML; charset=utf-8", "application/xhtml+xml"])
def test_a_login_page_in_place_of_a_video_is_called_that(content_type: str, folder: Path) -> None:
    page = Give(body=b"<form>", content_type=content_type)
    with FetchServer({"/clip.mp4": page}) as server, pytest.raises(MediaRefused, match="login page") as raised:
        bytes_shown(clip_url(server), trusting(server), folder)
    assert raised.value.code is Refusal.TYPE


@pytest.mark.parametrize("content_type", ["image/png", "application/zip", "text/plain", "application/vnd.apple.mpegurl"])
def test_something_that_calls_itself_no_video_is_refused(content_type: str, folder: Path) -> None:
    with FetchServer({"/clip.mp4": Give(body=CLIP, content_type=content_type)}) as server:
        assert refusal(clip_url(server), trusting(server), folder) is Refusal.TYPE


@pytest.mark.parametrize("content_type", ["video/mp4", "video/webm; x=1", "application/octet-stream", "binary/octet-stream", ""])
def test_something_that_may_be_a_video_is_taken(content_type: str, folder: Path) -> None:
    with FetchServer({"/clip.mp4": Give(body=CLIP, content_type=content_type)}) as server:
        assert bytes_shown(clip_url(server), trusting(server), folder) == CLIP


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 403, 404, 410, 416])
def test_a_host_that_says_no_is_not_asked_again(status: int, folder: Path) -> None:
    with FetchServer({"/clip.mp4": Give(status=status)}) as server:
        assert refusal(clip_url(server), trusting(server), folder) is Refusal.UPSTREAM
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_host_that_is_busy_or_fails_is_asked_three_times(status: int, folder: Path) -> None:
    busy = Give(status=status, headers={"retry-after": "0"})
    with FetchServer({"/clip.mp4": [busy, busy, Give(body=CLIP)], "/never.mp4": busy}) as server:
        assert bytes_shown(clip_url(server), trusting(server), folder) == CLIP
        assert refusal(clip_url(server, "/never.mp4"), trusting(server), folder) is Refusal.UPSTREAM
        assert len(server.requests) == 6


def test_a_host_that_hangs_up_is_asked_again_and_what_had_come_is_forgotten(folder: Path) -> None:
    more = Give(body=b"x" * (len(CLIP) + 5), announced=len(CLIP) + 9)
    with FetchServer({"/clip.mp4": [HangUp(), more, Give(body=CLIP)]}) as server:
        assert bytes_shown(clip_url(server), trusting(server, max_bytes=len(CLIP) + 9), folder) == CLIP


def test_a_clip_that_came_at_the_second_attempt_has_the_name_of_its_content(folder: Path) -> None:
    async def name(url: str, policy: MediaPolicy) -> str:
        with MediaStore(policy, parent=folder, resolve=Names()) as store:
            async with store.bring([MediaPart(kind="video", url=url)]) as brought:
                return Path(brought.path).name

    half = Give(body=CLIP[:300], announced=len(CLIP))
    with FetchServer({"/clip.mp4": [half, Give(body=CLIP), Give(body=CLIP)]}) as server:
        names = [asyncio.run(name(clip_url(server), trusting(server))) for _ in range(2)]
    assert names[0] == names[1]


def test_the_wait_a_host_asks_for_is_kept(folder: Path) -> None:
    with FetchServer({"/clip.mp4": [Give(status=429, headers={"retry-after": "1"}), Give(body=CLIP)]}) as server:
        began = time.monotonic()
        assert bytes_shown(clip_url(server), trusting(server), folder) == CLIP
        assert time.monotonic() - began >= 1


def test_a_host_that_asks_for_a_wait_longer_than_the_time_limit_is_given_up_at_once(folder: Path) -> None:
    with FetchServer({"/clip.mp4": Give(status=503, headers={"retry-after": "3600"})}) as server:
        began = time.monotonic()
        assert refusal(clip_url(server), trusting(server), folder) is Refusal.UPSTREAM
        assert time.monotonic() - began < 2


def test_an_address_where_nobody_listens_is_passed_over_for_the_next_one(folder: Path) -> None:
    with FetchServer({"/clip.mp4": Give(body=CLIP)}) as server:
        assert bytes_shown(clip_url(server), trusting(server), folder, Names(["127.0.0.77", "127.0.0.1"])) == CLIP


# local files


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """An allowed folder, with things beside it that are not."""
    allowed = tmp_path / "data"
    (allowed / "below").mkdir(parents=True)
    (allowed / "clip.mp4").write_bytes(CLIP)
    (allowed / "below" / "a b#1?ü.mp4").write_bytes(CLIP)
    (tmp_path / "data_evil").mkdir()
    (tmp_path / "data_evil" / "clip.mp4").write_bytes(CLIP)
    (tmp_path / "secret.mp4").write_bytes(CLIP)
    (allowed / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    (allowed / "out").symlink_to(tmp_path)
    (allowed / "in.mp4").symlink_to(allowed / "clip.mp4")
    (allowed / "gone.mp4").symlink_to(tmp_path / "nothing.mp4")
    (allowed / "loop.mp4").symlink_to(allowed / "loop.mp4")
    os.mkfifo(allowed / "pipe.mp4")
    return allowed


@pytest.mark.parametrize("path", ["clip.mp4", "in.mp4", "below/a%20b%231%3F%C3%BC.mp4", "%63lip.mp4"])
@pytest.mark.parametrize("head", ["file://", "file://localhost", "FILE://", "file:"])
def test_a_file_within_an_allowed_folder_is_shown(head: str, path: str, shelf: Path, folder: Path) -> None:
    assert bytes_shown(f"{head}{shelf}/{path}", MediaPolicy(folders=(str(shelf),)), folder) == CLIP


@pytest.mark.parametrize(
    "path",
    [
        "{shelf}/../secret.mp4",
        "{shelf}/%2e%2e/secret.mp4",
        "{shelf}/%2E./secret.mp4",
        "{shelf}/below/../clip.mp4",
        "{shelf}/..%2fsecret.mp4",
        "/etc/passwd",
        "{shelf}_evil/clip.mp4",
        "{shelf}/out.mp4",
        "{shelf}/out/secret.mp4",
        "{shelf}/gone.mp4",
        "{shelf}/clip.mp4%00.png",
        "{shelf}/clip.mp4\0.png",
        "{shelf}/nothing.mp4",
        "{shelf}",
        "{shelf}/" + "a" * 5000,
        "//server/share/clip.mp4",
        "server{shelf}/clip.mp4",
        "//localhost/{shelf}/clip.mp4",
        "\\\\server\\share\\clip.mp4",
        "/C:/Windows/win.ini",
        "C:\\Windows\\win.ini",
        "clip.mp4",
        "/proc/self/environ",
        "/dev/zero",
    ],
)
def test_a_path_that_leads_out_of_the_allowed_folders_is_refused(path: str, shelf: Path, folder: Path) -> None:
    head = "file://" if path.startswith(("/", "{", "server")) else "file:"
    url = head + path.format(shelf=shelf)
    assert refusal(url, MediaPolicy(folders=(str(shelf),)), folder) is Refusal.FOLDER


@pytest.mark.parametrize("name", ["pipe.mp4", "below", "socket.mp4", "loop.mp4"])
def test_what_is_no_regular_file_is_refused_without_being_opened(
    name: str, shelf: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(shelf)
        listener.bind("socket.mp4")
        assert refusal(f"file://{shelf}/{name}", MediaPolicy(folders=(str(shelf),)), folder) is Refusal.TYPE


def test_whether_a_file_outside_is_there_cannot_be_found_out(shelf: Path, folder: Path) -> None:
    messages = set[str]()
    for name in ("secret.mp4", "nothing.mp4", "data_evil", "data_evil/clip.mp4"):
        with pytest.raises(MediaRefused) as raised:
            bytes_shown(f"file://{shelf.parent}/{name}", MediaPolicy(folders=(str(shelf),)), folder)
        messages.add(str(raised.value))
    assert len(messages) == 1


def test_a_folder_that_is_reached_by_a_link_is_the_folder_it_leads_to(shelf: Path, folder: Path) -> None:
    link = shelf.parent / "link"
    link.symlink_to(shelf)
    assert bytes_shown(f"file://{link}/clip.mp4", MediaPolicy(folders=(str(link),)), folder) == CLIP


@pytest.mark.parametrize("allowed", ["/", "nowhere"])
def test_a_folder_that_is_not_there_or_is_the_whole_machine_cannot_be_allowed(allowed: str, tmp_path: Path) -> None:
    where = allowed if allowed == "/" else str(tmp_path / allowed)
    with pytest.raises(BadConfig, match="media folder"):
        MediaStore(MediaPolicy(folders=(where,)))


# archives


def _zip(of: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in of.items():
            archive.writestr(name, content)
    return file.getvalue()


def _tar(member: tarfile.TarInfo, content: bytes = b"") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _link(name: str, to: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, to
    return member


@pytest.mark.parametrize(
    "archive",
    [
        _zip({"clip.mp4": CLIP}),
        _zip({"../../clip.mp4": CLIP}),
        _zip({"/tmp/clip.mp4": CLIP}),
        _tar(_link("clip.mp4", "/etc/passwd")),
    ],
    ids=["zip", "zip with a member above", "zip with an absolute member", "tar with a link"],
)
def test_an_archive_sent_as_a_video_is_no_video_and_is_not_unpacked(archive: bytes, folder: Path) -> None:
    async def play() -> None:
        with MediaStore(MediaPolicy(), parent=folder) as store:
            url = f"data:video/mp4;base64,{base64.b64encode(archive).decode()}"
            async with store.bring([MediaPart(kind="video", url=url)]) as brought:
                assert isinstance(brought, Clip)
                with FrameSource(trusted=False) as source, pytest.raises(BadVideo):
                    source.info(brought.path)
                assert [path.name for path in folder.rglob("*.mp4")] == []
                assert sorted(path.name for path in folder.glob("*/*.*")) == sorted([".lock", Path(brought.path).name])

    asyncio.run(play())
