// Packages of edXML: built, signed and verified with xml-crypto and Node's own crypto, by docs/protocol.md.
import { X509Certificate, createHash, createPrivateKey, sign, verify } from "node:crypto";
import { DOMParser } from "@xmldom/xmldom";
import { SignedXml } from "xml-crypto";

export const EDXML = "http://www.mic.gov.vn/TBT/QCVN_102_2016";
export const RECEIPT = "urn:truc:receipt:1";
const DSIG = "http://www.w3.org/2000/09/xmldsig#";
const EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED = `${DSIG}enveloped-signature`;
const ENC = "http://www.w3.org/2001/04/xmlenc#";
const MORE = "http://www.w3.org/2001/04/xmldsig-more#";

// xml-crypto brings RSA alone. These are the six methods and three digests of the protocol, and no others.
const METHODS = {};
for (const [kind, type] of [["rsa", "rsa"], ["ecdsa", "ec"]]) {
  for (const hash of ["sha256", "sha384", "sha512"]) {
    METHODS[`${MORE}${kind}-${hash}`] = class {
      getAlgorithmName = () => `${MORE}${kind}-${hash}`;
      getSignature = (data, key) => sign(hash, Buffer.from(data), raw(key)).toString("base64");
      verifySignature = (data, key, value) =>
        key.asymmetricKeyType === type && verify(hash, Buffer.from(data), raw(key), Buffer.from(value, "base64"));
    };
  }
}
const DIGESTS = {};
for (const [name, hash] of [[`${ENC}sha256`, "sha256"], [`${MORE}sha384`, "sha384"], [`${ENC}sha512`, "sha512"]]) {
  DIGESTS[name] = class {
    getAlgorithmName = () => name;
    getHash = (xml) => createHash(hash).update(xml, "utf8").digest("base64");
  };
}
const raw = (key) => ({ key, dsaEncoding: "ieee-p1363" }); // r and s one after the other, not DER

function signedXml(options) {
  return Object.assign(new SignedXml(options), { SignatureAlgorithms: METHODS, HashAlgorithms: DIGESTS });
}

/** Return the package around the content of a MessageHeader; chain: the signer's certificates in PEM, leaf first. */
export function signed(message, keyPem, chain) {
  const key = createPrivateKey(keyPem);
  const signer = signedXml({
    privateKey: key,
    publicCert: chain,
    signatureAlgorithm: `${MORE}${key.asymmetricKeyType === "rsa" ? "rsa" : "ecdsa"}-sha256`,
    canonicalizationAlgorithm: EXCLUSIVE,
  });
  const transforms = [ENVELOPED, EXCLUSIVE];
  signer.addReference({ xpath: "/*", isEmptyUri: true, transforms, digestAlgorithm: `${ENC}sha256` });
  signer.computeSignature(
    `<edXML xmlns="${EDXML}"><edXMLEnvelope><edXMLHeader><MessageHeader>${message}</MessageHeader>` +
      "</edXMLHeader></edXMLEnvelope></edXML>",
    { location: { reference: "//*[local-name()='edXMLHeader']", action: "append" } },
  );
  return Buffer.from(signer.getSignedXml());
}

/** Return the root of what was signed and the signer's certificate. Throws whatever stands against it. */
export function verified(body, place, anchor, at) {
  const xml = new TextDecoder("utf-8", { fatal: true }).decode(body);
  need(!/<!DOCTYPE/i.test(xml), "a document type");
  const found = parse(xml).getElementsByTagNameNS(DSIG, "Signature");
  const element = found[0];
  const holder = found.length === 1 ? element.parentNode : undefined;
  need(holder && path(holder) === place && lastElement(holder) === element, "not one signature at its place");
  const coded = Array.from(element.getElementsByTagNameNS(DSIG, "X509Certificate"));
  const chain = coded.map((each) => new X509Certificate(Buffer.from(each.textContent, "base64")));

  const signature = signedXml({ publicCert: chain[0].publicKey });
  signature.loadSignature(element);
  need(signature.checkSignature(xml), "not what was signed");
  const [reference, ...more] = signature.getReferences();
  need(!more.length && reference.uri === "" && signature.canonicalizationAlgorithm === EXCLUSIVE, "another profile");
  need(reference.transforms.join() === [ENVELOPED, EXCLUSIVE].join(), "other transforms");

  chain.forEach((each, i) => {
    const issuer = chain[i + 1] ?? anchor;
    need(issuer.ca && each.checkIssued(issuer) && each.verify(issuer.publicKey), "the chain leads nowhere");
    need(new Date(each.validFrom) <= at && at <= new Date(each.validTo), "a certificate is out of its time");
  });
  return { root: parse(signature.getSignedReferences()[0]).documentElement, signer: chain[0] };
}

/** Return the texts of all children of that name in elements of that name. */
export function texts(root, parent, child) {
  const found = Array.from(root.getElementsByTagNameNS(EDXML, child));
  return found.filter((each) => each.parentNode.localName === parent).map((each) => each.textContent);
}

/** Return the content of the MessageHeader of the status 01 that answers a document. */
export function arrived(code, document) {
  const number = texts(document, "MessageHeader", "DocumentId")[0].replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const vietnam = new Date(Date.now() + 7 * 3600_000).toISOString();
  const stamp = `${vietnam.slice(0, 10).replaceAll("-", "/")} ${vietnam.slice(11, 19)}`;
  const about = `<OrganId>${texts(document, "From", "OrganId")[0]}</OrganId><DocumentId>${number}</DocumentId>`;
  return (
    `<From><OrganId>${code}</OrganId></From><ResponseFor>${about}</ResponseFor>` +
    `<StatusCode>01</StatusCode><Timestamp>${stamp}</Timestamp>`
  );
}

export function need(condition, otherwise) {
  if (!condition) throw new Error(otherwise);
}

function parse(xml) {
  const fail = (_level, text) => {
    throw new Error(text);
  };
  return new DOMParser({ errorHandler: fail }).parseFromString(xml, "text/xml");
}

function path(node) {
  return node.nodeType === 1 ? `${path(node.parentNode)}/${node.localName}` : "";
}

function lastElement(parent) {
  return Array.from(parent.childNodes).findLast((each) => each.nodeType === 1);
}
