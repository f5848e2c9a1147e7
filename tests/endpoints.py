"""Endpoints on loopback that answer as a test tells them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server:
    """An endpoint that answers as told, in turn (the last answer again and again), and keeps what it was sent."""

    def __init__(self, *answers: Callable[[BaseHTTPRequestHandler], None]):
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                answers[min(len(outer.seen), len(answers)) - 1](self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self.name = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def says(body: Any, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        headers.setdefault("content_type", "application/json")
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", headers.get("content_length", str(len(content))))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def chat(content: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"message": {"role": "assistant", "content": content}, **more}]}
