"""Where batch work runs: in this process, or as shards on a Ray cluster.

A shard is lines of JSON in, lines of JSON out. It is cut from the inputs alone and writes nothing that anybody else reads:
it may be run again at any time, and the one who started the work keeps what comes back, and holds the run.
"""
