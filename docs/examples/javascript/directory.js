// The directory of agencies, as the operator hands it out: who a code is, and whose certificate signs for it.
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

// Days are those of Vietnam.
const day = (at) => new Date(at.getTime() + 7 * 3600_000).toISOString().slice(0, 10);

export class Directory {
  constructor(file) {
    this.agencies = JSON.parse(readFileSync(file, "utf8")).agencies;
  }

  /** Return the agency of a code as written, in either form; a closed one leads to its only successor. */
  entry(written, at) {
    // The form of 2016: 000.01.15.H26 is H26.15.01.
    const groups = written.split(".").reverse();
    const old = /^([0-9]+\.)+[A-Z][0-9]{2}$/.test(written);
    const code = old ? groups.filter((each) => /[^0]/.test(each)).join(".") : written;
    const named = this.agencies.find((each) => each.aliases?.includes(written));
    const found = named ?? this.agencies.find((each) => each.code === code);
    if (!found) throw new Error("a code that the directory does not know");
    const closed = found.admission === "closed" || (found.valid_to ?? day(at)) < day(at);
    return closed && found.successors?.length === 1 ? this.entry(found.successors[0], at) : found;
  }

  /** Return the certificates that sign for an agency at that moment: its own and its gateway's. */
  signers(agency, at) {
    const gateway = this.agencies.find((each) => each.code === agency.gateway);
    const all = [...(agency.certificates ?? []), ...(gateway.certificates ?? [])];
    const dated = all.map((each) => (typeof each === "string" ? { pem: each } : each));
    const today = day(at);
    const good = dated.filter(
      (each) =>
        (each.not_before ?? today) <= today &&
        today <= (each.not_after ?? today) &&
        (!each.retired_at || at < new Date(each.retired_at)),
    );
    return good.map((each) => new X509Certificate(each.pem));
  }
}
