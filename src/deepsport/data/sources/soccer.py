"""What the three soccer sources share: the event classes with their spellings, and how they are asked about.

The classes are the 24 of UniSoccer with the few that only its classifier or SoccerNet knows. Wrong options come from the same
family, and families are cut so that two of one family are seldom both right: a foul and its free kick are in different ones.
"""

from collections.abc import Collection, Mapping

from deepsport.data.asking import Asker
from deepsport.data.source import Drops
from deepsport.records import Question, Window

SPORT = "soccer"

ATTEMPTS = ("a goal", "an own goal", "a save by the goalkeeper", "a shot off target", "a missed penalty")
RESTARTS = ("a corner kick", "a free kick", "a throw-in", "a penalty kick", "a kick-off")
CALLS = (
    "a foul without a card",
    "a foul that leads to a penalty",
    "a yellow card",
    "a second yellow card",
    "a red card",
    "an offside",
)
BREAKS = ("a substitution", "an injury", "a video review", "the announcement of added time", "the end of a half")
PLAY = (
    "a clearance",
    "a ball put out for a corner",
    "a ball out of play",
    "a team keeping possession",
)
FAMILIES = (ATTEMPTS, RESTARTS, CALLS, BREAKS, PLAY)

CARDS = ("a yellow card", "a second yellow card", "a red card", "a substitution", "an injury")
STOPS = ("a foul", "an offside", "a ball out of play", "a clearance")
SOCCERNET_FAMILIES = (ATTEMPTS, RESTARTS, CARDS, STOPS)
"""SoccerNet's fouls may be followed by a card or not. An event is in one family of a source only, or its options give it away."""

Families = tuple[tuple[str, ...], ...]

EVENTS: Mapping[str, str] = {
    "ball out of play": "a ball out of play",
    "ball possession": "a team keeping possession",
    "clearance": "a clearance",
    "corner": "a corner kick",
    "direct free-kick": "a free kick",
    "end of game(half)": "the end of a half",
    "end of half game": "the end of a half",
    "foul": "a foul",
    "foul (no card)": "a foul without a card",
    "foul lead to penalty": "a foul that leads to a penalty",
    "foul with no card": "a foul without a card",
    "free kick": "a free kick",
    "goal": "a goal",
    "indirect free-kick": "a free kick",
    "injury": "an injury",
    "kick-off": "a kick-off",
    "lead to corner": "a ball put out for a corner",
    "off side": "an offside",
    "off-side": "an offside",
    "offside": "an offside",
    "own goal": "an own goal",
    "penalty": "a penalty kick",
    "penalty missed": "a missed penalty",
    "penalty-missed": "a missed penalty",
    "r-card": "a red card",
    "red card": "a red card",
    "saved by goal-keeper": "a save by the goalkeeper",
    "second yellow card": "a second yellow card",
    "shot off target": "a shot off target",
    "shots off target": "a shot off target",
    "show added time": "the announcement of added time",
    "soccer-ball": "a goal",
    "soccer-ball-own": "an own goal",
    "start of game(half)": "a kick-off",
    "start of half game": "a kick-off",
    "substitution": "a substitution",
    "throw in": "a throw-in",
    "throw-in": "a throw-in",
    "var": "a video review",
    "y-card": "a yellow card",
    "yellow card": "a yellow card",
    "yellow->red card": "a second yellow card",
    "yr-card": "a second yellow card",
}
"""Every spelling, in lower case."""

UNSEEN = frozenset({"attendance", "funfact", "statistics and summary", "time"})
"""Classes of comments on nothing that is shown; what SoccerNet calls "time" is said of added time, and dated anywhere."""

NO_EVENT = UNSEEN | {"shots on target", "whistle"}
"""Classes that do not say what happens: a shot on target may be a goal, a whistle may be any stop or start."""

_WHICH = (
    "What mainly happens {when}?",
    "Which of these events is shown {when}?",
    "Name the main event {when}.",
)
_COMMENT = (
    "Comment on what happens {when}, as a live commentator would. Leave out names.",
    "Give one or two sentences of live commentary on what happens {when}, without names.",
    "What would a commentator say about the action {when}? Name nobody.",
)


def which_event(
    asker: Asker,
    topic: str,
    label: str,
    when: str,
    drops: Drops,
    *,
    window: Window | None = None,
    also: Collection[str] = (),
    families: Families = FAMILIES,
) -> Question | None:
    """The question which event it is; `also` happens at that time too, and is no wrong option. Dropped if the label is none."""
    event = event_of(label)
    alike = next((family for family in families if event in family), None)
    if event is None or alike is None:
        reason = "a class that is no event" if label.strip().lower() in NO_EVENT else "an unknown class"
        drops.add(reason, f"{asker.record}: {label}")
        return None
    family = [other for other in alike if other not in also or other == event]
    if len(family) < 2:
        drops.add("an event that nothing else could be taken for", f"{asker.record}: {label}")
        return None
    return asker.choice(topic, _WHICH, event, family, window=window, words={"when": when})


def event_of(label: str) -> str | None:
    """The event that a label of any of the sources stands for."""
    return EVENTS.get(label.strip().lower())


def commentary(asker: Asker, topic: str, comment: str, when: str, window: Window | None = None) -> Question:
    """The request for a live comment."""
    return asker.free(topic, _COMMENT, comment, window=window, words={"when": when})
