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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deepsport.policy.base import Image
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
    images: Sequence[Image]
    """Those among ids."""
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
    """Keys and values of B conversations side by side, each row filled from column 0 on; behind them there is room for more."""

    def __init__(self, layers: LayerCache, lengths_B: Tensor) -> None:
        self._layers = layers
        self.lengths_B = lengths_B
        self._columns = torch.empty(0)
        self._width = 0

    def expect(self, n_new: int) -> Tensor:
        """Makes room for `n_new` columns per row; returns the mask [B, 1, n_new, C]."""
        self._columns = self.lengths_B[:, None] + torch.arange(n_new, device=self.lengths_B.device)
        self._width = int(self._columns.max()) + 1
        self._reserve(len(self.lengths_B), self._width)
        keys = torch.arange(self._width, device=self.lengths_B.device)
        return (keys <= self._columns[:, :, None])[:, None]

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Writes new keys and values [B, H, n_new, head_dim] behind each row's own; returns the whole batch's."""
        rows = torch.arange(len(keys), device=keys.device)[:, None]
        for store, new in zip(self._layers[layer], (keys, values), strict=True):
            store[rows, :, self._columns] = new.transpose(1, 2)
        k, v = self._layers[layer]
        return k[: len(keys), :, : self._width], v[: len(keys), :, : self._width]

    def move(self, targets: Sequence[int], origins: Sequence[int], n_rows: int) -> None:
        """Copies rows to where they are wanted (a fork copies, a gap is filled), none onto one that is still to be copied; then
        the first `n_rows` are the batch."""
        self._reserve(n_rows, 0)
        device = self.lengths_B.device
        to, of = torch.tensor(targets, device=device, dtype=torch.long), torch.tensor(origins, device=device, dtype=torch.long)
        if len(to):
            n = int(self.lengths_B[of].max())
            for store in (each for pair in self._layers for each in pair):
                store[to, :, :n] = store[of, :, :n]
        lengths = self.lengths_B.new_zeros(max(n_rows, len(self.lengths_B)))
        lengths[: len(self.lengths_B)] = self.lengths_B
        lengths[to] = self.lengths_B[of]
        self.lengths_B = lengths[:n_rows]

    def join(self, other: "_BatchCache") -> None:
        """Adds the rows of another."""
        n, n_more, n_columns = len(self.lengths_B), len(other.lengths_B), int(other.lengths_B.max())
        self._reserve(n + n_more, n_columns)
        for pair, more in zip(self._layers, other._layers, strict=True):
            for store, new in zip(pair, more, strict=True):
                store[n : n + n_more, :, :n_columns] = new[:n_more, :, :n_columns]
        self.lengths_B = torch.cat([self.lengths_B, other.lengths_B])

    def row(self, index: int) -> LayerCache:
        """A copy of one conversation's cache."""
        n = int(self.lengths_B[index])
        return [(k[index, :, :n].clone(), v[index, :, :n].clone()) for k, v in self._layers]

    def _reserve(self, n_rows: int, n_columns: int) -> None:
        """Room for so many rows and columns, and for some more where there was not enough: it is not copied for every token."""
        rows, _, columns, _ = self._layers[0][0].shape
        if n_rows > rows or n_columns > columns:
            below, right = (
                (_roomy(n_rows, 8) - rows if n_rows > rows else 0),
                (_roomy(n_columns, 64) - columns if n_columns > columns else 0),
            )
            sides = (0, 0, 0, right, 0, 0, 0, below)
            self._layers = [(torch.nn.functional.pad(k, sides), torch.nn.functional.pad(v, sides)) for k, v in self._layers]


def _roomy(n: int, step: int) -> int:
    return math.ceil((n + 1) / step) * step


class Engine:
    """Samples replies for many conversations at once."""

    def __init__(
        self, backbone: Backbone, embed: Callable[[Sequence[Image]], list[Tensor]], end: int, max_batch: int = MAX_BATCH
    ) -> None:
        """`embed` gives the embeddings [visual tokens, K, D] of each of some images."""
        self._backbone = backbone
        self._embed = embed
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
        if self._cache is None:
            self._cache = cache
        else:
            self._cache.join(cache)
        self._pick(n_before, self._logprobs(rows, last_BD))

    def _prefill(self, rows: list[Request]) -> tuple[_BatchCache, Tensor]:
        """The cache of the rows with their new tokens, and the hidden state of each row's last one."""
        device, n_new = self._backbone.device, [len(r.ids) for r in rows]
        ids = torch.zeros(len(rows), max(n_new), dtype=torch.long)
        positions = torch.zeros(3, len(rows), max(n_new), dtype=torch.long)
        for i, r in enumerate(rows):
            ids[i, : n_new[i]] = torch.tensor(r.ids)
            positions[:, i, : n_new[i]] = r.positions
        images = [image for r in rows for image in r.images]
        features = torch.cat(self._embed(images)) if images else None
        cache = self._gather(rows)
        mask = cache.expect(max(n_new))
        if not any(r.n_cached for r in rows):
            mask = None
        hidden = self._backbone.hidden(ids.to(device), features, positions.to(device), mask, cache)
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
        """Makes these the active rows, `origin` saying which row of the cache each goes on from. The first to go on from a row
        stays where it is, so that only forks are copied and gaps filled from behind."""
        if self._cache is None or not rows:
            self._active, self._cache = rows, None
            return
        stays = {of: number for number, of in reversed(list(enumerate(origin))) if of < len(rows)}
        moves = [number for number, of in enumerate(origin) if stays.get(of) != number]
        targets = [place for place in range(len(rows)) if place not in stays]
        self._cache.move(targets, [origin[number] for number in moves], len(rows))
        placed = stays | dict(zip(targets, moves, strict=True))
        self._active = [rows[placed[place]] for place in range(len(rows))]

    @torch.inference_mode()
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
