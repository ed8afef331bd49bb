"""The sync protocol of both sides as state machines without I/O.

`sepe.sync.office` drives an office's outbox over whatever link there is; `sepe.sync.centre` judges what
reaches the hub. Messages and a clock reading go in, effects come out; the asyncio shells in `node.link` and
`hub.ingest`, and the simulator, perform the effects and record what happened.
"""
