"""DeepSport: models that think with sports video.

The nouns are in `deepsport.records`, the episode loop in `deepsport.agent`, policies in `deepsport.policy`, frames in
`deepsport.video`. Nothing is imported here, so that `import deepsport` costs nothing.
"""

__version__ = "0.1.0"
