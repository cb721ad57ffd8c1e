"""Private keys that never leave their device: PKCS#11 tokens, named by RFC 7512 URIs.

A key of a token stands wherever one of ``cryptography`` does (it is one of its kinds). Each module is spoken to by one
thread of its own, since C_Sign may hang for as long as the device likes: who asks waits for a bounded time. A key that
cannot sign is *away* (``TransientError`` KEY-AWAY, at once, without asking the device); ``look`` asks in the background
whether it is back. Every signature is verified before it is given out: a device that is faulty makes nothing false.
"""

from __future__ import annotations

import hashlib
import importlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from relay.errors import Code, ConfigurationError, TransientError
from relay.settings.keyplace import Pkcs11Uri
from relay.settings.model import read_secret

T = TypeVar("T")
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

SIGN_SECONDS: Final = 5.0
"""How long a signature may take before its key counts as away."""
_OPEN_SECONDS: Final = 20.0  # of a module that is loaded and a token that is logged in to
_START_AGAIN: Final = 10.0  # between two new starts of a module for one token, while others of it are in use
_PROOF: Final = b"truc: is this the key of the certificate?"
_DIGEST_INFO: Final = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
"""What stands before a digest that RSA signs (RFC 8017, 9.2). The digest is made here: every device knows CKM_RSA_PKCS and
CKM_ECDSA, not every one a hash, and a slow line carries less."""


class _AwayError(Exception):
    """The device does not do what it should now; it may again."""


class _UnusableError(Exception):
    """An operator has to mend it: a wrong PIN, no such key. Never tried again with what was tried."""


class Module:
    """One PKCS#11 library in this process, spoken to by one thread. ``module`` gives the one of a path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._late: Future[Any] | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        # what follows is touched by the thread alone
        self.generation = 0
        """Counts how often all handles became void."""
        self._library: Any = None
        self._sessions: dict[str, Any] = {}
        self._refused_pins: set[tuple[str, str]] = set()
        self._started_for: dict[str, float] = {}

    def start(self, call: Callable[[], T]) -> Future[T]:
        """Have the thread do something; nobody waits."""
        with self._lock:
            if self._thread is None:
                # a daemon: a device that hangs must not keep the process from ending
                self._thread = threading.Thread(target=self._run, name=f"pkcs11 {self.path}", daemon=True)
                self._thread.start()
        future: Future[T] = Future()
        self._work.put((call, future))
        return future

    def ask(self, call: Callable[[], T], seconds: float) -> T:
        """Have the thread do something and wait for it; ``_AwayError`` when it takes too long."""
        if self._late is not None and not self._late.done():
            raise _AwayError("the device has not answered yet")
        future = self.start(call)
        try:
            return future.result(seconds)
        except TimeoutError:
            self._late = future
            raise _AwayError(f"no answer within {seconds:g} s") from None

    def _run(self) -> None:
        while True:
            call, future = self._work.get()
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 -- belongs to who waits, not to this thread
                future.set_exception(error)

    # --- inside the thread

    def session(self, uri: Pkcs11Uri, *, anew: bool = False) -> Any:  # noqa: ANN401
        """Return the session with the token, logged in. ``anew``: also look for tokens that have come since."""
        found = self._sessions.get(uri.token_name)
        if found is None:
            token = self._token(uri, anew=anew)
            found = self._sessions[uri.token_name] = self._login(token, uri)
        return found

    def forget(self, uri: Pkcs11Uri) -> None:
        """Close the session with a token: what was opened over it is void."""
        self.generation += 1
        found = self._sessions.pop(uri.token_name, None)
        if found is not None:
            with suppress(Exception):  # it is gone already, which is why we are here
                found.close()

    def _token(self, uri: Pkcs11Uri, *, anew: bool) -> Any:  # noqa: ANN401
        library = self._loaded()
        try:
            found = self._named(library, uri)
        except Exception:  # some list no token at all while one of them is broken
            if not anew:
                raise
            found = []
        if not found and anew and self._may_start_again(uri):
            # many modules see a token that was put back only after they were initialised again
            self.generation += 1
            self._sessions.clear()
            library.reinitialize()
            found = self._named(library, uri)
        if not found:
            raise _AwayError("it is not there")
        if len(found) > 1:
            raise _UnusableError(f"{len(found)} tokens are named so: add serial or slot-id")
        return found[0]

    def _may_start_again(self, uri: Pkcs11Uri) -> bool:
        """Whether the module may be initialised again: that ends the sessions with other tokens too."""
        now = time.monotonic()
        if self._sessions and now - self._started_for.get(uri.token_name, -_START_AGAIN) < _START_AGAIN:
            return False
        self._started_for[uri.token_name] = now
        return True

    @staticmethod
    def _named(library: Any, uri: Pkcs11Uri) -> list[Any]:  # noqa: ANN401
        wanted: dict[str, Any] = {}
        if uri.token:
            wanted["token_label"] = uri.token
        if uri.serial:
            wanted["token_serial"] = uri.serial.encode()
        return [
            one
            for one in library.get_tokens(**wanted)
            if uri.slot_id is None or one.slot.slot_id == uri.slot_id
        ]

    def _login(self, token: Any, uri: Pkcs11Uri) -> Any:  # noqa: ANN401
        try:
            pin = read_secret(uri.pin_source, "pin-source")
        except ConfigurationError as error:
            raise _UnusableError(error.detail) from None
        mark = (uri.token_name, hashlib.sha256(pin.encode()).hexdigest())
        if mark in self._refused_pins:  # three wrong tries lock most tokens
            raise _UnusableError("the PIN was refused; it is not tried again until its file changes")
        try:
            return token.open(user_pin=pin)
        except _errors("PinIncorrect", "PinInvalid", "PinLenRange", "PinExpired", "PinLocked") as error:
            self._refused_pins.add(mark)
            raise _UnusableError(f"the PIN is refused ({type(error).__name__})") from None

    def _loaded(self) -> Any:  # noqa: ANN401
        if self._library is None:
            try:
                package = importlib.import_module("pkcs11")
            except ImportError:
                raise _UnusableError("the package python-pkcs11 is not installed") from None
            if not Path(self.path).is_file():
                raise _UnusableError(f"module-path: {self.path} is not there")
            try:
                self._library = package.lib(self.path)
            except RuntimeError as error:
                raise _UnusableError(f"module-path: {self.path} is no PKCS#11 module") from error
        elif not self._library.initialized:
            self._library.initialize()
        return self._library


@cache
def module(path: str) -> Module:
    """Return the module of a path: a library is initialised once for a whole process, whoever uses it."""
    return Module(path)


def _errors(*names: str) -> tuple[type[Exception], ...]:
    """Return classes of the library by name; called only where it is loaded."""
    found = importlib.import_module("pkcs11.exceptions")
    return tuple(getattr(found, name) for name in names)


class TokenKey:
    """What keys of both kinds share: where the key is, whether it is away, and raw signatures.

    Args:
        uri: the key.
        public: its public key, from the certificate: of several keys under one name it chooses the one that fits.
        seconds: how long a signature may take.
    """

    def __init__(self, uri: Pkcs11Uri, public: PublicKey, seconds: float = SIGN_SECONDS) -> None:
        self.uri = uri
        self.away = "not opened yet"
        """Why it cannot sign now; empty if it can."""
        self._public: Any = public
        self._seconds = seconds
        self._module = module(uri.module_path)
        self._probe: Future[None] | None = None
        # inside the thread
        self._handle: Any = None
        self._generation = -1

    def open(self) -> None:
        """Find the key and try it, for as long as that may take.

        Raises:
            ConfigurationError: KEY-UNUSABLE: an operator has to mend it. A token that is away is no error here.
        """
        try:
            self._module.ask(self._prove, _OPEN_SECONDS)
        except _UnusableError as error:
            self.away = str(error)
            raise ConfigurationError(Code.KEY_UNUSABLE, f"{self.uri}: {error}") from None
        except _AwayError as error:
            self.away = str(error)
        else:
            self.away = ""

    def look(self) -> None:
        """See whether a key that is away is back; never waits. To be called again and again."""
        if not self.away:
            return
        probe = self._probe
        if probe is None:
            self._probe = self._module.start(self._prove)
        elif probe.done():
            self._probe = None
            fault = probe.exception()
            self.away = "" if fault is None else _said(fault)

    def check(self) -> None:
        """Raise ``TransientError`` KEY-AWAY if the key is known to be away."""
        if self.away:
            self._gone(self.away)

    def _signed(self, octets: bytes, name: str) -> bytes:
        """Return the raw signature value over ``octets`` hashed by ``name``, verified."""
        self.check()
        try:
            return self._module.ask(lambda: self._sign(octets, name), self._seconds)
        except (_AwayError, _UnusableError) as error:
            self.away = str(error)
            self._gone(self.away)

    def _gone(self, why: str) -> NoReturn:
        raise TransientError(Code.KEY_AWAY, f"{self.uri}: {why}")

    # --- inside the thread

    def _prove(self) -> None:
        """Open the key anew and let it sign."""
        self._drop()
        try:
            self._find(anew=True)
        except (_AwayError, _UnusableError):
            self._drop()
            raise
        except Exception as error:  # noqa: BLE001 -- whatever a driver says: it did not sign
            self._drop()
            raise _AwayError(_said(error)) from None

    def _sign(self, octets: bytes, name: str) -> bytes:
        try:
            if self._handle is None or self._generation != self._module.generation:
                self._find(anew=False)
            return self._value(self._handle, octets, name)
        except (_AwayError, _UnusableError):
            raise
        except Exception:  # noqa: BLE001 -- a session may have ended: one more try over a new one tells
            self._drop()
        try:
            self._find(anew=False)
            return self._value(self._handle, octets, name)
        except (_AwayError, _UnusableError):
            raise
        except Exception as error:  # noqa: BLE001 -- whatever a driver says: it did not sign
            self._drop()
            raise _AwayError(_said(error)) from None

    def _drop(self) -> None:
        self._handle = None
        self._module.forget(self.uri)

    def _find(self, *, anew: bool) -> None:
        """Find the one private key under the name that belongs to the certificate."""
        session = self._module.session(self.uri, anew=anew)
        constants = importlib.import_module("pkcs11.constants")
        mechanisms = importlib.import_module("pkcs11.mechanisms")
        kind = mechanisms.KeyType.RSA if isinstance(self._public, rsa.RSAPublicKey) else mechanisms.KeyType.EC
        wanted: dict[Any, Any] = {
            constants.Attribute.CLASS: constants.ObjectClass.PRIVATE_KEY,
            constants.Attribute.KEY_TYPE: kind,
        }
        if self.uri.object:
            wanted[constants.Attribute.LABEL] = self.uri.object
        if self.uri.id:
            wanted[constants.Attribute.ID] = self.uri.id
        candidates = list(session.get_objects(wanted))
        for one in candidates:
            try:
                self._value(one, _PROOF, "sha256")
            except _AwayError:
                continue
            self._handle, self._generation = one, self._module.generation
            return
        what = (
            f"{len(candidates)} private keys are named so, and none is" if candidates else "no private key is"
        )
        raise _UnusableError(f"{what} that of the certificate")

    def _value(self, handle: Any, octets: bytes, name: str) -> bytes:  # noqa: ANN401
        """Sign and verify. RSA: PKCS#1 v1.5. ECDSA: r and s, each as long as the curve's order."""
        mechanism = importlib.import_module("pkcs11.mechanisms").Mechanism
        algorithm = getattr(hashes, name.upper())()
        digest = hashlib.new(name, octets).digest()
        try:
            if isinstance(self._public, rsa.RSAPublicKey):
                value = bytes(handle.sign(_DIGEST_INFO[name] + digest, mechanism=mechanism.RSA_PKCS))
                self._public.verify(value, octets, padding.PKCS1v15(), algorithm)
            else:
                value = bytes(handle.sign(digest, mechanism=mechanism.ECDSA))
                self._public.verify(_der(value), octets, ec.ECDSA(algorithm))
        except InvalidSignature:
            raise _AwayError("the device made a signature that does not hold") from None
        return value


def _der(value: bytes) -> bytes:
    half = len(value) // 2
    return encode_dss_signature(int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big"))


def _said(error: BaseException) -> str:
    """What may be told of a library's error: its kind, not its text."""
    return str(error) if isinstance(error, _AwayError | _UnusableError) else type(error).__name__


def _name_of(algorithm: object) -> str:
    name = getattr(algorithm, "name", "")
    if name not in _DIGEST_INFO:
        raise ValueError("a token signs over SHA-256, SHA-384 or SHA-512")
    return str(name)


def _never(*_arguments: object, **_named: object) -> NoReturn:
    """What a key of a token does not do."""
    raise ValueError("the key does not leave its token, and signs only")


class TokenRsaKey(TokenKey, rsa.RSAPrivateKey):
    """An RSA key in a token."""

    def public_key(self) -> rsa.RSAPublicKey:
        """Return the public key, that of the certificate."""
        found: rsa.RSAPublicKey = self._public
        return found

    @property
    def key_size(self) -> int:
        """Bits of the modulus."""
        return self.public_key().key_size

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:  # noqa: ANN401 -- as the base class has it
        """Sign by PKCS#1 v1.5. Raises ``TransientError`` KEY-AWAY."""
        if padding.name != "EMSA-PKCS1-v1_5":
            raise ValueError("a token signs by PKCS#1 v1.5")
        return self._signed(bytes(data), _name_of(algorithm))

    decrypt = private_numbers = private_bytes = _never

    def __copy__(self) -> TokenRsaKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> TokenRsaKey:
        return self


class TokenEcKey(TokenKey, ec.EllipticCurvePrivateKey):
    """An elliptic curve key in a token."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public key, that of the certificate."""
        found: ec.EllipticCurvePublicKey = self._public
        return found

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve."""
        return self.public_key().curve

    @property
    def key_size(self) -> int:
        """Bits of the curve's order."""
        return self.public_key().key_size

    def sign(self, data: Any, signature_algorithm: Any) -> bytes:  # noqa: ANN401 -- as the base class has it
        """Sign by ECDSA; DER, as all keys of ``cryptography`` give it. Raises ``TransientError`` KEY-AWAY."""
        if not isinstance(signature_algorithm, ec.ECDSA):
            raise ValueError("a token signs by ECDSA")  # noqa: TRY004 -- as the library says it
        return _der(self._signed(bytes(data), _name_of(signature_algorithm.algorithm)))

    exchange = private_numbers = private_bytes = _never

    def __copy__(self) -> TokenEcKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> TokenEcKey:
        return self


def token_key(uri: Pkcs11Uri, public: PublicKey, *, wait: bool = True) -> TokenRsaKey | TokenEcKey:
    """Return the key, opened if its token is there; else, and without ``wait``, it is away.

    Raises:
        ConfigurationError: KEY-UNUSABLE, where it was opened.
    """
    made: TokenRsaKey | TokenEcKey
    made = (TokenRsaKey if isinstance(public, rsa.RSAPublicKey) else TokenEcKey)(uri, public)
    if wait:
        made.open()
    return made
