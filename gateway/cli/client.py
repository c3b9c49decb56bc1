"""The client side of the admin API, for the command line: one request, bounded in time and size."""

from __future__ import annotations

import http.client
import json

from gateway.errors import GatewayError
from gateway.settings import AdminSettings
from proxy.values import Endpoint

_TIMEOUT = 60.0
_LARGEST = 64 << 20


class UnreachableError(GatewayError):
    """The gateway doesn't answer, or won't."""


class AdminClient:
    """Asks the gateway whose `[admin]` this is."""

    def __init__(self, settings: AdminSettings) -> None:
        self._endpoint = reachable(settings.address)
        self._token = settings.token

    def get(self, path: str) -> bytes:
        """The body of a GET.

        Raises:
            UnreachableError: no answer, or not one of a gateway.
        """
        return self._ask("GET", path)

    def post(self, path: str) -> bytes:
        """The body of a POST without a body.

        Raises:
            UnreachableError: as with `get`.
        """
        return self._ask("POST", path)

    def post_json(self, path: str, body: bytes) -> bytes:
        """The body of a POST with JSON; of what is refused too (see `refusal`).

        Raises:
            UnreachableError: as with `get`.
        """
        return self._ask("POST", path, body)

    def delete(self, path: str) -> bytes:
        """The body of a DELETE; of what is refused too (see `refusal`).

        Raises:
            UnreachableError: as with `get`.
        """
        return self._ask("DELETE", path, None, missing=True)

    def _ask(self, method: str, path: str, sent: bytes | None = None, *, missing: bool = False) -> bytes:
        headers = {"Authorization": f"Bearer {self._token.reveal()}"} if self._token is not None else {}
        connection = http.client.HTTPConnection(str(self._endpoint.address), self._endpoint.port, timeout=_TIMEOUT)
        try:
            connection.request(method, path, body=sent, headers=headers)
            response = connection.getresponse()
            body = response.read(_LARGEST)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise UnreachableError(f"no answer at http://{self._endpoint}: {reason}; is it running?") from None
        finally:
            connection.close()
        if response.status not in {200, 422, 503} and not (missing and response.status == 404):
            raise UnreachableError(f"http://{self._endpoint} answers {response.status}: {_reason(body)}")
        return body


def refusal(body: bytes) -> str | None:
    """Why something was refused, from the answer; None if it was done."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, LookupError, TypeError):
        return None


def reachable(address: Endpoint) -> Endpoint:
    """Where to connect to for an address that is listened on: a wildcard is reached over loopback."""
    if not address.address.is_unspecified:
        return address
    return Endpoint.parse(f"127.0.0.1:{address.port}" if address.address.version == 4 else f"[::1]:{address.port}")


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])[:200]
    except (ValueError, LookupError, TypeError):
        return "not an answer of zonegate"
