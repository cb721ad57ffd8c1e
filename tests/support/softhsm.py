"""Tokens of SoftHSM2 for tests: real PKCS#11, keys that were made elsewhere and put in."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.pki import Key

PIN = "4711-trục"
_MAKE = """
import sys, pkcs11
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
module, token, label, pin = sys.argv[1:]
pin = open(pin).readline().rstrip()
with pkcs11.lib(module).get_token(token_label=token).open(rw=True, user_pin=pin) as session:
    curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    domain = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
    public, _ = domain.generate_keypair(store=True, label=label)
    print(encode_ec_public_key(public).hex())
"""
_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
)


def module_path() -> str:
    """Where the distribution has put the module."""
    return next(path for path in _MODULES if Path(path).is_file())


@cache
def _store() -> Path:
    """The folder of all tokens of this process: the module reads its configuration once."""
    folder = Path(tempfile.mkdtemp(prefix="truc-softhsm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "tokens").mkdir()
    conf = folder / "softhsm2.conf"
    conf.write_text(
        f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = true\n"
    )
    os.environ["SOFTHSM2_CONF"] = str(conf)
    return folder


def environment() -> dict[str, str]:
    """What another process needs to see the tokens of this one."""
    return {"SOFTHSM2_CONF": str(_store() / "softhsm2.conf")}


class Token:
    """One token, with a PIN in a file of mode 0600."""

    def __init__(self, folder: Path, label: str | None = None) -> None:
        self.label = label or f"token {uuid.uuid4().hex[:16]}"
        before = set((_store() / "tokens").iterdir())
        self._util("--init-token", "--free", "--label", self.label, "--so-pin", "so-" + PIN, "--pin", PIN)
        (self.place,) = set((_store() / "tokens").iterdir()) - before
        self.away = self.place.parent.parent / self.place.name
        self.pin = folder / f"pin-{uuid.uuid4()}"
        self.write_pin(PIN)

    def write_pin(self, pin: str) -> None:
        self.pin.write_text(pin + "\n")
        self.pin.chmod(0o600)

    def put(self, key: Key, label: str = "relay", number: int | None = None) -> None:
        """Put a key into the token."""
        path = self.pin.with_suffix(".key")
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        number = number if number is not None else uuid.uuid4().int >> 64
        self._util(
            *("--import", str(path), "--token", self.label, "--label", label),
            *("--id", f"{number:016x}", "--pin", PIN),
        )
        path.unlink()

    def make(self, label: str = "relay") -> bytes:
        """Let the token make an EC key, which never leaves it; return its public key, DER."""
        done = subprocess.run(
            [sys.executable, "-c", _MAKE, module_path(), self.label, label, str(self.pin)],
            env={**os.environ, **environment()},
            capture_output=True,
            timeout=60,
            check=True,
        )
        return bytes.fromhex(done.stdout.decode())

    def uri(self, label: str = "relay", **others: str) -> str:
        more = "".join(f";{name}={value}" for name, value in others.items())
        token = self.label.replace(" ", "%20")
        return f"pkcs11:token={token};object={label}{more}?module-path={module_path()}&pin-source=file:{self.pin}"

    def take_away(self) -> None:
        """As if the device were pulled out."""
        self.place.rename(self.away)

    def put_back(self) -> None:
        self.away.rename(self.place)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """As if the device did not answer: the module waits for the locks that are held on the token's files here."""
        with ExitStack() as held:
            for path in self.place.iterdir():
                file = held.enter_context(path.open("r+b"))
                fcntl.lockf(file, fcntl.LOCK_EX)
            yield

    @staticmethod
    def _util(*arguments: str) -> None:
        done = subprocess.run(
            ["softhsm2-util", *arguments],
            env={**os.environ, **environment()},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
