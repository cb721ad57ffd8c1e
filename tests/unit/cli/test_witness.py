"""Two relays witness each other's heads, by command alone; one shows two histories, and is found out, by whom and where."""

from __future__ import annotations

import json
import shutil
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from relay import settings
from relay.evidence.record import Writer
from relay.evidence.sealing import Sealer, SealingPolicy
from relay.evidence.signer import RelaySigner
from relay.model.keeping import Chronicler
from relay.observe.clock import SystemClock
from relay.registry import open_registry
from relay.sandbox import provision
from relay.sandbox.home import Home, Kept
from relay.sandbox.up import Asked
from tests.support.registry import Maker, accepted
from tests.unit.cli.conftest import Truc

NAMES = ("truc-a", "truc-b")
AT_ONCE = SealingPolicy(timedelta(0), 64, timedelta(0))


class Relay:
    """A relay with a registry and keys of its own; what workers and keeper do is done here, the rest by commands."""

    def __init__(self, name: str, folder: Path, truc: Truc) -> None:
        self.name = name
        self.folder = folder
        self.truc_ = truc
        self.config = folder / "config" / "truc.yaml"
        self.make = Maker()
        self.handed: list[str] = []

    def truc(self, *words: object, code: int = 0) -> str:
        """Run a command about this relay; returns what it prints."""
        done = self.truc_("evidence", *words, "--config", self.config)
        assert done.exit_code == code, (words, done.output, done.exception)
        return done.output

    def work(self, documents: int) -> None:
        """Accept documents, and have what is on record sealed and signed for."""
        chosen = settings.load(self.config, files=False)
        clock = SystemClock()
        who = Chronicler(Writer(), self.name, "w1", "worker", "1", f"w1-{uuid.uuid4()}", clock)
        registry = open_registry(chosen.registry.url, chronicler=who)
        try:
            for _ in range(documents):
                self.make.serial += 1
                claim = self.make.claim(f"{self.folder} {self.make.serial}", now=datetime.now(UTC))
                accepted(registry, self.make, claim)
                self.handed.append(claim.transport_id)
            signer = RelaySigner(self.name, chosen.relay.key, chosen.relay.certificates, clock)
            sealer = Sealer(registry.evidence, self.name, signer.sign_text, clock, AT_ONCE)
            sealer.seal(clock.monotonic() + 60)
            sealer.head()
        finally:
            registry.close()

    def show(self, file: Path, *options: object) -> Path:
        """Write the newest head to a file for the other one."""
        file.unlink(missing_ok=True)
        self.truc("witness", "export", file, *options)
        return file


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two relays' folders, each with an authority of its own, and each trusting the other's."""
    top = tmp_path_factory.mktemp("relays")
    places = [Home(top / name) for name in NAMES]
    for name, place in zip(NAMES, places, strict=True):
        place.make_folders()
        place.keep(Kept(20000, "truc@localhost", {"admin": "a"}, relay_name=name))
        provision.prepare(place, datetime.now(UTC))
    for place, other in (places, places[::-1]):
        Asked(trusts=(str(other.path),)).note(place)
        provision.prepare(place, datetime.now(UTC))
    return {name: top / name for name in NAMES}


@pytest.fixture
def pair(made: dict[str, Path], truc: Truc, tmp_path: Path) -> tuple[Relay, Relay]:
    one, two = (Relay(name, made[name], truc) for name in NAMES)
    return _fresh(one, tmp_path), _fresh(two, tmp_path)


def _fresh(relay: Relay, folder: Path, suffix: str = "") -> Relay:
    """The same relay, keys and all, with an empty registry: what somebody has who keeps two histories."""
    chosen = yaml.safe_load(relay.config.read_text(encoding="utf-8"))
    name = f"{relay.name}{suffix}"
    chosen["registry"]["url"] = f"sqlite:///{folder / name}.db"
    other = Relay(relay.name, relay.folder, relay.truc_)
    other.config = folder / f"{name}.yaml"
    other.config.write_text(yaml.safe_dump(chosen), encoding="utf-8")
    other.config.chmod(0o600)
    other.make.serial = 1000 * len(suffix)
    return other


def test_each_keeps_the_others_heads_and_says_so(pair: tuple[Relay, Relay], tmp_path: Path) -> None:
    shown, answer = tmp_path / "shown.json", tmp_path / "answer.json"
    for step in (1, 2):
        for one, two in (pair, pair[::-1]):
            one.work(2)
            one.show(shown, "--for", two.name)
            looked = json.loads(two.truc("witness", "import", shown, "--dry-run", "--json"))
            assert (looked["done"], looked["number"], looked["new"]) == (False, step, True)
            answer.unlink(missing_ok=True)
            taken = json.loads(two.truc("witness", "import", shown, "--answer", answer, "--json"))
            assert (taken["relay"], taken["number"], taken["new"]) == (one.name, step, True)
            back = json.loads(one.truc("witness", "import", answer, "--json"))
            assert (back["kind"], back["witness"], back["number"]) == ("statement", two.name, step)
    for one, two in (pair, pair[::-1]):
        listed = json.loads(one.truc("witness", "ls", "--json"))
        assert [(each["relay"], each["shown"], each["number"]) for each in listed] == [
            (two.name, False, 2),
            (two.name, True, 2),
        ]
        assert json.loads(one.truc("witness", "forks", "--json")) == []
        report = json.loads(one.truc("verify", "--json"))
        assert report["ok"]
        assert report["statements"] == 2
    # What the witness was shown is what an auditor checks the log by, and the case says who vouches for it.
    one, two = pair
    one.truc("export", "--log", tmp_path / "log")
    two.truc("export", "--log", tmp_path / "other")
    checked = one.truc_(
        "evidence", "verify", tmp_path / "log", "--head", tmp_path / "other" / "witnessed", "--json",
        "--ca", one.folder / "ca" / "root.pem",
    )  # fmt: skip
    facts = json.loads(checked.output)
    assert (checked.exit_code, facts["elsewhere"]) == (0, 2)
    # One who trusts the relay alone is told that nobody vouches for the witness; that is no fault of the log.
    assert facts["statements"] == 0
    assert [each["reason"] for each in facts["notes"] if each["what"] == "statement"] == ["no-witness"] * 2
    proof = tmp_path / "proof.json"
    one.truc("prove", one.handed[0], "--out", proof)
    (seen, *_) = json.loads(one.truc("verify", proof, "--json"))["witnesses"]
    assert (seen["witness"], seen["trusted"]) == ("truc-b", True)
    assert "đã đưa cho truc-b xem" in one.truc("verify", proof, "--lang", "vi")


def test_who_shows_two_histories_is_found_out_by_whom_and_where(
    pair: tuple[Relay, Relay], tmp_path: Path
) -> None:
    one, two = pair
    honest = tmp_path / "honest.json"
    one.work(3)
    two.truc("witness", "import", one.show(honest))
    # The relay goes on with other records for everybody else, under the same key.
    other = _fresh(one, tmp_path, "-other")
    other.work(5)
    lie = other.show(tmp_path / "lie.json")
    told = two.truc("witness", "import", lie, code=1)
    assert "WITNESS-FORK" in told
    assert "truc-a: same-number: head 1 of " in told
    assert "WITNESS-FORK" in two.truc("witness", "import", lie, "--lang", "vi", code=1)
    # Both heads are handed out; whoever gets them needs nobody's word.
    out = tmp_path / "forks"
    (fork,) = json.loads(two.truc("witness", "forks", "--out", out, "--json"))
    assert (fork["relay"], fork["kind"]) == ("truc-a", "same-number")
    first, second = (out / f"1-truc-a-{which}.head" for which in ("first", "second"))
    assert "truc-a" in two.truc("witness", "forks")
    alone = one.truc_(
        "evidence", "verify", first, "--head", second, "--ca", one.folder / "ca" / "root.pem", "--json"
    )
    assert alone.exit_code == 1
    assert [each["reason"] for each in json.loads(alone.output)["faults"]] == ["forked-heads"]
    both = tmp_path / "both.head"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    shown = one.truc_("evidence", "verify", both, "--known", "00" * 32, "--lang", "vi")
    assert shown.exit_code == 1
    assert (
        "hai lịch sử cùng do truc-a ký" in shown.output
    )  # one certificate has signed both: that needs no anchor
    single = one.truc_("evidence", "verify", honest, "--ca", one.folder / "ca" / "root.pem")
    assert (single.exit_code, single.output.count("truc-a: head 1")) == (0, 1)
    assert one.truc_("evidence", "verify", honest, "--known", "00" * 32).exit_code == 6
    assert one.truc_("evidence", "verify", honest, "--known", "00" * 32, "--file", first).exit_code == 2
    # By the second head the log that was shown first is found out, and where the histories part.
    log = tmp_path / "log"
    one.truc("export", "--log", log)
    root = one.folder / "ca" / "root.pem"
    good = one.truc_("evidence", "verify", log, "--ca", root, "--head", first, "--json")
    assert (good.exit_code, json.loads(good.output)["elsewhere"]) == (0, 1)
    bad = one.truc_("evidence", "verify", log, "--ca", root, "--head", second, "--json")
    assert bad.exit_code == 1
    (fault,) = json.loads(bad.output)["faults"]
    assert (fault["kind"], fault["what"]) == ("forked", "head")
    assert fault["first"] == 1
    # So is a proof that leads to the other history, by the head that the witness was shown first.
    proof = tmp_path / "proof.json"
    other.truc("prove", other.handed[0], "--out", proof)
    found = one.truc_("evidence", "verify", proof, "--ca", root, "--head", first)
    assert found.exit_code == 1
    assert "two histories, both signed by truc-a" in found.output
    vietnamese = one.truc_("evidence", "verify", proof, "--ca", root, "--head", first, "--lang", "vi")
    assert "hai lịch sử cùng do truc-a ký" in vietnamese.output


def test_a_relay_is_told_that_the_log_it_has_is_not_the_one_that_was_shown(
    pair: tuple[Relay, Relay], tmp_path: Path
) -> None:
    one, two = pair
    shown, answer = tmp_path / "shown.json", tmp_path / "answer.json"
    one.work(3)
    two.truc("witness", "import", one.show(shown), "--answer", answer)
    other = _fresh(one, tmp_path, "-other")
    other.work(1)
    assert "WITNESS-REFUSED" in other.truc("witness", "import", answer, code=1)
    (fault,) = json.loads(other.truc("faults", "--json"))["faults"]
    assert fault["place"] == "main log, head 1"
    assert "truc-b was shown a head" in fault["what"]


def test_a_head_without_the_proof_that_the_witness_needs_is_asked_for_again(
    pair: tuple[Relay, Relay], tmp_path: Path
) -> None:
    one, two = pair
    one.work(2)
    two.truc("witness", "import", one.show(tmp_path / "first.json"))
    one.work(2)
    later = tmp_path / "later.json"
    told = two.truc("witness", "import", one.show(later), code=1)
    assert "WITNESS-REFUSED" in told
    size = told.split("--since ")[1].split()[0]
    two.truc("witness", "import", one.show(later, "--since", size))
    shutil.copyfile(later, tmp_path / "again.json")
    assert not json.loads(two.truc("witness", "import", tmp_path / "again.json", "--json"))["new"]
    cut = json.loads(later.read_text(encoding="utf-8"))
    later.write_text(json.dumps({**cut, "head": cut["head"].replace("size", "s1ze")}), encoding="utf-8")
    two.truc("witness", "import", later, code=1)
