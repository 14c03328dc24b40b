"""Trajectories in the layouts of other trainers.

conversation.py     an episode as its policy saw it: every message, every reply
line.py             the same as lines of a chat, in which every layout is written and read
frame_reference.py  a frame as a reference: video, index, time; never fetched
frame_files.py      frames as picture files, if a person asks for them
origin.py           what goes along with a row so that it can come back whole
chat_rows.py        rows of chat messages read: OpenAI, TRL and verl
openai_chat.py, trl.py, sharegpt.py, verl.py   one layout each
returning.py        lines of a chat -> episode
table.py            the table of formats
"""
