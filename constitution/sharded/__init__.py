"""The row machine on many processes or machines, by Ray Data.

plan.py        what every worker is told
parcel.py      a run of prompts that one worker takes, and what came of it
reader.py      the input, read once in its order on the driver's node and cut into parcels
worker.py      an actor: models, gate and loop opened once, several parcels at work at a time
work.py        one parcel worked through: its own row store while it lasts, one Parquet shard at its end
parcel_store.py  that store, which also knows at which row a worker died
shards.py      the finished rows of a folder
leftovers.py   what an earlier run left unfinished: finished rows are put into shards, finished calls are found again
board.py       an actor on the driver's node: what the folder may take, the budget, who is given up
drive.py       what draws the parcels through the workers, on the driver
state.py       how far all are: what workers and reader tell the board, and what it tells the driver
meter.py       a meter whose budget is lent by the board

In the output folder: `rows/*.parquet`, the shards; `work/NAME/rows.sqlite`, the stores of parcels at work.
"""
