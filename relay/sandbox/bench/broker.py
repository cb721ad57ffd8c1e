"""A sandbox of a broker alone, with a directory that a measurement makes up."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from relay.directory.write import dump
from relay.errors import Code, OperationError
from relay.model.agency import Agency
from relay.sandbox import ports, provision
from relay.sandbox.bench.site import Say
from relay.sandbox.ca import DevelopmentCa
from relay.sandbox.home import Home, Kept
from relay.sandbox.locks import Lock
from relay.sandbox.node import ADMIN, server_binary
from relay.sandbox.supervisor import stop_everything


@contextmanager
def lone_broker(folder: Path, agencies: Sequence[Agency], say: Say) -> Iterator[tuple[Home, str]]:
    """Run a broker whose directory holds these agencies; give its home and version. No worker, no keeper.

    Raises:
        OperationError: BROKER-MISSING, SANDBOX-LOCKED.
    """
    server_binary()
    home = Home(folder)
    home.make_folders()
    lock = Lock(home.lock_file)
    if not lock.take() or home.exists():
        raise OperationError(Code.SANDBOX_LOCKED, f"{home.path} is in use")
    try:
        with ports.choose(random.Random(secrets.randbits(64))) as chosen:
            home.keep(
                Kept(
                    base_port=chosen.base,
                    node_name=f"truc-{secrets.token_hex(4)}",
                    passwords={ADMIN: secrets.token_urlsafe(18)},
                    added=tuple(agency.code for agency in agencies if agency.gateway == agency.code),
                )
            )
            DevelopmentCa(home.ca).ensure(datetime.now(UTC))
            dump(home.directory_file, agencies, "Agencies of a bench (mẫu), no national data.")
            provision.prepare(home, datetime.now(UTC))
            say("starting a broker")
            node = home.node(home.kept())
            try:
                yield home, node.wait_ready(node.start())
            finally:
                stop_everything(home)
    finally:
        lock.leave(remove=True)
