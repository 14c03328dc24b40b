"""Replies of endpoints on disk, by the hash of the request: what was paid for once is never asked for again.

A reply is stored as the text that came, and read anew each time. One sqlite file: a reply is in it for good when `put` returns,
also through kill -9 (a power cut may cost the last few). The key of an account is no part of a request, and so never stored.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from deepsport.durable import disk_errors
from deepsport.errors import RunError

_TABLE = "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, body TEXT NOT NULL, usd REAL NOT NULL) WITHOUT ROWID"
_LOSSES = "CREATE TABLE IF NOT EXISTS losses (usd REAL NOT NULL)"
_KEEP = (
    "INSERT INTO replies VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body, usd = replies.usd + excluded.usd"
)
_SPENT = "SELECT (SELECT COALESCE(SUM(usd), 0) FROM replies) + (SELECT COALESCE(SUM(usd), 0) FROM losses)"

Row = tuple[str, str, float]
"""Key of a request, body of its reply, what it cost in US dollars."""


class Replies(Protocol):
    """Where replies are kept. Safe from any thread."""

    def get(self, key: str) -> str | None:
        """The body of the reply to a request, if it came before."""
        ...

    def put(self, rows: Sequence[Row]) -> None:
        """Keeps replies and what they cost. Raises RunError if the disk does not take them."""
        ...

    def pay(self, usd: float) -> None:
        """Keeps the cost of a request that brought no reply worth keeping."""
        ...


class ReplyCache:
    """Safe from any thread."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file. Raises RunError if it is not such a file or cannot be written."""
        self._path = path
        self._lock = threading.Lock()
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with self._errors():
            self._sql = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._sql.execute("PRAGMA journal_mode=WAL")
            self._sql.execute("PRAGMA synchronous=NORMAL")
            self._sql.execute(_TABLE)
            self._sql.execute(_LOSSES)

    def get(self, key: str) -> str | None:
        """The body of the reply to a request, if it came before."""
        with self._lock, self._errors():
            row = self._sql.execute("SELECT body FROM replies WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else None

    def put(self, rows: Sequence[Row]) -> None:
        """Keeps replies and what they cost; of two to one request the last, and the cost of both.

        Raises RunError if the disk does not take them all; it then has none of them."""
        with self._lock, self._errors():
            self._sql.execute("BEGIN")
            try:
                self._sql.executemany(_KEEP, rows)
                self._sql.execute("COMMIT")
            finally:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")

    def pay(self, usd: float) -> None:
        """Keeps the cost of a request that brought no reply worth keeping."""
        with self._lock, self._errors():
            self._sql.execute("INSERT INTO losses VALUES (?)", (usd,))

    def keys(self) -> set[str]:
        """Of every reply that is kept."""
        with self._lock, self._errors():
            return {str(row[0]) for row in self._sql.execute("SELECT key FROM replies")}

    def spent_usd(self) -> float:
        """What all requests together cost."""
        with self._lock, self._errors():
            return float(self._sql.execute(_SPENT).fetchone()[0])

    def close(self) -> None:
        """Closes the file."""
        with self._lock, self._errors():
            self._sql.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RunError(
                f"{self._path} cannot be used as a cache of replies ({error}). If the disk is not full, it is damaged or another "
                "kind of file: move it away, and every reply is asked for again."
            ) from None


class Keeper:
    """Puts replies into a cache without holding up the event loop. Those that come while a write is under way share the next one.
    Belongs to one loop."""

    def __init__(self, cache: Replies) -> None:
        self._cache = cache
        self._rows: list[Row] = []
        self._next: asyncio.Task[None] | None = None
        """Will write what is in `_rows`."""
        self._writing = asyncio.Lock()

    async def put(self, row: Row) -> None:
        """Returns when the reply is in the cache. Raises RunError. What has come this far is written even if nobody waits for it
        any more."""
        self._rows.append(row)
        self._next = self._next or asyncio.create_task(self._write())
        await asyncio.shield(self._next)

    async def _write(self) -> None:
        async with self._writing:
            rows, self._rows, self._next = self._rows, [], None
            await asyncio.to_thread(self._cache.put, rows)

    async def close(self) -> None:
        """Waits until all is written for which nobody waits any more: the cache may be closed then. That it cannot be written was
        told to whoever did wait."""
        with suppress(RunError):
            if self._next:
                await self._next
            async with self._writing:
                pass
