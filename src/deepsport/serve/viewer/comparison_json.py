"""Two sets side by side, as the page of a comparison gets it."""

from typing import Any

from deepsport.serve.viewer.catalogue import EpisodeSet
from deepsport.serve.viewer.comparison import FLIPS, Pairs, Wanted, counts_of, facets_of, keys_of, mean_of, pair_up, pick
from deepsport.serve.viewer.episode_json import row_json
from deepsport.serve.viewer.episode_table import View, spelt
from deepsport.serve.viewer.neighbours import beside, places_of

Json = dict[str, Any]


def compare_json(left: EpisodeSet, right: EpisodeSet, wanted: Wanted, *, key: str, offset: int, limit: int) -> Json:
    """Figures over all pairs, and some of the pairs. `key`: that pair alone, wanted or not, and what stands beside it."""
    view_l, view_r = left.index.view(), right.index.view()
    pairs = pair_up(view_l, view_r)
    chosen, keys_P = pick(pairs, view_l, view_r, wanted), keys_of(pairs, view_l)
    listed = places_of(keys_P, key) if key else chosen[offset : offset + limit].tolist()
    rows = [_row(left, right, view_l, view_r, pairs, place) for place in listed]
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
        "rows": [{"key": spelt(int(keys_P[place])), **row} for place, row in zip(listed, rows, strict=True) if row],
        **(beside(keys_P[chosen], key) if key else {}),
    }


def _row(left: EpisodeSet, right: EpisodeSet, view_l: View, view_r: View, pairs: Pairs, place: int) -> Json | None:
    """None for a pair of which a record is gone."""
    found_l = left.index.again(view_l, int(pairs.left_P[place]))
    found_r = right.index.again(view_r, int(pairs.right_P[place]))
    if found_l is None or found_r is None:
        return None
    question = found_l.entry.episode.question
    return {
        "question_id": question.id,
        "text": question.text,
        "sport": question.sport,
        "dimension": question.dimension,
        "flip": FLIPS[int(pairs.flips_P[place])],
        "left": row_json(left, found_l),
        "right": row_json(right, found_r),
    }
