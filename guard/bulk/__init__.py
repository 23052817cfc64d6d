"""Many files of exchanges judged into a folder of shards: in this process, or on a Ray cluster.

Lines are cut into units where their content says so (`unit`), a unit is judged by one worker (`work`, `scoring`) and
becomes one Parquet shard that is there whole or not at all (`shard`). A shard's name says what it holds, so a second
run does what has no shard yet. A line that cannot be judged stands in its shard with the reason.
"""
