"""The episode, the frame tool and the reward inside verl 0.9.1: verl trains and generates, and we play.

`agent_loop` and `frame_tool` are what verl loads by name, and the only files that import it. The rest is ours and needs no verl.
"""
