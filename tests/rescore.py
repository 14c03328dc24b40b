"""The figures of a benchmark run once more, from its raw records and by nothing of the package: `python rescore.py RUN`.

Only the standard library, and only JSON and TOML that anybody could read. Answers are scored as the documents say
(docs/reward.md), for the wording that the arena's policies use. Two things are not done again: intervals, whose coverage is
simulated instead, and BLEU and chrF, which are another package's.
"""

import json
import re
import sys
import tomllib
import zlib
from collections import Counter
from pathlib import Path
from statistics import fmean, median

FAULTS = ("policy_error", "video_error")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
WORDS = {word: n for n, word in enumerate(DIGITS)}
NEAR = 1e-3


def main(run: Path) -> dict:
    """What the report says of the run: figures as they are in report.json, and as they are printed."""
    config = tomllib.loads((run / "config.toml").read_text())
    episodes = lines(run / "episodes.jsonl")
    verdicts = {line["episode_id"]: line["verdict"] for line in lines(run / "verdicts.jsonl")}
    rows = [row(episode, verdicts.get(episode["id"]), config) for episode in episodes]
    figures = measure(rows)
    return {"figures": figures, "printed": printed(figures)}


def lines(path: Path) -> list:
    return [json.loads(line) for line in path.read_text().split("\n") if line] if path.exists() else []


# One answer


def row(e: dict, verdict: dict | None, config: dict) -> dict:
    q, turns = e["question"], e["turns"]
    gold, event, easy = q["gold"], q["window"], q["easy"]
    answer = e["answer"] if e["stop"] == "answered" else None
    lost = e["stop"] in FAULTS
    windows = [t["call"]["window"] for t in turns if t["call"] and t["call"]["window"]]
    shown = [f["time_s"] for f in e["first_frames"]] + [f["time_s"] for t in turns for f in t["frames"]]
    sought = bool(event) and not easy
    right = None if lost else right_by(gold, answer, verdict)
    seen = any(within(time, event) for time in shown) if event else False
    looked = any(t["call"] and t["frames"] for t in turns)
    price = config.get("endpoint", {})
    tokens = e["usage"]["prompt_tokens"], e["usage"]["reply_tokens"]
    seeds = [zlib.crc32(f"{config['seed'] + r}/{q['id']}".encode()) & 0x7FFFFFFF for r in range(config["runs"])]
    return {
        "id": q["id"], "video": q["video"], "sport": q["sport"], "dimension": q["dimension"], "kind": gold["kind"],
        "ease": "easy" if easy else "needs_look", "easy": easy, "stop": e["stop"], "lost": lost, "right": right,
        "run": seeds.index(e["seed"]), "gold": gold, "answer": answer, "chance": chance(gold), "n_turns": len(turns),
        "points": verdict and verdict["points"], "valid": sum(t["answer"] is not None or bool(t["frames"]) for t in turns),
        "calls": sum(t["call"] is not None for t in turns), "redundant": redundant(e), "frames": len(shown),
        "hit": any(w["start_s"] <= event["end_s"] + NEAR and event["start_s"] <= w["end_s"] + NEAR for w in windows)
        if sought else None,
        "seen": seen if sought else None, "seen_at": seen_at(e) if sought else None,
        "iou": max([iou(w, event) for w in windows], default=0.0) if sought else None,
        "offset": offset(windows, event) if sought else None, "prompt": tokens[0], "reply": tokens[1],
        "usd": (tokens[0] * price.get("prompt_usd", 0) + tokens[1] * price.get("reply_usd", 0)) / 1e6,
        "failure": failure(right, e["stop"], easy or seen, bool(e["turns"]) and any(t["call"] for t in turns), event),
        "reward": reward(right, answer, looked, lost), "formed": answer is not None,
    }  # fmt: skip


def right_by(gold: dict, answer: str | None, verdict: dict | None) -> float | None:
    """By the kind of the right answer; a judge is heard where free text has no facts and is not the reference."""
    if answer is None or not answer.strip():
        return 0.0
    if gold["kind"] == "choice":
        options = [plain(option) for option in gold["options"]]
        return float(named(options, answer) == {options.index(plain(gold["answer"]))})
    if gold["kind"] == "number":
        value = number(answer)
        off = abs(value - gold["answer"]) if value is not None else float("inf")
        return 1.0 if off <= gold["tolerance"] else 0.5 if off <= 2 * gold["tolerance"] else 0.0
    if gold["facts"]:
        every = {plain(option) for fact in gold["facts"] for option in fact["options"]}
        said = standing_in(every, answer)
        facts = [said & set(map(plain, fact["options"])) == {plain(fact["answer"])} for fact in gold["facts"]]
        return sum(facts) / len(facts)
    if plain(answer) == plain(gold["answer"]):
        return 1.0
    return None if verdict is None or verdict["points"] is None else verdict["points"] / 10


def plain(text: str) -> str:
    found = re.findall(r"-?\d+(?:\.\d+)?|[a-z]+", text.lower().replace("'", ""))
    return " ".join([word for word in found if word not in ("a", "an", "the")] or found)


def named(options: list[str], answer: str) -> set[int]:
    """By a letter alone, else by words."""
    letter = re.fullmatch(r"\W*(?:[Tt]he answer is )?\(?([A-Z])\)?\W*", answer)
    if letter:
        return {ord(letter[1]) - ord("A")} & set(range(len(options)))
    return {options.index(option) for option in standing_in(set(options), answer)}


def standing_in(phrases: set[str], answer: str) -> set[str]:
    """Phrases in an answer; what a longer one covers does not count again."""
    text, found = f" {plain(answer)} ", set()
    for phrase in sorted(phrases, key=len, reverse=True):
        if f" {phrase} " in text:
            found.add(phrase)
            text = text.replace(f" {phrase} ", " # ")
    return found


def number(text: str) -> float | None:
    digits = set(map(float, re.findall(r"\d+(?:\.\d+)?", text)))
    found = digits or {float(WORDS[word]) for word in re.findall(r"[a-z]+", text.lower()) if word in WORDS}
    return found.pop() if len(found) == 1 else None


def chance(gold: dict) -> float:
    if gold["kind"] == "choice":
        return 1 / len(gold["options"])
    return fmean(1 / len(fact["options"]) for fact in gold["facts"]) if gold.get("facts") else 0.0


def within(time: float, event: dict) -> bool:
    return event["start_s"] - NEAR <= time <= event["end_s"] + NEAR


def redundant(e: dict) -> int:
    """Calls that brought frames and taught nothing."""
    event, easy = e["question"]["window"], e["question"]["easy"]
    before, n = {(f["video"], f["index"]): f["time_s"] for f in e["first_frames"]}, 0
    for turn in e["turns"]:
        if not turn["call"] or not turn["frames"]:
            continue
        new = {(f["video"], f["index"]): f["time_s"] for f in turn["frames"] if (f["video"], f["index"]) not in before}
        was_seen = bool(event) and any(within(time, event) for time in before.values())
        more = bool(event) and any(within(time, event) for time in new.values())
        n += easy or not new or (was_seen and not more)
        before |= new
    return n


def seen_at(e: dict) -> int | None:
    shown = [e["first_frames"], *(turn["frames"] for turn in e["turns"])]
    return next((n for n, frames in enumerate(shown) if any(within(f["time_s"], e["question"]["window"]) for f in frames)), None)


def iou(w: dict, event: dict) -> float:
    joint = max(w["end_s"], event["end_s"]) - min(w["start_s"], event["start_s"])
    shared = min(w["end_s"], event["end_s"]) - max(w["start_s"], event["start_s"])
    return max(0.0, shared) / joint if joint else 1.0


def offset(windows: list[dict], event: dict) -> float | None:
    centre = (event["start_s"] + event["end_s"]) / 2
    ranked = [(-iou(w, event), abs((w["start_s"] + w["end_s"]) / 2 - centre)) for w in windows]
    return min(ranked)[1] if ranked else None


def failure(right: float | None, stop: str, seen: bool, called: bool, event: dict | None) -> str | None:
    if right is None or right >= 0.5:
        return None
    if stop != "answered":
        return "other"
    return "visual_hallucination" if seen else "tool_grounding" if called and event else "other"


def reward(right: float | None, answer: str | None, looked: bool, lost: bool) -> float | None:
    if right is None or lost:
        return None
    if answer is None:
        return -0.05
    return right + (0 if not looked else 0.5 * right if right >= 0.5 else 0.03)


# All of them


def mean(values) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def score(rows) -> float | None:
    value = mean(r["right"] for r in rows)
    return None if value is None else 100 * value


def parts(rows: list[dict], key: str) -> dict:
    names = sorted({r[key] for r in rows if r[key]})
    groups = {name: [r for r in rows if r[key] == name] for name in names}
    return {name: (score(of), sum(r["right"] is not None for r in of)) for name, of in groups.items()}


def share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def measure(rows: list[dict]) -> dict:
    """By the names of report.json."""
    sound, scored = [r for r in rows if not r["lost"]], [r for r in rows if r["right"] is not None]
    right = sum(r["right"] for r in scored)
    cells = {(r["sport"], r["dimension"]) for r in scored if r["sport"] and r["dimension"]}
    by_cell = {cell: score([r for r in scored if (r["sport"], r["dimension"]) == cell]) for cell in cells}

    def total(key: str) -> float:
        return sum(r[key] for r in sound)

    def per_right(*keys: str) -> float | None:
        return share(sum(r[key] for r in scored for key in keys), right)

    def per_question(key: str) -> float | None:
        return mean(r[key] for r in sound)

    offsets = [r["offset"] for r in sound if r["offset"] is not None]
    runs = sorted({r["run"] for r in rows})
    return {
        "score": score(rows), "macro": mean(by_cell.values()), "chance": 100 * fmean(r["chance"] for r in scored),
        "n_questions": len({r["id"] for r in rows}), "n_videos": len({r["video"] for r in rows}),
        "unscored": len(rows) - len(scored), "n_runs": len(runs),
        "score_by_run": [score([r for r in rows if r["run"] == run]) for run in runs],
        "stop_reasons": dict(Counter(r["stop"] for r in rows)),
        "failures": dict(Counter(r["failure"] for r in rows if r["failure"])),
        "valid_action_rate": share(total("valid"), total("n_turns")), "tool_calls_per_question": per_question("calls"),
        "grounding_hit_rate": per_question("hit"), "event_seen_rate": per_question("seen"), "temporal_iou": per_question("iou"),
        "offset_s": median(offsets) if offsets else None, "over_call_rate": mean(r["calls"] > 0 for r in sound if r["easy"]),
        "redundant_call_rate": share(total("redundant"), total("calls")), "frames_per_question": per_question("frames"),
        "prompt_tokens_per_question": per_question("prompt"), "reply_tokens_per_question": per_question("reply"),
        "frames_per_right": per_right("frames"), "tokens_per_right": per_right("prompt", "reply"),
        "usd_per_question": per_question("usd"), "usd_per_right": per_right("usd"),
        "reward": mean(r["reward"] for r in rows), "well_formed": mean(r["formed"] for r in scored),
        "by_sport": parts(rows, "sport"), "by_dimension": parts(rows, "dimension"), "by_answer": parts(rows, "kind"),
        "by_ease": parts(rows, "ease"), "turns": [at_turn(sound, n) for n in range(max(r["n_turns"] for r in rows) + 1)],
        "numbers": numbers(scored), "texts": texts(rows),
    }  # fmt: skip


def at_turn(sound: list[dict], n: int) -> dict:
    known = mean(r["right"] * (r["n_turns"] <= n) for r in sound if r["right"] is not None)
    return {
        "n_open": sum(r["n_turns"] > n for r in sound),
        "answered": mean(r["answer"] is not None and r["n_turns"] <= n for r in sound),
        "score": None if known is None else 100 * known,
        "seen": mean(r["seen_at"] is not None and r["seen_at"] <= n for r in sound if r["seen"] is not None),
    }


def numbers(scored: list[dict]) -> dict:
    found = {}
    for r in (r for r in scored if r["kind"] == "number"):
        found.setdefault(f"{r['sport'] or 'any sport'}: {r['gold']['unit'] or 'number'}", []).append(r)
    return {name: of_numbers(of) for name, of in sorted(found.items())}


def of_numbers(of: list[dict]) -> dict:
    pairs = [(number(r["answer"]), r["gold"]["answer"]) for r in of if r["answer"] and number(r["answer"]) is not None]
    return {
        "n": len(of),
        "n_read": len(pairs),
        "mean_absolute_error": mean(abs(a - b) for a, b in pairs),
        "mean_relative_error": mean(abs(a - b) / abs(b) for a, b in pairs if b),
        "rank_correlation": spearman(pairs),
    }


def spearman(pairs: list[tuple]) -> float | None:
    """Of mean ranks, by sums written out."""
    sides = [[sum(y < x for y in side) + (sum(y == x for y in side) + 1) / 2 for x in side] for side in zip(*pairs, strict=True)]
    if len(pairs) < 3 or any(len(set(side)) == 1 for side in sides):
        return None
    (a, b), middle = sides, (len(pairs) + 1) / 2
    apart = [sum((x - middle) * (y - middle) for x, y in zip(p, q, strict=True)) for p, q in ((a, b), (a, a), (b, b))]
    return apart[0] / (apart[1] * apart[2]) ** 0.5


def texts(rows: list[dict]) -> dict | None:
    said = [r for r in rows if r["kind"] == "text" and r["answer"] is not None]
    if not said:
        return None
    points = [r["points"] for r in said if r["points"] is not None]
    words = [[re.findall("[a-z0-9]+", text.lower()) for text in (r["answer"], r["gold"]["answer"])] for r in said]
    silent, rouge_l = sum(r["right"] is None for r in said), 100 * fmean(overlap(*pair) for pair in words)
    return {"n": len(said), "n_judged": len(points), "n_without_verdict": silent, "points": mean(points), "rouge_l": rouge_l}


def overlap(a: list[str], b: list[str]) -> float:
    """F1 of the longest common subsequence, by the whole table."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return 2 * table[-1][-1] / (len(a) + len(b)) if a or b else 0.0


# In print

STOPS = {
    "answered": "answered", "format_error": "a turn out of form", "max_turns": "out of turns", "max_tokens": "reply too long",
    "context_overflow": "context too small", "policy_error": "lost: model not reached", "video_error": "lost: video not read",
}  # fmt: skip
FAILURES = {
    "tool_grounding": "looked in the wrong place",
    "visual_hallucination": "saw it and misread it",
    "other": "no look, no answer, or nobody knows",
}

PARTS = {
    "By sport": "by_sport",
    "By dimension": "by_dimension",
    "By kind of answer": "by_answer",
    "With and without need to look": "by_ease",
}


def printed(f: dict) -> dict[str, dict[str, str]]:
    """Group, then row, then the figure as printed; what there is no figure for is not printed."""
    one, two, whole = "{:.1f}".format, "{:.2f}".format, "{:,.0f}".format

    def percent(x: float) -> str:
        return f"{100 * x:.0f}\xa0%"

    def dollars(x: float) -> str:
        return f"${x:,.2f}" if x >= 0.1 or x == 0 else f"${x:.3g}"

    def counts(names: dict, of: dict, *, all_of_them: bool) -> dict:
        total = sum(of.values())
        kept = {said: of.get(name, 0) for name, said in names.items() if all_of_them or name in of}
        return {said: f"{n} ({percent(n / total)})" for said, n in kept.items()}

    table = {
        "Score": [("Score", one, f["score"]), ("Macro average", one, f["macro"]), ("Guessing", one, f["chance"]),
                  ("Questions", whole, f["n_questions"]), ("Videos", whole, f["n_videos"]), ("Not scored", whole, f["unscored"])],
        "Looking": [("Valid actions", percent, f["valid_action_rate"]), ("Tool calls", two, f["tool_calls_per_question"]),
                    ("Window on the event", percent, f["grounding_hit_rate"]), ("Event seen", percent, f["event_seen_rate"]),
                    ("Temporal IoU", two, f["temporal_iou"]), ("Seconds beside the event", two, f["offset_s"]),
                    ("Looked without need", percent, f["over_call_rate"]),
                    ("Calls that taught nothing", percent, f["redundant_call_rate"]), ("Reward", two, f["reward"])],
        "Cost": [("Frames shown", one, f["frames_per_question"]), ("Prompt tokens", whole, f["prompt_tokens_per_question"]),
                 ("Reply tokens", whole, f["reply_tokens_per_question"]), ("Cost", dollars, f["usd_per_question"]),
                 ("Frames per right answer", one, f["frames_per_right"]),
                 ("Tokens per right answer", whole, f["tokens_per_right"]),
                 ("Cost per right answer", dollars, f["usd_per_right"])],
        **{title: [(name.replace("_", " "), one, part[0]) for name, part in f[key].items()] for title, key in PARTS.items()},
        "Learning from each turn": [(f"{said}: {f'turn {n}' if n else 'opening'}", say, at[key])
                                    for said, key, say in (("Score so far", "score", one),
                                                           ("Answered so far", "answered", percent),
                                                           ("Event seen so far", "seen", percent))
                                    for n, at in enumerate(f["turns"])],
        "Numbers": [(f"{unit.replace('_', ' ')}, {said}", say, of[key]) for unit, of in f["numbers"].items()
                    for said, key, say in (("relative error", "mean_relative_error", percent),
                                           ("absolute error", "mean_absolute_error", two),
                                           ("rank correlation", "rank_correlation", two),
                                           ("answers with a number", "n_read", whole))],
        "Free answers": [(said, say, (f["texts"] or {}).get(key)) for said, key, say in (
            ("Free answers", "n", whole), ("Scored by a judge", "n_judged", whole), ("ROUGE-L", "rouge_l", one),
            ("Without a verdict", "n_without_verdict", whole), ("Points of the judge", "points", one))],
    }  # fmt: skip
    made = {group: {label: say(x) for label, say, x in said if x is not None} for group, said in table.items()}
    made["Why answers were wrong"] = counts(FAILURES, f["failures"], all_of_them=True)
    made["How episodes ended"] = counts(STOPS, f["stop_reasons"], all_of_them=False)
    if f["n_runs"] > 1:
        by_run = f["score_by_run"]
        made["Runs"] = {f"Run {n}": one(x) for n, x in enumerate(by_run, start=1)}
        made["Runs"]["Best less worst"] = one(max(by_run) - min(by_run))
    return {group: said for group, said in made.items() if said}


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1])), sys.stdout)
