"""The Python API as pages: which public name stands where, and directives that mkdocstrings turns into signatures and texts.

A name is shown once: records and the pieces of the loop have pages of their own, and are linked.
"""

import deepsport

ELSEWHERE = {
    "deepsport.records": "records.md",
    "deepsport.policy.base": "loop.md",
    "deepsport.video.source": "loop.md",
    "deepsport.agent.prompt": "loop.md",
}
"""Modules whose names are shown on another page."""

LOOP = (
    "deepsport.agent.rollout.run_episode",
    "deepsport.agent.rollout.Limits",
    "deepsport.agent.prompt.PromptStyle",
    "deepsport.policy.base.Policy",
    "deepsport.policy.base.Session",
    "deepsport.policy.base.Message",
    "deepsport.policy.base.Image",
    "deepsport.policy.base.Sampling",
    "deepsport.policy.base.Reply",
    "deepsport.video.source.FrameSource",
    "deepsport.video.source.Shown",
    "deepsport.video.probe.VideoInfo",
    "deepsport.reward.gated.GatedReward",
)
"""What a policy, a reward or a loop of one's own is made with."""


def home_of(name: str) -> str:
    """The module of a public name."""
    return deepsport._MODULE_OF[name]


def api_page() -> str:
    """Functions first, then what they take and give."""
    own = [name for name in deepsport.__all__ if home_of(name) not in ELSEWHERE]
    shown = sorted(own, key=lambda name: (not name[0].islower(), "errors" in home_of(name)))
    return "\n\n".join([_index(), *(_directive(f"{home_of(name)}.{name}") for name in shown)])


def loop_page() -> str:
    """The pieces of the loop."""
    return "\n\n".join(map(_directive, LOOP))


def _index() -> str:
    """Every public name, as a link."""
    groups: dict[str, list[str]] = {"Functions": [], "Types": [], "Errors": []}
    for name in sorted(deepsport.__all__):
        groups["Errors" if "errors" in home_of(name) else "Functions" if name[0].islower() else "Types"].append(name)
    return "\n\n".join(
        f"**{title}:** " + ", ".join(f"[`{name}`]({_link(name)})" for name in names) for title, names in groups.items()
    )


def _link(name: str) -> str:
    page = ELSEWHERE.get(home_of(name), "")
    module = "deepsport.video.probe" if name == "VideoInfo" else home_of(name)
    return f"{page}#{module}.{name}"


def _directive(path: str) -> str:
    return f"::: {path}"
