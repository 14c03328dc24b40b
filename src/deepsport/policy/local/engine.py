"""Batched decoding: replies asked for at the same time are decoded together, and each token is computed once.

Every conversation keeps its own key-value cache, so a tool result prefills only its new tokens. Conversations that are alike so
far (a GRPO group at its start, and for as long as its members draw the same words) are one row, whose cache is forked where they
part: what is decoded is the prefix tree, not its leaves. Finished replies leave the batch at the next step.
One asyncio task runs while there is work and ends when there is none; callers wait for their own reply only.
B rows, L new columns, C cached columns, H heads, V vocabulary.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deepsport.policy.local.backbone import Backbone, head_dim

LayerCache = list[tuple[Tensor, Tensor]]
"""Per layer keys and values [H, C, head_dim] of one conversation."""

MAX_BATCH = 64
"""Replies sampled at once."""

_LINGER_S = 0.004
"""Newcomers are waited for this long, so that a group is prefilled together."""


@dataclass(slots=True, eq=False)
class Request:
    """One reply to sample."""

    ids: Sequence[int]
    """[n] tokens not yet in the cache; at least one."""
    positions: Tensor
    """[3, n]."""
    features: Tensor | None
    """[visual tokens among ids, K, D]."""
    key: tuple[object, ...]
    """Equal keys mean equal ids and frames, those in the cache included: such requests begin as one row."""
    cache: LayerCache | None
    n_cached: int
    temperature: float
    max_tokens: int
    draw: random.Random
    future: "asyncio.Future[Sampled]"
    sampled: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    done: bool = False


Row = list[Request]
"""Requests whose conversations are alike so far."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A finished reply. The last sampled token is not yet in the cache."""

    ids: list[int]
    logprobs: list[float]
    cut_off: bool
    cache: LayerCache
    n_cached: int


class _BatchCache:
    """Keys and values of B conversations side by side, each row filled from column 0 on."""

    def __init__(self, layers: LayerCache, lengths_B: Tensor) -> None:
        self.layers = layers
        self.lengths_B = lengths_B
        self._columns = torch.empty(0)

    def expect(self, n_new: int) -> Tensor:
        """Makes room for `n_new` columns per row; returns the mask [B, 1, n_new, C]."""
        self._columns = self.lengths_B[:, None] + torch.arange(n_new, device=self.lengths_B.device)
        self._grow(int(self._columns.max()) + 1)
        keys = torch.arange(self.layers[0][0].shape[2], device=self.lengths_B.device)
        return (keys <= self._columns[:, :, None])[:, None]

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Writes new keys and values [B, H, n_new, head_dim] behind each row's own; returns the whole batch's."""
        rows = torch.arange(len(keys), device=keys.device)[:, None]
        for store, new in zip(self.layers[layer], (keys, values), strict=True):
            store[rows, :, self._columns] = new.transpose(1, 2)
        return self.layers[layer]

    def _grow(self, n_columns: int) -> None:
        capacity = self.layers[0][0].shape[2]
        if n_columns > capacity:
            extra = _roomy(n_columns) - capacity
            self.layers = [
                (torch.nn.functional.pad(k, (0, 0, 0, extra)), torch.nn.functional.pad(v, (0, 0, 0, extra)))
                for k, v in self.layers
            ]

    def select(self, rows: Tensor) -> "_BatchCache":
        """The given rows, in order; a row may come more than once (a fork)."""
        lengths = self.lengths_B[rows]
        used = _roomy(int(lengths.max()))
        return _BatchCache([(k[rows, :, :used], v[rows, :, :used]) for k, v in self.layers], lengths)

    def join(self, other: "_BatchCache") -> "_BatchCache":
        """The rows of both."""
        width = max(self.layers[0][0].shape[2], other.layers[0][0].shape[2])

        def widen(t: Tensor) -> Tensor:
            return torch.nn.functional.pad(t, (0, 0, 0, width - t.shape[2]))

        pairs = zip(self.layers, other.layers, strict=True)
        layers = [(torch.cat([widen(k), widen(k2)]), torch.cat([widen(v), widen(v2)])) for (k, v), (k2, v2) in pairs]
        return _BatchCache(layers, torch.cat([self.lengths_B, other.lengths_B]))

    def row(self, index: int) -> LayerCache:
        """A copy of one conversation's cache."""
        n = int(self.lengths_B[index])
        return [(k[index, :, :n].clone(), v[index, :, :n].clone()) for k, v in self.layers]


def _roomy(n_columns: int) -> int:
    """A capacity with room for some more columns, so that a cache is not copied for every token."""
    return math.ceil((n_columns + 1) / 64) * 64


class Engine:
    """Samples replies for many conversations at once."""

    def __init__(self, backbone: Backbone, end: int, max_batch: int = MAX_BATCH) -> None:
        self._backbone = backbone
        self._end = end
        self._max_batch = max_batch
        self._waiting: list[Request] = []
        self._active: list[Row] = []
        """In the order of the cache's rows."""
        self._cache: _BatchCache | None = None
        self._task: asyncio.Task[None] | None = None

    async def sample(self, request: Request) -> Sampled:
        """Decodes one reply together with whatever else is asked for."""
        self._waiting.append(request)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await request.future

    async def _run(self) -> None:
        try:
            while self._waiting or self._active:
                if self._should_admit():
                    await self._linger()
                    self._admit(self._take())
                else:
                    self._decode()
                self._retire()
                await asyncio.sleep(0)
        except BaseException as error:
            self._give_up(error)
            raise

    @property
    def _n_active(self) -> int:
        return sum(map(len, self._active))

    def _should_admit(self) -> bool:
        """Newcomers wait until they are worth interrupting the batch for."""
        room = self._max_batch - self._n_active
        return room > 0 and len(self._waiting) * 3 >= min(self._n_active, room) and bool(self._waiting)

    async def _linger(self) -> None:
        known = -1
        while known < len(self._waiting) < self._max_batch:
            known = len(self._waiting)
            await asyncio.sleep(_LINGER_S)

    def _take(self) -> list[Request]:
        room = self._max_batch - self._n_active
        newcomers, self._waiting = self._waiting[:room], self._waiting[room:]
        return [request for request in newcomers if not request.future.cancelled()]

    @torch.inference_mode()
    def _admit(self, newcomers: list[Request]) -> None:
        """Prefills each distinct conversation among the newcomers once, and joins it to the batch."""
        if not newcomers:
            return
        alike: dict[tuple[object, ...], Row] = {}
        for request in newcomers:
            alike.setdefault((request.key, request.temperature), []).append(request)
        rows, n_before = list(alike.values()), len(self._active)
        self._active += rows  # from here on a failure reaches their callers
        cache, last_BD = self._prefill([row[0] for row in rows])
        self._cache = cache if self._cache is None else self._cache.join(cache)
        self._pick(n_before, self._logprobs(rows, last_BD))

    def _prefill(self, rows: list[Request]) -> tuple[_BatchCache, Tensor]:
        """The cache of the rows with their new tokens, and the hidden state of each row's last one."""
        device, n_new = self._backbone.device, [len(r.ids) for r in rows]
        ids = torch.zeros(len(rows), max(n_new), dtype=torch.long)
        positions = torch.zeros(3, len(rows), max(n_new), dtype=torch.long)
        for i, r in enumerate(rows):
            ids[i, : n_new[i]] = torch.tensor(r.ids)
            positions[:, i, : n_new[i]] = r.positions
        features = [r.features for r in rows if r.features is not None]
        cache = self._gather(rows)
        mask = cache.expect(max(n_new))
        hidden = self._backbone.hidden(
            ids.to(device), torch.cat(features) if features else None, positions.to(device), mask, cache
        )
        new = torch.tensor(n_new, device=device)
        cache.lengths_B = cache.lengths_B + new
        return cache, hidden[torch.arange(len(rows), device=device), new - 1]

    def _gather(self, rows: list[Request]) -> _BatchCache:
        config, device = self._backbone.text_config, self._backbone.device
        lengths = [r.n_cached for r in rows]
        shape = (len(rows), config.num_key_value_heads, max(lengths), head_dim(config))
        dtype = next(self._backbone.model.parameters()).dtype
        layers = [
            (torch.zeros(shape, device=device, dtype=dtype), torch.zeros(shape, device=device, dtype=dtype))
            for _ in range(config.num_hidden_layers)
        ]
        for i, r in enumerate(rows):
            for (k, v), (own_k, own_v) in zip(layers, r.cache or [], strict=False):
                k[i, :, : r.n_cached], v[i, :, : r.n_cached] = own_k, own_v
        return _BatchCache(layers, torch.tensor(lengths, device=device))

    @torch.inference_mode()
    def _decode(self) -> None:
        """One token for every active row."""
        assert self._cache is not None
        device, leads = self._backbone.device, [row[0] for row in self._active]
        ids = torch.tensor([[r.sampled[-1]] for r in leads], device=device)
        positions = torch.tensor([int(r.positions[0, -1]) + len(r.sampled) for r in leads], device=device)
        mask = self._cache.expect(1)
        hidden = self._backbone.hidden(ids, None, positions.expand(3, -1)[..., None], mask, self._cache)
        self._cache.lengths_B = self._cache.lengths_B + 1
        self._pick(0, self._logprobs(self._active, hidden[:, 0]))

    def _logprobs(self, rows: list[Row], hidden_BD: Tensor) -> Tensor:
        temperature = torch.tensor([[row[0].temperature or 1.0] for row in rows], device=hidden_BD.device)
        return self._backbone.logprobs(hidden_BD, temperature).cpu()

    def _pick(self, first: int, logprobs_BV: Tensor) -> None:
        """Draws a token for every request of the rows from `first` on; rows whose members drew differently part."""
        requests = [(row, request) for row, members in enumerate(self._active[first:]) for request in members]
        of = torch.tensor([row for row, _ in requests])
        drawn = _draw(logprobs_BV, of, [request for _, request in requests])
        kept: list[Row] = self._active[:first]
        origin = list(range(first))
        parts: dict[tuple[int, int], Row] = {}
        for (row, request), token in zip(requests, drawn, strict=True):
            request.sampled.append(token)
            request.logprobs.append(float(logprobs_BV[row, token]))
            request.done = token == self._end or len(request.sampled) >= request.max_tokens
            parts.setdefault((row, token), []).append(request)
        for (row, _), members in parts.items():
            origin.append(first + row)
            kept.append(members)
        self._keep(kept, origin)

    def _keep(self, rows: list[Row], origin: Sequence[int]) -> None:
        """Makes these the active rows; `origin` says which row of the cache each goes on from."""
        if self._cache is not None and list(origin) != list(range(len(self._active))):
            self._cache = self._cache.select(torch.tensor(origin, device=self._backbone.device)) if rows else None
        self._active = rows

    def _retire(self) -> None:
        """Hands finished replies back and drops those that nobody waits for any more."""
        if self._cache is None or not any(_is_over(request) for row in self._active for request in row):
            return
        for index, row in enumerate(self._active):
            over = [request for request in row if request.done and not request.future.done()]
            cache = self._cache.row(index) if over else []
            for request in over:
                cut_off = request.sampled[-1] != self._end
                sampled = Sampled(request.sampled, request.logprobs, cut_off, cache, int(self._cache.lengths_B[index]))
                request.future.set_result(sampled)
        left = [[request for request in row if not _is_over(request)] for row in self._active]
        origin = [index for index, row in enumerate(left) if row]
        self._keep([left[index] for index in origin], origin)

    def _give_up(self, error: BaseException) -> None:
        for request in [*self._waiting, *(request for row in self._active for request in row)]:
            if not request.future.done():
                request.future.set_exception(error)
        self._waiting, self._active, self._cache = [], [], None


def _draw(logprobs_BV: Tensor, of: Tensor, requests: list[Request]) -> list[int]:
    """One token for each request from the row it is of; its own random numbers make it independent of its neighbours."""
    greedy = logprobs_BV.argmax(-1)[of].tolist()
    if all(request.temperature == 0 for request in requests):
        return greedy
    cumulative = logprobs_BV.exp().cumsum(-1)[of]
    total = cumulative[:, -1:]
    uniform = torch.tensor([[request.draw.random()] for request in requests]) * total
    below = torch.minimum(uniform, total.nextafter(torch.zeros_like(total)))  # rounded up to the total, it would hit no token
    drawn = torch.searchsorted(cumulative, below, right=True)[:, 0].tolist()
    return [greedy[i] if request.temperature == 0 else drawn[i] for i, request in enumerate(requests)]


def _is_over(request: Request) -> bool:
    return request.done or request.future.cancelled()
