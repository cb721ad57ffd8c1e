"""A stand-in for worker and keeper: answers 200 on the HTTP port of its configuration until SIGTERM.

Run as a program: ``python standin.py CONFIG``. With ``pool`` in the environment variable of its role's name it is no
different; what the supervisor does with it is what it does with the real ones.
"""

from __future__ import annotations

import re
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    found = re.search(r"^http:\n(?:  .*\n)*?  port: (\d+)", text, re.MULTILINE)
    assert found is not None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    HTTPServer(("127.0.0.1", int(found[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
