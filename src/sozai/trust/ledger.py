"""What was sent to language models, and whether it left this machine; every manifest holds it."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Place = Literal["in this process", "a server on this machine", "another machine"]


@dataclass(frozen=True)
class Sent:
    """One request to a language model, kept before it goes out: also when no answer comes.

    Attributes:
        endpoint: host and port, or ``"here"``.
        model: name asked for.
        place: where the endpoint is.
        characters: sent, all messages together.
        documents: name, SHA-256 and characters of each untrusted text among them.
        key: name of the environment variable whose key was sent along; empty when none was. Never the key.
    """

    endpoint: str
    model: str
    place: Place
    characters: int
    documents: tuple[Mapping[str, Any], ...] = ()
    key: str = ""


class Ledger:
    """Requests of this process and of the attempts that it goes on with, in order; safe to use from several threads."""

    def __init__(self) -> None:
        self._sent: list[Sent] = []
        self._lock = threading.Lock()

    def note(self, sent: Sent) -> None:
        """Keep a request."""
        with self._lock:
            self._sent.append(sent)

    def mark(self) -> int:
        """A place in the ledger, for ``summary``."""
        with self._lock:
            return len(self._sent)

    def since(self, mark: int = 0) -> list[Sent]:
        """The requests after a mark."""
        with self._lock:
            return self._sent[mark:]

    def summary(self, mark: int = 0) -> dict[str, Any]:
        """What was sent after a mark, by endpoint and model.

        Returns:
            ``left_this_machine``: whether any text went to another machine; ``sent``: one entry an endpoint and
            model with ``requests``, ``characters``, ``key`` and ``documents`` (``source``, ``sha256``, ``characters``
            in the request that held most of it).
        """
        return summarise(self.since(mark))


def summarise(requests: Iterable[Sent]) -> dict[str, Any]:
    """See ``Ledger.summary``."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for sent in requests:
        group = groups.setdefault(
            (sent.endpoint, sent.model),
            {
                "endpoint": sent.endpoint,
                "place": sent.place,
                "model": sent.model,
                "key": "",
                "requests": 0,
                "characters": 0,
                "documents": {},
            },
        )
        group["requests"] += 1
        group["characters"] += sent.characters
        group["key"] = group["key"] or sent.key
        for document in sent.documents:
            known = group["documents"].setdefault((document["source"], document["sha256"]), dict(document))
            known["characters"] = max(known["characters"], document["characters"])
    entries = [{**group, "documents": list(group["documents"].values())} for group in groups.values()]
    return {"left_this_machine": any(entry["place"] == "another machine" for entry in entries), "sent": entries}


def place_of(host: str) -> Place:
    """Where a host is: loopback names and addresses are this machine, anything else is another one."""
    if host == "localhost" or host.endswith(".localhost"):
        return "a server on this machine"
    try:
        return "a server on this machine" if ipaddress.ip_address(host.strip("[]")).is_loopback else "another machine"
    except ValueError:
        return "another machine"


LEDGER = Ledger()
"""Of this process."""
