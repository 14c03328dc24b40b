"""Two sets side by side, as the page of a comparison gets it."""

from typing import Any

import numpy as np

from deepsport.serve.viewer.catalogue import EpisodeSet
from deepsport.serve.viewer.pairs import FLIPS, Pairs, Wanted, counts_of, facets_of, mean_of, pair_up, pick
from deepsport.serve.viewer.shown import row_json
from deepsport.serve.viewer.table import View, spelt

Json = dict[str, Any]


def compare_json(left: EpisodeSet, right: EpisodeSet, wanted: Wanted, *, key: str, offset: int, limit: int) -> Json:
    """Figures over all pairs, and some of the pairs. `key`: only the pair of that question."""
    view_l, view_r = left.index.view(), right.index.view()
    pairs = pair_up(view_l, view_r)
    chosen = pick(pairs, view_l, view_r, wanted)
    if key:
        chosen = np.flatnonzero([_key(view_l, row) == key for row in pairs.left_P.tolist()])
    return {
        "n_both": len(pairs.left_P),
        "n_only_left": pairs.n_only_left,
        "n_only_right": pairs.n_only_right,
        "n_differ": pairs.n_differ,
        "n_found": len(chosen),
        "counts": counts_of(pairs),
        "left": {"name": left.name, "score": mean_of(view_l.rows_F["accuracy"][pairs.left_P])},
        "right": {"name": right.name, "score": mean_of(view_r.rows_F["accuracy"][pairs.right_P])},
        "facets": facets_of(pairs, view_l),
        "rows": [
            row
            for place in chosen[offset : offset + limit].tolist()
            if (row := _row(left, right, view_l, view_r, pairs, place)) is not None
        ],
    }


def _row(left: EpisodeSet, right: EpisodeSet, view_l: View, view_r: View, pairs: Pairs, place: int) -> Json | None:
    row_l, row_r = int(pairs.left_P[place]), int(pairs.right_P[place])
    found_l, found_r = left.index.at([row_l]), right.index.at([row_r])
    if not (found_l and found_r):
        return None
    question = found_l[0].entry.episode.question
    return {
        "key": _key(view_l, row_l),
        "question_id": question.id,
        "text": question.text,
        "sport": question.sport,
        "dimension": question.dimension,
        "flip": FLIPS[int(pairs.flips_P[place])],
        "left": row_json(left, view_l, found_l[0]),
        "right": row_json(right, view_r, found_r[0]),
    }


def _key(view: View, row: int) -> str:
    """Of the question and the run."""
    one = view.rows_F[row]
    return spelt((int(one["question"]) + int(one["run"])) & (2**64 - 1))
