"""Breaking real processes at random, under load, and counting afterwards.

Hub, nats-server, offices and desks run as their own processes, each office behind a cable of its own. A seeded
plan kills, freezes and cuts them while people are recorded; a supervisor starts again what died, as systemd would,
and nobody types a command. Then the files are compared: what the desks confirmed, what the offices hold, what the
hub logged.

    python -m surge.chaos --minutes 5 --rate 500 --nodes 4
"""
