import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.BufferedInputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.cert.CertPath;
import java.security.cert.CertPathBuilder;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509CertSelector;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import javax.xml.crypto.AlgorithmMethod;
import javax.xml.crypto.KeySelector;
import javax.xml.crypto.KeySelectorException;
import javax.xml.crypto.KeySelectorResult;
import javax.xml.crypto.XMLCryptoContext;
import javax.xml.crypto.dsig.Reference;
import javax.xml.crypto.dsig.XMLSignature;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMValidateContext;
import javax.xml.crypto.dsig.keyinfo.KeyInfo;
import javax.xml.crypto.dsig.keyinfo.X509Data;
import javax.xml.parsers.DocumentBuilder;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Attr;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NamedNodeMap;
import org.w3c.dom.Node;
import org.w3c.dom.NodeList;

/**
 * Judges many documents as a consumer would who knows the JDK and nothing of Truc: the first signature that is found,
 * secure validation on, the first certificate's key, a PKIX path to the anchor; where the envelope alone is signed, the
 * digests of the attachments that its lines hold.
 *
 * Arguments: anchor (PEM), moment (RFC 3339), container. The container holds documents, each behind its length in four
 * bytes. One line of JSON each: "valid" (the signature), "chain" (the path), "reads" (SHA-256 over what its DOM says of
 * the document or, where that alone is signed, of the envelope; the signature left out), "error".
 */
public final class JudgeXml {
    private static final String EDXML = "http://www.mic.gov.vn/TBT/QCVN_102_2016";
    private static final XMLSignatureFactory SIGNATURES = XMLSignatureFactory.getInstance("DOM");
    private static CertificateFactory certificates;
    private static X509Certificate anchor;
    private static Date moment;

    public static void main(String[] arguments) throws Exception {
        certificates = CertificateFactory.getInstance("X.509");
        anchor = (X509Certificate)
                certificates.generateCertificate(new ByteArrayInputStream(Files.readAllBytes(Path.of(arguments[0]))));
        moment = Date.from(Instant.parse(arguments[1]));
        DocumentBuilderFactory builders = DocumentBuilderFactory.newInstance();
        builders.setNamespaceAware(true);
        DocumentBuilder builder = builders.newDocumentBuilder();
        builder.setErrorHandler(null);
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.US_ASCII);
        System.setErr(new PrintStream(PrintStream.nullOutputStream())); // parsers talk there
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(Files.newInputStream(Path.of(arguments[2]))))) {
            while (in.available() > 0) {
                out.println(judge(builder, in.readNBytes(in.readInt())));
            }
        }
        out.flush();
    }

    private static String judge(DocumentBuilder builder, byte[] body) {
        boolean valid = false;
        boolean chain = false;
        String reads = "";
        String error = "";
        try {
            builder.reset();
            builder.setErrorHandler(null);
            Document document = builder.parse(new ByteArrayInputStream(body));
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            walk(document.getDocumentElement(), digest);
            reads = HexFormat.of().formatHex(digest.digest());
            markIds(document.getDocumentElement());
            NodeList found = document.getElementsByTagNameNS(XMLSignature.XMLNS, "Signature");
            if (found.getLength() == 0) {
                throw new IllegalStateException("no signature");
            }
            Chooser chooser = new Chooser();
            DOMValidateContext context = new DOMValidateContext(chooser, found.item(0));
            context.setProperty("org.jcp.xml.dsig.secureValidation", Boolean.TRUE);
            XMLSignature signature = SIGNATURES.unmarshalXMLSignature(context);
            valid = signature.validate(context);
            chain = valid && trusted(chooser.given);
            Reference reference = (Reference) signature.getSignedInfo().getReferences().get(0);
            if (valid && !"".equals(reference.getURI())) {
                valid = false;
                digest = MessageDigest.getInstance("SHA-256");
                walk(document.getElementById(reference.getURI().substring(1)), digest);
                reads = HexFormat.of().formatHex(digest.digest());
                error = attachments(document);
                valid = error.isEmpty();
            }
        } catch (Exception | StackOverflowError fault) {
            Throwable first = fault;
            while (first.getCause() != null) {
                first = first.getCause();
            }
            error = first.getClass().getSimpleName() + ": " + first.getMessage();
        }
        return "{\"valid\": " + valid + ", \"chain\": " + chain + ", \"reads\": \"" + reads + "\", \"error\": \""
                + error.replaceAll("[^ !#-\\[\\]-~]", "?") + "\"}";
    }

    /** Every attribute spelled Id counts as one, as consumers without a schema do it. */
    private static void markIds(Element element) {
        if (element.hasAttributeNS(null, "Id")) {
            element.setIdAttributeNS(null, "Id", true);
        }
        for (Node child = element.getFirstChild(); child != null; child = child.getNextSibling()) {
            if (child instanceof Element inner) {
                markIds(inner);
            }
        }
    }

    private static void walk(Element element, MessageDigest digest) {
        say(digest, "<", name(element));
        TreeMap<String, String> attributes = new TreeMap<>();
        NamedNodeMap listed = element.getAttributes();
        for (int at = 0; at < listed.getLength(); at++) {
            Attr attribute = (Attr) listed.item(at);
            if (!"http://www.w3.org/2000/xmlns/".equals(attribute.getNamespaceURI())) {
                attributes.put(name(attribute), attribute.getValue());
            }
        }
        attributes.forEach((key, value) -> {
            say(digest, "@", key);
            say(digest, "=", value);
        });
        StringBuilder text = new StringBuilder();
        List<Element> children = new ArrayList<>();
        for (Node child = element.getFirstChild(); child != null; child = child.getNextSibling()) {
            if (child.getNodeType() == Node.TEXT_NODE || child.getNodeType() == Node.CDATA_SECTION_NODE) {
                text.append(child.getNodeValue());
            } else if (child instanceof Element inner && !name(inner).equals("{" + XMLSignature.XMLNS + "}Signature")) {
                children.add(inner);
            }
        }
        say(digest, "t", text.toString());
        for (Element child : children) {
            walk(child, digest);
        }
        say(digest, ">", "");
    }

    /**
     * Compares attachments with the lines of the edXMLManifest, as a reader of the format does whose envelope alone is
     * signed; where there are no digests nothing is compared. Returns what is wrong, or nothing.
     */
    private static String attachments(Document document) throws Exception {
        Map<String, byte[]> given = new HashMap<>();
        NodeList found = document.getElementsByTagNameNS(EDXML, "Attachment");
        for (int at = 0; at < found.getLength(); at++) {
            Element attachment = (Element) found.item(at);
            String text = one(attachment, EDXML, "ContentTransferEncoded").replaceAll("[ \\t\\r\\n]", "");
            if (given.put(one(attachment, EDXML, "ContentId"), Base64.getDecoder().decode(text)) != null) {
                return "two attachments of one id";
            }
        }
        NodeList lines = document.getElementsByTagNameNS(EDXML, "Reference");
        for (int at = 0; at < lines.getLength(); at++) {
            Element line = (Element) lines.item(at);
            NodeList methods = line.getElementsByTagNameNS(XMLSignature.XMLNS, "DigestMethod");
            byte[] octets = given.remove(one(line, EDXML, "ContentId"));
            if (octets == null) {
                return "a line without its attachment";
            }
            if (methods.getLength() == 1) {
                String method = ((Element) methods.item(0)).getAttribute("Algorithm");
                String algorithm = "SHA-" + method.substring(method.length() - 3).replace("ha1", "1");
                byte[] wanted = Base64.getDecoder().decode(one(line, XMLSignature.XMLNS, "DigestValue"));
                if (!MessageDigest.isEqual(wanted, MessageDigest.getInstance(algorithm).digest(octets))) {
                    return "an attachment was altered";
                }
            }
        }
        return given.isEmpty() ? "" : "an attachment without its line";
    }

    private static String one(Element within, String namespace, String local) {
        NodeList found = within.getElementsByTagNameNS(namespace, local);
        if (found.getLength() != 1) {
            throw new IllegalStateException(found.getLength() + " times " + local);
        }
        return found.item(0).getTextContent();
    }

    private static String name(Node node) {
        return node.getNamespaceURI() == null ? node.getLocalName() : "{" + node.getNamespaceURI() + "}" + node.getLocalName();
    }

    private static void say(MessageDigest digest, String kind, String text) {
        byte[] octets = text.getBytes(StandardCharsets.UTF_8);
        digest.update((kind + octets.length + ":").getBytes(StandardCharsets.UTF_8));
        digest.update(octets);
    }

    private static boolean trusted(List<X509Certificate> given) {
        try {
            X509CertSelector leaf = new X509CertSelector();
            leaf.setCertificate(given.get(0));
            PKIXBuilderParameters parameters = new PKIXBuilderParameters(Set.of(new TrustAnchor(anchor, null)), leaf);
            parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(given)));
            parameters.setRevocationEnabled(false);
            parameters.setDate(moment);
            CertPath path = CertPathBuilder.getInstance("PKIX").build(parameters).getCertPath();
            return !path.getCertificates().isEmpty();
        } catch (Exception fault) {
            return false;
        }
    }

    /** The key of the first certificate in KeyInfo; all of them are kept for the path. */
    private static final class Chooser extends KeySelector {
        private final List<X509Certificate> given = new ArrayList<>();

        @Override
        public KeySelectorResult select(KeyInfo info, Purpose purpose, AlgorithmMethod method, XMLCryptoContext context)
                throws KeySelectorException {
            if (info != null) {
                for (Object part : info.getContent()) {
                    if (part instanceof X509Data data) {
                        for (Object one : data.getContent()) {
                            if (one instanceof X509Certificate certificate) {
                                given.add(certificate);
                            }
                        }
                    }
                }
            }
            if (given.isEmpty()) {
                throw new KeySelectorException("no certificate");
            }
            PublicKey key = given.get(0).getPublicKey();
            return () -> key;
        }
    }
}
