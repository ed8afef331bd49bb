"""Keeping a running hub's doors as the database and the certificates say: who may come in, with what proof.

Enrolling, revoking and renewing are commands in other processes as often as calls to this one, so this one looks.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from hub.broker import Broker
from hub.broker_access import BrokerAccess, Sender
from hub.merge import registry
from hub.merge.store import HubStore
from hub.tls import HubTls
from sepe.errors import SepeError
from sepe_io.logs import logger
from sepe_io.sqlite import translated

LOOK_EVERY_S = 2.0
# Between two reloads of the broker: a roll-out enrols hundreds of machines an hour.
PAUSE_S = 0.5
RENEW_EVERY_S = 3_600.0

_log = logger("hub.gate")


class Gate:
    """Tells the broker of other senders or another certificate, and renews the certificate in time.

    Args:
        broker: the embedded one; ``None`` for an outside NATS, whose users its operator keeps.
    """

    def __init__(self, store: HubStore, tls: HubTls, broker: Broker | None) -> None:
        self._store = store
        self._tls = tls
        self._broker = broker
        self._changed = asyncio.Event()
        self._certificate = b""

    def access(self) -> BrokerAccess:
        """Who may send now, read by a connection of its own: any thread may call it.

        Raises:
            SepeError: the database or the certificate cannot be read.
        """
        return BrokerAccess(
            self._tls.server_file, self._store.signer.public_key, self._senders(), self._tls.ca_file
        )

    def look(self) -> None:
        """Look now."""
        self._changed.set()

    async def run(self) -> None:
        """Look and tell until cancelled."""
        renew_at = time.monotonic()
        self._certificate = self._tls.pair()[1]
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._changed.wait()
            self._changed.clear()
            try:
                if time.monotonic() >= renew_at:
                    renew_at = time.monotonic() + RENEW_EVERY_S
                    await asyncio.to_thread(self._tls.ensure, now_ms=time.time_ns() // 1_000_000)
                await self._tell()
            except (SepeError, OSError) as exc:
                _log.warning("gate.deferred", reason=str(exc))
            await asyncio.sleep(PAUSE_S)

    async def _tell(self) -> None:
        if self._broker is None:
            return
        access = await asyncio.to_thread(self.access)
        certificate = self._tls.pair()[1]
        if access == self._broker.access and certificate == self._certificate:
            return
        self._certificate = certificate
        self._broker.admit(access)
        _log.info("broker.told", senders=len(access.senders))

    def _senders(self) -> tuple[Sender, ...]:
        connection = self._store.reader()
        try:
            with translated():
                return tuple(registry.senders(connection, now_ms=time.time_ns() // 1_000_000))
        finally:
            connection.close()
