"""A worker or a keeper of the evidence as a process of its own, to be killed: ``python -m`` this, ROLE FOLDER NAME.

A worker commits documents as fast as it can; a keeper seals and signs what is there. The key lies in the folder.
"""

from __future__ import annotations

import sys
import uuid
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from relay.evidence.record import Writer
from relay.evidence.sealing import LogCheck, Sealer, SealingPolicy
from relay.evidence.synthetic import RelayKey
from relay.model.keeping import Chronicler
from relay.observe.clock import SystemClock
from relay.registry import open_registry
from tests.support.registry import Maker, accepted


def main(role: str, folder: Path, name: str) -> None:
    """Run until killed."""
    clock = SystemClock()
    owner = f"{name}-{uuid.uuid4()}"
    who = Chronicler(Writer(), "truc-a", name, role, "1", owner, clock)
    registry = open_registry(f"sqlite:///{folder}/registry.db", chronicler=who)
    print("ready", flush=True)
    if role == "worker":
        make = Maker(series=owner)
        while True:
            make.serial += 1
            claim = make.claim(f"{owner} {make.serial}", transport_id=str(uuid.uuid4()), now=clock.now())
            accepted(registry, make, claim, owner)
    key = load_pem_private_key((folder / "key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    pen = RelayKey("truc-a", key, (folder / "certificate.pem").read_bytes())
    policy = SealingPolicy(timedelta(seconds=0.05), 32, timedelta(seconds=0.05))
    sealer = Sealer(registry.evidence, "truc-a", pen.sign, clock, policy)
    check = LogCheck(registry.evidence, clock)
    while True:
        sealer.seal(clock.monotonic() + 1)
        sealer.head()
        check.run(200, clock.monotonic() + 1)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
