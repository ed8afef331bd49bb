"""The uploader of one node directory, put together."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from node.attach.uploader import Uploader, UploadTimes
from node.link.attachments import opened
from node.outbox.office import Office


def uploader_of(folder: Path, office: Office, *, hub: str = "", times: UploadTimes | None = None) -> Uploader:
    """Not yet running. It follows the office's relay; ``hub`` is instead of the settings' address."""
    target = hub or office.settings.hub
    line = partial(opened, lambda: office.trust.channel(target), office.settings.node, lambda: office.signer)
    return Uploader(folder, office.relay.view, line, times=times)
