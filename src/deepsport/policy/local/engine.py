"""Batched decoding: replies asked for at the same time are decoded together, and each token is computed once.

Every conversation keeps its own key-value cache, so a tool result prefills only its new tokens. Conversations that are alike so
far (a GRPO group at its start, and for as long as its members draw the same words) are one row, whose cache is forked where they
part: what is decoded is the prefix tree, not its leaves. Finished replies leave the batch at the next step. On a GPU the next
tokens are drawn there too, and as many conversations are taken in at once as their caches have memory for.
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

from deepsport.errors import PolicyError
from deepsport.policy.base import Image
from deepsport.policy.local.backbone import Backbone, head_dim
from deepsport.policy.local.batch_cache import BatchCache, LayerCache

MAX_BATCH = 64
"""Replies sampled at once."""

MAX_BATCH_ON_GPU = 256
"""There a pass costs much the same however many rows it has, and memory is the bound."""

CACHE_SHARE = 0.4
"""Of the GPU memory that is free when sampling begins, for the batch; conversations between two turns need as much at most."""

MOST_PREFILLED = 16_384
"""Tokens, padding included, in one pass of prefilling: bounds what is held beside the cache."""

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
    """Emptied when it has gone into the batch, so that it is not held twice."""
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


class Engine:
    """Samples replies for many conversations at once."""

    def __init__(
        self, backbone: Backbone, embed: Callable[[Sequence[Image]], list[Tensor]], end: int, max_batch: int | None = None
    ) -> None:
        """`embed` gives the embeddings [visual tokens, K, D] of each of some images."""
        on_gpu = backbone.device.type == "cuda"
        self._backbone = backbone
        self._embed = embed
        self._end = end
        self._max_batch = max_batch or (MAX_BATCH_ON_GPU if on_gpu else MAX_BATCH)
        self._most_cells = 0 if on_gpu else math.inf
        """Rows times columns of the batch's cache; on a GPU known once sampling begins."""
        self._waiting: list[Request] = []
        self._active: list[Row] = []
        """In the order of the cache's rows."""
        self._cache: BatchCache | None = None
        self._task: asyncio.Task[None] | None = None

    async def sample(self, request: Request) -> Sampled:
        """Decodes one reply together with whatever else is asked for."""
        self._waiting.append(request)
        self._waiting.sort(key=lambda waiting: not waiting.n_cached)  # who goes on holds a cache meanwhile, who begins does not
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
        fit = self._n_fit()
        return fit > 0 and fit * 3 >= min(self._n_active, self._max_batch - self._n_active)

    def _n_fit(self) -> int:
        """How many of those who wait there is room for, in rows and, on a GPU, in its memory; one always fits an empty batch."""
        room = self._max_batch - self._n_active
        if self._most_cells == math.inf:
            return min(len(self._waiting), room)
        n_columns = max((_columns_of(request) for row in self._active for request in row), default=0)
        for n_more, request in enumerate(self._waiting[:room]):
            n_columns, n_rows = max(n_columns, _columns_of(request)), self._n_active + n_more + 1
            if n_rows > 1 and n_rows * n_columns > self._cells():
                return n_more
        return min(len(self._waiting), room)

    async def _linger(self) -> None:
        known = -1
        while known < len(self._waiting) < self._max_batch:
            known = len(self._waiting)
            await asyncio.sleep(_LINGER_S)

    def _take(self) -> list[Request]:
        fit = self._n_fit()
        newcomers, self._waiting = self._waiting[:fit], self._waiting[fit:]
        return [request for request in newcomers if not request.future.cancelled()]

    def _cells(self) -> float:
        """Most rows times columns. What the allocator holds without using it counts as free."""
        if not self._most_cells:
            free = torch.cuda.mem_get_info(self._backbone.device)[0]
            free += torch.cuda.memory_reserved(self._backbone.device) - torch.cuda.memory_allocated(self._backbone.device)
            self._most_cells = CACHE_SHARE * free / self._backbone.cache_bytes
        return self._most_cells

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
        last: list[Tensor] = []
        for leads in _passes([row[0] for row in rows]):
            cache, last_BD = self._prefill(leads)
            last.append(last_BD)
            if self._cache is None:
                self._cache = cache
            else:
                self._cache.join(cache)
            for request in (member for lead in leads for member in alike[lead.key, lead.temperature]):
                if request.cache:
                    request.cache.clear()
        self._pick(n_before, self._logprobs(rows, torch.cat(last)))

    def _prefill(self, rows: list[Request]) -> tuple[BatchCache, Tensor]:
        """The cache of the rows with their new tokens, and the hidden state of each row's last one."""
        device, n_new = self._backbone.device, [len(r.ids) for r in rows]
        ids = torch.zeros(len(rows), max(n_new), dtype=torch.long)
        positions = torch.zeros(3, len(rows), max(n_new), dtype=torch.long)
        for i, r in enumerate(rows):
            ids[i, : n_new[i]] = torch.tensor(r.ids)
            positions[:, i, : n_new[i]] = r.positions
        images = [image for r in rows for image in r.images]
        features = torch.cat(self._embed(images)) if images else None
        cache = self._kept(rows)
        mask = cache.expect(max(n_new))
        if not any(r.n_cached for r in rows):
            mask = None
        hidden = self._backbone.hidden(ids.to(device), features, positions.to(device), mask, cache)
        new = torch.tensor(n_new)
        cache.lengths_B = cache.lengths_B + new
        return cache, hidden[torch.arange(len(rows), device=device), (new - 1).to(device)]

    def _kept(self, rows: list[Request]) -> BatchCache:
        """What the rows bring with them, and room for their new tokens."""
        if any(r.n_cached and not r.cache for r in rows):
            raise PolicyError("the cache of this conversation is gone: an earlier reply of it failed. Begin a new conversation.")
        config, backbone = self._backbone.text_config, self._backbone
        n_columns = max(r.n_cached for r in rows) + max(len(r.ids) for r in rows)
        shape = (2, len(rows), config.num_key_value_heads, n_columns, head_dim(config))
        stores = [torch.zeros(shape, dtype=backbone.dtype, device=backbone.device) for _ in range(config.num_hidden_layers)]
        for i, r in enumerate(rows):
            for (k, v), (own_k, own_v) in zip(stores, r.cache or [], strict=False):
                k[i, :, : r.n_cached], v[i, :, : r.n_cached] = own_k, own_v
        return BatchCache([(k, v) for k, v in stores], torch.tensor([r.n_cached for r in rows]))

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
        return self._backbone.logprobs(hidden_BD, temperature)

    def _pick(self, first: int, logprobs_BV: Tensor) -> None:
        """Draws a token for every request of the rows from `first` on; rows whose members drew differently part."""
        requests = [(row, request) for row, members in enumerate(self._active[first:]) for request in members]
        of = torch.tensor([row for row, _ in requests], device=logprobs_BV.device)
        drawn, logprobs = _draw(logprobs_BV, of, [request for _, request in requests])
        kept: list[Row] = self._active[:first]
        origin = list(range(first))
        parts: dict[tuple[int, int], Row] = {}
        for (row, request), token, logprob in zip(requests, drawn, logprobs, strict=True):
            request.sampled.append(token)
            request.logprobs.append(logprob)
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
                n_cached = int(self._cache.lengths_B[index])
                sampled = Sampled(request.sampled, request.logprobs, cut_off, list(cache), n_cached)
                request.future.set_result(sampled)
        left = [[request for request in row if not _is_over(request)] for row in self._active]
        origin = [index for index, row in enumerate(left) if row]
        self._keep([left[index] for index in origin], origin)

    def _give_up(self, error: BaseException) -> None:
        for request in [*self._waiting, *(request for row in self._active for request in row)]:
            if not request.future.done():
                request.future.set_exception(error)
        self._waiting, self._active, self._cache = [], [], None


def _draw(logprobs_BV: Tensor, of: Tensor, requests: list[Request]) -> tuple[list[int], list[float]]:
    """One token for each request from the row it is of, and its log-probability; its own random numbers make it independent of
    its neighbours."""
    tokens = logprobs_BV.argmax(-1)[of]
    if any(request.temperature for request in requests):
        # in double precision: sums that a GPU makes in parallel would else now and then rise at a token of probability 0
        cumulative = logprobs_BV.exp().cumsum(-1, dtype=torch.float64)[of]
        total = cumulative[:, -1:]
        numbers = [[request.draw.random() if request.temperature else 0.0] for request in requests]
        uniform = torch.tensor(numbers, dtype=torch.float64, device=total.device) * total
        below = torch.minimum(uniform, total.nextafter(torch.zeros_like(total)))  # rounded up to the total, it would hit no token
        drawn = torch.searchsorted(cumulative, below, right=True)[:, 0]
        greedy = torch.tensor([request.temperature == 0 for request in requests], device=drawn.device)
        tokens = torch.where(greedy, tokens, drawn)
    return tokens.tolist(), logprobs_BV[of, tokens].tolist()


def _passes(rows: list[Request]) -> list[list[Request]]:
    """Rows in order, cut into sets that are prefilled at once."""
    passes: list[list[Request]] = []
    longest = 0
    for request in rows:
        longest = max(longest, len(request.ids))
        if not passes or (len(passes[-1]) + 1) * longest > MOST_PREFILLED:
            passes.append([])
            longest = len(request.ids)
        passes[-1].append(request)
    return passes


def _columns_of(request: Request) -> int:
    """Of the cache, when its reply is as long as it may be."""
    return request.n_cached + len(request.ids) + request.max_tokens


def _is_over(request: Request) -> bool:
    return request.done or request.future.cancelled()
