"""Who may talk to a server, tried over the ASGI interface: requests as a browser or a program sends them."""

import asyncio
import json
from typing import Any

import pytest

from deepsport.errors import BadConfig
from deepsport.serve import guard as guard_module
from deepsport.serve.guard import PAGE_HEADERS, Guard, names_of, require_bindable

KEY = 'a key; with "odd" characters, é'
OWN = {"x-deepsport": "1"}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body and says how long it was."""
    n_bytes, more = 0, True
    while more:
        message = await receive()
        n_bytes += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-security-policy", b"none of ours")]})
    await send({"type": "http.response.body", "body": str(n_bytes).encode()})


async def app_that_excuses_itself(scope: Any, receive: Any, send: Any) -> None:
    """As a framework does that takes a body which breaks off for a bad one."""
    try:
        await app(scope, receive, send)
    except Exception:  # noqa: BLE001 (what a framework does)
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": b"bad body"})


def ask(
    guard: Guard,
    method: str = "GET",
    path: str = "/",
    *,
    query: str = "",
    chunks: tuple[bytes, ...] = (b"",),
    host: str = "localhost:8000",
    **headers: str,
) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the answer; `_` in a header's name stands for `-`."""
    sent: list[dict[str, Any]] = []
    parts: list[Any] = [
        {"type": "http.request", "body": chunk, "more_body": n < len(chunks)} for n, chunk in enumerate(chunks, start=1)
    ]

    async def receive() -> dict[str, Any]:
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    named = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode("utf-8")) for name, value in named.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw}
    asyncio.run(guard(scope, receive, send))
    given = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], given, b"".join(message.get("body", b"") for message in sent[1:]).decode()


def page_guard(**settings: Any) -> Guard:
    return Guard(**{"app": app, "names": names_of("127.0.0.1"), "headers": PAGE_HEADERS, "own_page_only": True, **settings})


def keyed(**settings: Any) -> Guard:
    return page_guard(key=KEY, cookie="seen", open_paths=frozenset({"/health"}), **settings)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000"])
def test_a_server_answers_to_its_own_names(host: str) -> None:
    assert ask(page_guard(), host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8000", "127.0.0.1.evil.example", "", "[::1", "192.168.1.7"]
)
def test_a_name_that_a_stranger_lets_point_here_is_refused(host: str) -> None:
    status, headers, body = ask(page_guard(), host=host)
    assert status == 421
    assert json.loads(body)["error"]["type"] == "unknown_host"
    assert "content-security-policy" in headers


def test_every_answer_carries_our_headers_and_the_apps_own_do_not_undo_them() -> None:
    headers = ask(page_guard())[1]
    assert {name: headers[name] for name in PAGE_HEADERS} == PAGE_HEADERS
    assert "'unsafe" not in headers["content-security-policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**OWN, "origin": "http://evil.example"},
        {**OWN, "origin": "null"},
        {**OWN, "origin": "http://localhost:9999"},
        {**OWN, "sec_fetch_site": "cross-site"},
        {**OWN, "sec_fetch_site": "same-site"},
        {"origin": "http://localhost:8000", "sec_fetch_site": "same-origin"},
    ],
)
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_a_foreign_page_changes_nothing(method: str, headers: dict[str, str]) -> None:
    assert ask(page_guard(), method, **headers)[0] == 403


@pytest.mark.parametrize("headers", [OWN, {**OWN, "origin": "http://localhost:8000", "sec_fetch_site": "same-origin"}])
def test_our_own_page_and_a_program_may_change_things(headers: dict[str, str]) -> None:
    assert ask(page_guard(), "PUT", **headers)[0] == 200


@pytest.mark.parametrize(
    "given", [{}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {KEY}"}, {"cookie": "seen=x"}]
)
def test_without_the_key_nothing_is_answered_but_the_open_paths(given: dict[str, str]) -> None:
    status, headers, body = ask(keyed(), **given)
    assert status == 401
    assert headers["www-authenticate"] == "Bearer"
    assert KEY not in body
    assert ask(keyed(), path="/health", **given)[0] == 200


def test_the_key_opens() -> None:
    plain = Guard(app=app, names=names_of("127.0.0.1"), key="abc")
    assert ask(plain, authorization="Bearer abc")[0] == 200
    assert ask(plain, authorization="bearer abc")[0] == 200
    assert ask(keyed(), authorization=f"Bearer {KEY}")[0] == 200
    assert ask(plain, query="key=abc")[0] == 401, "a key in an address ends in logs; only a page may be opened so"


def test_a_browser_turns_the_key_in_its_address_into_a_cookie_that_is_not_the_key() -> None:
    guard = page_guard(key="abc", cookie="seen")
    status, headers, _ = ask(guard, query="key=abc")
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "abc" not in cookie.split(";")[0].partition("=")[2]
    assert ask(guard, cookie=cookie.split(";")[0])[0] == 200
    assert ask(guard, path="/api/runs", query="key=abc")[0] == 401
    assert ask(guard, query="key=abd")[0] == 401


@pytest.mark.parametrize("served", [app, app_that_excuses_itself])
@pytest.mark.parametrize("announced", [{}, {"content_length": "3"}, {"content_length": "99"}])
def test_a_body_over_the_limit_is_refused_whatever_length_it_announced(announced: dict[str, str], served: Any) -> None:
    guard = Guard(app=served, names=names_of("127.0.0.1"), max_body_bytes=10)
    assert ask(guard, "POST", chunks=(b"x" * 6, b"x" * 6), **announced)[0] == 413
    assert ask(guard, "POST", chunks=(b"x" * 5, b"x" * 5))[2] == "10"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.5", "example.org"])
def test_nobody_else_is_let_in_without_a_key(host: str) -> None:
    with pytest.raises(BadConfig, match="no key is set"):
        require_bindable(host, None, "Export KEY")
    require_bindable(host, "abc", "Export KEY")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_this_machine_needs_no_key(host: str) -> None:
    require_bindable(host, None, "Export KEY")


def test_a_server_on_all_addresses_takes_any_name_and_still_wants_its_key() -> None:
    guard = Guard(app=app, names=names_of("0.0.0.0"), key="abc")
    assert ask(guard, host="box.lan:8000", authorization="Bearer abc")[0] == 200
    assert ask(guard, host="box.lan:8000")[0] == 401


def test_a_client_that_is_refused_may_finish_what_it_is_sending() -> None:
    async def whole(refused: Guard) -> list[str]:
        happened: list[str] = []
        parts = [{"type": "http.request", "body": b"x" * 9, "more_body": more} for more in (True, True, False)]

        async def receive() -> Any:
            happened.append("read")
            return parts.pop(0)

        async def send(message: Any) -> None:
            happened.append(message["type"])

        head = [(b"host", b"evil.example")]
        await refused({"type": "http", "method": "PUT", "path": "/", "query_string": b"", "headers": head}, receive, send)
        return happened

    assert asyncio.run(whole(page_guard())) == ["read"] * 3 + ["http.response.start", "http.response.body"]


def test_one_that_sends_without_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "READ_AWAY_S", 0.05)

    async def receive() -> Any:
        await asyncio.sleep(0.001)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    statuses: list[Any] = []
    head = [(b"host", b"evil.example")]
    scope = {"type": "http", "method": "PUT", "path": "/", "query_string": b"", "headers": head}
    asyncio.run(page_guard()(scope, receive, send))
    assert statuses[0] == 421
