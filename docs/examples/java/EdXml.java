import java.io.*;
import java.nio.charset.StandardCharsets;
import java.security.*;
import java.security.cert.*;
import java.security.spec.*;
import java.time.Instant;
import java.util.*;
import javax.xml.crypto.dsig.*;
import javax.xml.crypto.dsig.dom.*;
import javax.xml.crypto.dsig.keyinfo.*;
import javax.xml.crypto.dsig.spec.*;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.w3c.dom.*;

/** Packages of edXML: built, signed and verified with the JDK alone, by docs/protocol.md. */
final class EdXml {
    static final String NAMESPACE = "http://www.mic.gov.vn/TBT/QCVN_102_2016";
    private static final String EXCLUSIVE = CanonicalizationMethod.EXCLUSIVE;
    private static final String MORE = "http://www.w3.org/2001/04/xmldsig-more#";
    private static final XMLSignatureFactory SIGNATURES = XMLSignatureFactory.getInstance("DOM");

    /** What was signed, and by whom. */
    record Signed(Document document, X509Certificate signer) {}

    /** Returns the package around the content of a MessageHeader; chain: the signer's certificates, leaf first. */
    static byte[] sign(String message, PrivateKey key, List<X509Certificate> chain) throws Exception {
        Document document = parse(("<edXML xmlns=\"" + NAMESPACE + "\"><edXMLEnvelope><edXMLHeader><MessageHeader>"
                + message + "</MessageHeader></edXMLHeader></edXMLEnvelope></edXML>").getBytes(StandardCharsets.UTF_8));
        Reference whole = SIGNATURES.newReference("", SIGNATURES.newDigestMethod(DigestMethod.SHA256, null), List.of(
                SIGNATURES.newTransform(Transform.ENVELOPED, (TransformParameterSpec) null),
                SIGNATURES.newTransform(EXCLUSIVE, (TransformParameterSpec) null)), null, null);
        String method = MORE + (key.getAlgorithm().equals("RSA") ? "rsa-sha256" : "ecdsa-sha256");
        SignedInfo info = SIGNATURES.newSignedInfo(
                SIGNATURES.newCanonicalizationMethod(EXCLUSIVE, (C14NMethodParameterSpec) null),
                SIGNATURES.newSignatureMethod(method, null), List.of(whole));
        KeyInfoFactory keys = SIGNATURES.getKeyInfoFactory();
        KeyInfo known = keys.newKeyInfo(List.of(keys.newX509Data(chain)));
        Node header = document.getElementsByTagNameNS(NAMESPACE, "edXMLHeader").item(0);
        SIGNATURES.newXMLSignature(info, known).sign(new DOMSignContext(key, header)); // becomes its last child
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        TransformerFactory.newInstance().newTransformer().transform(new DOMSource(document), new StreamResult(out));
        return out.toByteArray();
    }

    /** Returns what was signed; place: the element that holds the signature. Throws whatever stands against it. */
    static Signed verify(byte[] body, String place, X509Certificate anchor, Instant at) throws Exception {
        Document document = parse(body);
        NodeList found = document.getElementsByTagNameNS(XMLSignature.XMLNS, "Signature");
        Node element = found.item(0);
        Node holder = found.getLength() == 1 ? element.getParentNode() : null;
        boolean placed = holder != null && place.equals(path(holder)) && lastElement(holder) == element;
        need(placed, "not one signature at its place");
        List<X509Certificate> chain = new ArrayList<>();
        NodeList coded = ((Element) element).getElementsByTagNameNS(XMLSignature.XMLNS, "X509Certificate");
        for (int i = 0; i < coded.getLength(); i++) {
            byte[] der = Base64.getMimeDecoder().decode(coded.item(i).getTextContent());
            chain.add(certificates(new ByteArrayInputStream(der)).get(0));
        }
        PublicKey key = chain.get(0).getPublicKey();
        DOMValidateContext context = new DOMValidateContext(key, element);
        context.setProperty("org.jcp.xml.dsig.secureValidation", Boolean.TRUE);
        XMLSignature signature = SIGNATURES.unmarshalXMLSignature(context);
        SignedInfo info = signature.getSignedInfo();
        List<String> used = new ArrayList<>(List.of(info.getCanonicalizationMethod().getAlgorithm()));
        for (Reference reference : info.getReferences()) {
            used.add(reference.getURI());
            reference.getTransforms().forEach(each -> used.add(each.getAlgorithm()));
        }
        need(used.equals(List.of(EXCLUSIVE, "", Transform.ENVELOPED, EXCLUSIVE)), "another profile");
        need(info.getSignatureMethod().getAlgorithm().matches(MORE + "(rsa|ecdsa)-sha(256|384|512)"), "a weak method");
        need(signature.validate(context), "not what was signed");
        PKIXParameters rules = new PKIXParameters(Set.of(new TrustAnchor(anchor, null)));
        rules.setRevocationEnabled(false); // the relay has looked at the lists; do so too where you have them
        rules.setDate(Date.from(at));
        chain.remove(anchor);
        CertPathValidator.getInstance("PKIX").validate(x509().generateCertPath(chain), rules);
        return new Signed(document, chain.get(0));
    }

    static Document parse(byte[] body) throws Exception {
        DocumentBuilderFactory builders = DocumentBuilderFactory.newInstance();
        builders.setNamespaceAware(true);
        builders.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        return builders.newDocumentBuilder().parse(new ByteArrayInputStream(body));
    }

    static List<X509Certificate> certificates(InputStream pemOrDer) throws Exception {
        return x509().generateCertificates(pemOrDer).stream().map(each -> (X509Certificate) each).toList();
    }

    static PrivateKey key(String pem, String algorithm) throws Exception {
        byte[] der = Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
        return KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(der));
    }

    static void need(boolean condition, String otherwise) {
        if (!condition) throw new IllegalArgumentException(otherwise);
    }

    private static CertificateFactory x509() throws Exception {
        return CertificateFactory.getInstance("X.509");
    }

    private static String path(Node node) {
        return node instanceof Element ? path(node.getParentNode()) + "/" + node.getLocalName() : "";
    }

    private static Node lastElement(Node parent) {
        Node last = parent.getLastChild();
        while (!(last instanceof Element)) last = last.getPreviousSibling();
        return last;
    }
}
