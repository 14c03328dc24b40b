"""One dataset: Parquet shards, a manifest with their hashes, a generated card, split by match and checked for leaks.

making.py, gathering.py          files of questions in, a dataset out, in passes over the files
traces.py, near_equal.py         what a question shares with others: match, video, looks, wording
groups.py, split.py, leak.py     what stays together, who goes where, and whether anything is on both sides
folder.py, shards.py, columns.py written whole or not at all, read with every hash compared
manifest.py, tally.py, card.py   what is in it
publish.py                       what of it may be passed on
"""
