"""ShuttleSet's Traditional Chinese terms in English: stroke types by family, and the reasons why a rally is over.

Names of strokes are those of ShuttleSet's own English table (https://github.com/wywyWang/CoachAI-Projects). A reason is given
twice in a row, as the loser's and as the winner's; both must come to the same.
"""

from collections.abc import Mapping

UNKNOWN_STROKE = "未知球種"
"""What annotators wrote where the stroke is not to be seen."""

SERVICES: Mapping[str, str] = {"發短球": "short service", "發長球": "long service"}

FROM_THE_BACK: Mapping[str, str] = {
    "長球": "clear",
    "殺球": "smash",
    "點扣": "wrist smash",
    "切球": "drop",
    "過渡切球": "passive drop",
    "過度切球": "passive drop",
    "後場抽平球": "back-court drive",
}
AT_THE_NET: Mapping[str, str] = {
    "放小球": "net shot",
    "小球": "net shot",
    "網前球": "net shot",
    "勾球": "cross-court net shot",
    "推球": "push",
    "撲球": "rush",
    "挑球": "lob",
}
IN_DEFENCE: Mapping[str, str] = {
    "擋小球": "return net",
    "防守回挑": "defensive return lob",
    "防守回抽": "defensive return drive",
    "平球": "drive",
    "小平球": "driven flight",
}

STROKES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    term: (name, tuple(dict.fromkeys(family.values())))
    for family in (SERVICES, FROM_THE_BACK, AT_THE_NET, IN_DEFENCE)
    for term, name in family.items()
}
"""The name of each stroke type, with what it could be taken for."""

OUT = "the last stroke goes out of court"
NET = "the last stroke goes into the net"
SHORT = "the last stroke does not reach the net"
WINNER = "the last stroke lands in court and is not returned"

REASONS: Mapping[str, str] = {
    "出界": OUT,
    "對手出界": OUT,
    "掛網": NET,
    "對手掛網": NET,
    "未過網": SHORT,
    "對手未過網": SHORT,
    "落地致勝": WINNER,
    "對手落地致勝": WINNER,
    "落點判斷失誤": WINNER,
    "對手落點判斷失誤": WINNER,
}
"""A shuttle that is let drop by misjudgement is also one that lands and is not returned."""

ENDINGS = (OUT, NET, SHORT, WINNER)
