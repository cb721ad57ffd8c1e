"""Whether a sandbox works right now, asked from outside: processes, broker login, each worker's own word."""

from __future__ import annotations

import http.client

from relay.sandbox.config import worker_name
from relay.sandbox.home import Home, Kept


def answers(port: int, path: str, timeout: float = 2.0) -> bool:
    """Whether a process of the sandbox answers 200 on its HTTP port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def trouble(home: Home, kept: Kept) -> str:
    """Return what does not work, in words; empty if documents can be sent and are carried."""
    noted = home.running()
    if noted.broker is None or not noted.broker.alive():
        return "the broker does not run"
    if noted.keeper is None or not noted.keeper.alive():
        return "the keeper does not run"
    for number in range(1, kept.workers + 1):
        name = worker_name(number)
        worker = noted.workers.get(name)
        if worker is None or not worker.alive():
            return f"worker {name} does not run"
    for number in range(1, kept.workers + 1):
        if not answers(kept.ports.worker(number), "/ready"):
            return f"worker {worker_name(number)} is not ready"
    if not answers(kept.ports.keeper, "/live"):
        return "the keeper does not answer"
    return "" if home.node(kept).serves() else "the broker takes no login"
