"""Measure a model with and without the tool, and draw right answers by sport. Needs pandas and matplotlib.

python examples/evaluate_and_plot.py clips/questions.jsonl accuracy.png
"""

import sys

import matplotlib

matplotlib.use("Agg")

import pandas as pd

import deepsport as ds

questions, picture = sys.argv[1:]
model = ds.load_model("nano")
agent = ds.evaluate(questions, model=model, system="may look again")
passive = ds.evaluate(questions, model=model, system="8 frames, no tool", protocol="passive")

answers = pd.concat([agent.to_pandas(), passive.to_pandas()])
print(answers.groupby("system", observed=True)[["accuracy", "n_frames", "wall_s"]].mean())
by_sport = answers.pivot_table(index="sport", columns="system", values="accuracy", observed=True).astype(float)
by_sport.plot.barh(xlabel="right answers, share").figure.savefig(picture, bbox_inches="tight")
