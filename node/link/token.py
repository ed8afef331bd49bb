"""What a one-time token brings: a secret, and with a hub that speaks TLS the certificate by which to know it."""

from __future__ import annotations

from pathlib import Path

from sepe_io.certificates import split_token
from sepe_io.keys import replace_secret

CA_NAME = "hub-ca.pem"


def adopt_token(folder: Path, token: str) -> str:
    """Keep the certificate that ``token`` carries, if any, in the node's directory; return the secret.

    A token without one leaves the certificate of an earlier token where it is: nobody is talked out of TLS.

    Raises:
        InvalidInputError: the token is not whole; nothing was changed.
    """
    secret, ca_pem = split_token(token)
    if ca_pem:
        replace_secret(ca_pem, folder / CA_NAME)
    return secret
