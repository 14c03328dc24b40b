"""Ask one question about one video, and follow how it is thought through.

python examples/ask_a_video.py clip.mp4 "How was the goal scored?" header volley overhead
"""

import sys

import deepsport as ds

video, question, *options = sys.argv[1:]
episode = ds.ask(video, question, options=options)  # model="Qwen/Qwen2.5-VL-7B-Instruct", or endpoint="http://localhost:8000/v1"
for number, turn in enumerate(episode.turns, start=1):
    print(f"{number}. {turn.thought}")
    if turn.call:
        print(f"   looks at frames {turn.call.start_index} to {turn.call.end_index}, and is shown {len(turn.frames)}")
print(f"answer: {episode.answer} ({episode.stop})")
