"""Long forms of three faults, each played once against real processes, in minutes: `python -m surge.trials`.

The tests play the same faults in seconds; what only a minute shows (leases that run out, connections that are
given up, a broker that is missed for so long that nobody waits for it any more) is shown here.
`docs/reference/cluster.md` has the figures of the last runs.
"""
