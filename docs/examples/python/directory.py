"""The directory of agencies, as the operator hands it out: who a code is, and whose certificate signs for it."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509


class Directory:
    def __init__(self, file):
        self.agencies = json.loads(Path(file).read_text("utf-8"))["agencies"]

    def entry(self, written, at):
        """Return the agency of a code as written, in either form; a closed one leads to its only successor."""
        code = written
        if re.fullmatch(r"([0-9]+\.)+[A-Z][0-9]{2}", written):  # of 2016: 000.01.15.H26 is H26.15.01
            code = ".".join(group for group in reversed(written.split(".")) if group.strip("0"))
        named = [each for each in self.agencies if written in each.get("aliases", [])]
        found = (named or [each for each in self.agencies if each["code"] == code])[0]
        day = f"{at + timedelta(hours=7):%Y-%m-%d}"  # days are those of Vietnam
        closed = found.get("admission") == "closed" or found.get("valid_to", day) < day
        successors = found.get("successors", [])
        return self.entry(successors[0], at) if closed and len(successors) == 1 else found

    def signers(self, agency, at):
        """Return the certificates that sign for an agency at that moment: its own and its gateway's."""
        gateway = next(each for each in self.agencies if each["code"] == agency["gateway"])
        day = f"{at + timedelta(hours=7):%Y-%m-%d}"
        signers = []
        for each in agency.get("certificates", []) + gateway.get("certificates", []):
            entry = {"pem": each} if isinstance(each, str) else each
            retired = entry.get("retired_at")
            if entry.get("not_before", day) <= day <= entry.get("not_after", day) and (
                retired is None or at < datetime.fromisoformat(retired)
            ):
                signers.append(x509.load_pem_x509_certificate(entry["pem"].encode()))
        return signers
