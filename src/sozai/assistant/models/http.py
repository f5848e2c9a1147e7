"""What every request over a network keeps to: its endpoint, its headers, its time, its size, its sentences.

The official clients of OpenAI and Anthropic come from the same generator and share one http library and the names
of their exceptions, so that one module serves both.
"""

from __future__ import annotations

import importlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from sozai.errors import UserError
from sozai.trust.ledger import place_of

MAX_BYTES = 4 * 2**20
"""Of one answer, its wrapping included."""
ATTEMPTS = 3
_HEADERS = frozenset(
    {
        "accept",
        "anthropic-version",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-api-key",
        "x-stainless-raw-response",  # the clients read it back from their own request
    }
)
"""The headers that may go out; the clients would also tell operating system, organisation, retries ..."""


@dataclass(frozen=True)
class Endpoint:
    """Where requests go.

    Attributes:
        url: with its path, as given to the client.
        name: host and port, for people and manifests.
        here: whether it is a server on this machine.
    """

    url: str
    name: str
    here: bool


def endpoint_of(url: str, path: str = "") -> Endpoint:
    """Read the URL of an endpoint.

    Args:
        url: ``"http://localhost:11434/v1"``.
        path: added when the URL has none.

    Raises:
        UserError: no http or https URL, or one with a name, a password, a query or a fragment in it.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UserError("is no URL", _shown(url), "write it like http://localhost:11434/v1") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UserError("is no http or https URL", _shown(url), "write it like http://localhost:11434/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UserError(
            "an endpoint has no name, password, query or fragment in its URL",
            f"{host}",
            "put the key into the environment variable SOZAI_API_KEY",
        )
    trail = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1/messages")
    authority = f"[{host}]" if ":" in host else host
    name = f"{authority}:{port}" if port else authority
    return Endpoint(f"{parts.scheme}://{name}{trail or path}", name, place_of(host) == "a server on this machine")


def key_for(endpoint: Endpoint, variables: tuple[str, ...]) -> tuple[str, str]:
    """The first key that is set in the environment, and its variable's name; two empty texts when none is.

    Raises:
        UserError: the key would travel unencrypted over a public network, or is no plain text.
    """
    for variable in variables:
        if key := os.environ.get(variable, "").strip():
            if not (key.isascii() and key.isprintable() and " " not in key):
                raise UserError("holds no key: there are spaces or unusual characters in it", variable)
            if endpoint.url.startswith("http:") and not (endpoint.here or _private(endpoint.name)):
                raise UserError(
                    f"the key in {variable} would travel unencrypted", endpoint.name, "use an https endpoint"
                )
            return key, variable
    return "", ""


def _private(name: str) -> bool:
    host = urlsplit(f"//{name}").hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host  # a name of the house's own network


class Wire:
    """Requests to one endpoint with a deadline, retried when that may help.

    Args:
        sdk: the module ``openai`` or ``anthropic``.
        endpoint: the only place requests go to; redirects are refused.
        timeout: seconds for one answer, retries included.
        secret: never shown in a message.
    """

    def __init__(self, sdk: ModuleType, endpoint: Endpoint, timeout: float, secret: str = ""):
        self.sdk, self.endpoint, self.timeout, self._secret = sdk, endpoint, timeout, secret
        self._limits = threading.local()

    def http_client(self) -> Any:
        """The client library's http client, within the limits; proxies only for other machines."""
        return self.sdk.DefaultHttpxClient(
            follow_redirects=False,
            trust_env=not self.endpoint.here,
            event_hooks={"request": [self._trim], "response": [self._guard]},
        )

    def ask(self, send: Callable[[float], Any]) -> dict[str, Any]:
        """Send a request until it is answered, at most three times and never beyond the deadline.

        Args:
            send: makes one attempt within the seconds it is given; returns the client's raw response.

        Returns:
            the answer's JSON object.

        Raises:
            UserError: there is none.
            Refused: the endpoint does not take the request as it is (400 or 422).
        """
        deadline = time.monotonic() + self.timeout
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._read(self._attempt(send, deadline))
            except Exception as error:
                again, mistake = self._explain(error)
                pause = min(2.0 ** (attempt - 1), 30.0) if again is True else float(again or 0)
                if not again or attempt == ATTEMPTS or time.monotonic() + pause >= deadline:
                    raise mistake from error
                time.sleep(pause)
        raise AssertionError("not reached")

    def _attempt(self, send: Callable[[float], Any], deadline: float) -> Any:
        """One attempt, given up at the deadline even if the server still feeds it a byte of a header now and then.

        The http client's own timeout holds between two bytes only, so the attempt runs in a thread that is left alone.
        """
        outcome: list[Any] = []
        left = max(deadline - time.monotonic(), 0.1)

        def work() -> None:
            self._limits.deadline = deadline
            try:
                outcome.append(send(left))
            except BaseException as error:
                outcome.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(left + 0.5)  # the client's own timeout, which closes the connection, comes first where it can
        if not outcome:
            raise UserError(
                f"no answer within {self.timeout:g} s", self.endpoint.name, "ask a quicker model or allow it more time"
            )
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def _trim(self, request: Any) -> None:
        for name in list(request.headers):
            if name.lower() not in _HEADERS:
                del request.headers[name]
        request.headers["accept-encoding"] = "identity"  # an answer's size is known before it is unpacked
        request.headers["user-agent"] = "sozai"

    def _guard(self, response: Any) -> None:
        if 300 <= response.status_code < 400:
            target = "".join(filter(str.isprintable, response.headers.get("location", "")))[:200]
            raise UserError(
                f"sends requests on to {target or 'another place'}, where nothing is sent to unasked",
                self.endpoint.name,
                "name that endpoint if you trust it",
            )
        if response.headers.get("content-encoding", "identity") != "identity":
            raise UserError("answers packed, though asked not to", self.endpoint.name)
        response.stream = _limited(response, self.endpoint.name, self._limits.deadline, self.timeout)

    def _read(self, raw: Any) -> dict[str, Any]:
        try:
            answer = json.loads(raw.http_response.content)
        except (ValueError, RecursionError):
            raise UserError(
                "answers something that is no JSON",
                self.endpoint.name,
                "check that it is an endpoint of this kind; most have /v1 at the end",
            ) from None
        if not isinstance(answer, dict):
            raise UserError(f"answers with a {type(answer).__name__} where an object is due", self.endpoint.name)
        return answer

    def _explain(self, error: Exception) -> tuple[bool | float, Exception]:
        """Whether to try again (or after how many seconds), and the sentence if not."""
        for cause in _causes(error):
            if isinstance(cause, UserError):
                return isinstance(cause, _Cut), cause
        name, sdk = self.endpoint.name, self.sdk
        if isinstance(error, sdk.APITimeoutError) or any("Timeout" in type(cause).__name__ for cause in _causes(error)):
            return False, UserError(
                f"no answer within {self.timeout:g} s", name, "ask a quicker model or allow it more time"
            )
        if isinstance(error, sdk.APIStatusError):
            return self._explain_status(error)
        if isinstance(error, sdk.APIConnectionError) or type(error).__module__.split(".")[0] in ("httpx", "httpx2"):
            reason = self._clean(" ".join(str(cause) for cause in _causes(error)[-1:])) or "no connection"
            return True, UserError(
                f"cannot be reached ({reason})", name, "check that the server runs and the URL is right"
            )
        if isinstance(error, sdk.APIError | ValueError | TypeError):
            return False, UserError(f"the request failed: {self._clean(str(error))}", name)
        return False, error

    def _explain_status(self, error: Any) -> tuple[bool | float, Exception]:
        status, name, said = error.status_code, self.endpoint.name, self._clean(_said(error))
        told = f" ({said})" if said else ""
        if status in (401, 403):
            return False, UserError(f"refuses the key{told}", name, "set the key in the environment variable")
        if status == 404:
            return False, UserError(
                f"does not know this model or path{told}", name, "check the model's name and the URL"
            )
        if status in (400, 413, 422):
            return False, Refused(f"refuses the request{told}", name)
        if status == 429:
            return _retry_after(error) or True, UserError(f"is asked too often{told}", name, "try again later")
        return status >= 500 or status in (408, 409), UserError(f"fails with status {status}{told}", name)

    def _clean(self, text: str) -> str:
        if self._secret:
            text = text.replace(self._secret, "***")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


class Refused(UserError):
    """The endpoint does not take the request as it is."""


class _Cut(UserError):
    """The answer ended before its end."""


def _limited(response: Any, name: str, deadline: float, timeout: float) -> Any:
    """The response's stream, ended by an error when it is too long, too slow or cut."""
    library = importlib.import_module(type(response).__module__.split(".")[0])
    inner = response.stream

    class Limited(library.SyncByteStream):  # type: ignore[name-defined,misc]
        def __iter__(self) -> Iterator[bytes]:
            size = 0
            try:
                for chunk in inner:
                    size += len(chunk)
                    if size > MAX_BYTES:
                        raise UserError(f"the answer is larger than {MAX_BYTES >> 20} MiB", name)
                    if time.monotonic() > deadline:
                        raise UserError(
                            f"no whole answer within {timeout:g} s", name, "ask a quicker model or allow it more time"
                        )
                    yield chunk
            except library.RemoteProtocolError as error:
                raise _Cut("the answer was cut off on its way", name, "try again") from error

        def close(self) -> None:
            inner.close()

    return Limited()


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or step.__context__
    return chain


def _said(error: Any) -> str:
    """What the server said of an error: usually ``{"error": {"message": ...}}``."""
    body = error.body
    for key in ("error", "message", "detail"):
        if isinstance(body, Mapping) and key in body:
            body = body[key]
    if isinstance(body, Mapping) and isinstance(body.get("message"), str):
        body = body["message"]
    return body if isinstance(body, str) else json.dumps(body, default=str) if body else ""


def _retry_after(error: Any) -> float:
    try:
        return min(max(float(error.response.headers.get("retry-after", "")), 0.0), 60.0)
    except ValueError:
        return 0.0


def _shown(url: str) -> str:
    """A URL that could not be read, without what may be a password in it."""
    return repr(url.rpartition("@")[2][:100])


def whole(value: Any) -> int:
    """A count as a server tells it, 0 when it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else 0
