"""Keys and values of the conversations that are decoded together, side by side in one store per layer.

Rows fork, join and leave, and columns are added, without the store's being copied for every token. B rows, C cached columns, H
heads.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch is only partly typed)

import math
from collections.abc import Sequence

import torch
from torch import Tensor

LayerCache = list[tuple[Tensor, Tensor]]
"""Per layer keys and values [H, C, head_dim] of one conversation."""


class BatchCache:
    """Keys and values of B conversations side by side, each row filled from column 0 on; behind them there is room for more.

    Lengths are kept on the host: nothing here waits for the device."""

    def __init__(self, layers: LayerCache, lengths_B: Tensor) -> None:
        self._layers = layers
        self.lengths_B = lengths_B
        self._device = layers[0][0].device
        self._columns = torch.empty(0)
        self._width = 0

    def expect(self, n_new: int) -> Tensor:
        """Makes room for `n_new` columns per row; returns the mask [B, 1, n_new, C]."""
        columns = self.lengths_B[:, None] + torch.arange(n_new)
        self._width = int(columns.max()) + 1
        self._reserve(len(self.lengths_B), self._width)
        self._columns = columns.to(self._device)
        return (torch.arange(self._width, device=self._device) <= self._columns[:, :, None])[:, None]

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
        to, of = torch.tensor(targets, dtype=torch.long), torch.tensor(origins, dtype=torch.long)
        if len(to):
            n = int(self.lengths_B[of].max())
            there, here = to.to(self._device), of.to(self._device)
            for store in (each for pair in self._layers for each in pair):
                store[there, :, :n] = store[here, :, :n]
        lengths = self.lengths_B.new_zeros(max(n_rows, len(self.lengths_B)))
        lengths[: len(self.lengths_B)] = self.lengths_B
        lengths[to] = self.lengths_B[of]
        self.lengths_B = lengths[:n_rows]

    def join(self, other: "BatchCache") -> None:
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
        """Room for so many rows and columns, and for some more where there was not enough: it is not copied for every token. Rows
        that nobody is in any more are given up then."""
        rows, _, columns, _ = self._layers[0][0].shape
        if n_rows <= rows and n_columns <= columns:
            return
        below = _roomy(max(n_rows, len(self.lengths_B)), 8) - rows
        right = _roomy(n_columns, 64) - columns if n_columns > columns else 0
        for layer, (k, v) in enumerate(self._layers):  # one by one: never the whole cache twice
            sides = (0, 0, 0, right, 0, 0, 0, below)
            self._layers[layer] = (torch.nn.functional.pad(k, sides), torch.nn.functional.pad(v, sides))


def _roomy(n: int, step: int) -> int:
    return math.ceil((n + 1) / step) * step
