"""Distillation: from questions to trajectories that are worth learning from, in three steps, each of which goes on where it was.

facts.py, hints.py         step 1: what the annotation proves, and thoughts that give away that they were told
acting.py                  step 2: the teacher answers by acting in the real episode loop, several times a question
checks.py, judging.py      step 3: rules, then the judge: one judgement per trajectory
selection.py               the best of each question, in the canonical form, played back
cast.py, workers.py        who takes part, and how many at once
steps.py, distill.py       the steps, and a run of them
recipe.py, estimate.py     what a run can be told, and what it will cost
report.py, page.py         what was kept, and what was not, and why
"""
