"""Trajectories in the layouts of other trainers.

conversation.py     an episode as its policy saw it: every message, every reply; rules.py: by which rules
line.py             the same as lines of a chat, in which every layout is written and read
frame_reference.py  a frame as a reference: video, index, time; never fetched
frame_files.py      frames as picture files, if a person asks for them
video_names.py, content.py                     what a video is called, and its hash
origin.py           what goes along with a row so that it can come back whole
openai_chat.py, trl.py, sharegpt.py, verl.py   one layout each, listed in table.py; chat_rows.py reads three
returning.py        lines of a chat -> episode; restoring.py: of a whole file; writing.py: into another one
"""
