"""Ask many questions at once: the model answers the replies that are due together in one batch.

python examples/many_questions_at_once.py clips/questions.jsonl
"""

import asyncio
import sys
from pathlib import Path

import deepsport as ds
from deepsport.bench.tasks import load_questions


async def main(path: Path) -> None:
    """Asks them all and prints the answers beside the right ones."""
    questions = load_questions(path)
    model = ds.load_model("nano")
    episodes = await asyncio.gather(*(ds.ask_async(q.video, q.text, model=model, sport=q.sport) for q in questions))
    for question, episode in zip(questions, episodes, strict=True):
        right = question.gold.answer if question.gold else "nobody knows"
        print(f"{question.id}: {episode.answer} (right: {right})")


asyncio.run(main(Path(sys.argv[1])))
