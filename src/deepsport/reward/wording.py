"""Text as plain words, so that case, punctuation and articles make no difference when answers are compared.

Numbers keep their sign and decimals ("-1.5" is one word, "2-1" is two), because those carry meaning in sport.
"""

import re
import unicodedata

_ARTICLES = frozenset({"a", "an", "the"})
_WORD = re.compile(r"(?:(?<![\w-])-)?\d+(?:[.,]\d+)*[^\W_]*|[^\W_]+")


def words(text: str) -> list[str]:
    """Lower-case words in order, articles included. Apostrophes close up: "isn't" is "isnt"."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("\N{MINUS SIGN}", "-")
    return _WORD.findall(re.sub(r"['’]", "", folded))


def plain(text: str) -> str:
    """The words parted by single blanks, articles left out unless there is nothing else."""
    found = words(text)
    return " ".join([word for word in found if word not in _ARTICLES] or found)
