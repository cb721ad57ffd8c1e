import com.rabbitmq.client.AMQP;
import com.rabbitmq.tools.json.JSONReader;
import java.io.ByteArrayInputStream;
import java.nio.file.*;
import java.security.MessageDigest;
import java.security.cert.X509Certificate;
import java.time.*;
import java.time.format.DateTimeFormatter;
import java.util.*;
import org.w3c.dom.*;

/** What a gateway checks before it stores, and what it answers. */
final class Checks {
    private static final String RELAY = "urn:truc:relay:";
    final Map<String, Object> box;
    private final Directory directory;
    private final X509Certificate anchor;

    Checks(Path sandbox) throws Exception {
        box = json(sandbox);
        directory = new Directory(at(box, "directory"));
        anchor = pem(at(box, "ca_cert")).get(0);
    }

    /** Returns the signed root of what arrived for an agency, or throws what stands against it. */
    Element check(String code, AMQP.BasicProperties properties, byte[] body) throws Exception {
        if (properties.getType().equals("receipt")) {
            EdXml.Signed receipt = EdXml.verify(body, "/receipt", anchor, Instant.now());
            Element root = receipt.document().getDocumentElement();
            List<Object> uris = new ArrayList<>();
            for (List<?> name : receipt.signer().getSubjectAlternativeNames())
                if (name.get(0).equals(6)) uris.add(name.get(1));
            EdXml.need(uris.equals(List.of(RELAY + root.getAttribute("relay"))), "another relay than it names");
            return root;
        }
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(body);
        EdXml.need(HexFormat.of().formatHex(digest).equals(told(properties, "truc-sha256")), "not what the relay took");
        Instant at = Instant.parse(told(properties, "truc-accepted-at"));
        EdXml.Signed signed = EdXml.verify(body, "/edXML/edXMLEnvelope/edXMLHeader", anchor, at);
        Element root = signed.document().getDocumentElement();
        Map<String, Object> sender = directory.entry(text(root, "From", "OrganId").get(0), at);
        EdXml.need(sender.get("code").equals(told(properties, "truc-sender")), "another sender than the relay says");
        EdXml.need(directory.signs(signed.signer(), sender, at), "signed by somebody else");
        boolean named = false;
        for (String each : text(root, properties.getType().equals("edoc") ? "To" : "ResponseFor", "OrganId"))
            named |= directory.entry(each, at).get("code").equals(code);
        EdXml.need(named && code.equals(told(properties, "truc-recipient")), "not for us");
        return root;
    }

    /** Returns the MessageHeader of the status 01 that answers a document. */
    static String arrived(String code, Element document) {
        String number = text(document, "MessageHeader", "DocumentId").get(0);
        String now = ZonedDateTime.now(ZoneId.of("+07:00")).format(DateTimeFormatter.ofPattern("uuuu/MM/dd HH:mm:ss"));
        return "<From><OrganId>" + code + "</OrganId></From><ResponseFor><OrganId>"
                + text(document, "From", "OrganId").get(0) + "</OrganId><DocumentId>"
                + number.replace("&", "&amp;").replace("<", "&lt;") + "</DocumentId></ResponseFor>"
                + "<StatusCode>01</StatusCode><Timestamp>" + now + "</Timestamp>";
    }

    /** Returns the texts of all children of that name in elements of that name. */
    static List<String> text(Element root, String parent, String child) {
        List<String> texts = new ArrayList<>();
        NodeList found = root.getElementsByTagNameNS(EdXml.NAMESPACE, child);
        for (int i = 0; i < found.getLength(); i++)
            if (found.item(i).getParentNode().getLocalName().equals(parent)) texts.add(found.item(i).getTextContent());
        return texts;
    }

    static String told(AMQP.BasicProperties properties, String header) {
        return properties.getHeaders().get(header).toString();
    }

    @SuppressWarnings("unchecked")
    static <T> T at(Map<String, Object> map, String key) {
        return (T) map.get(key);
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> map(Object value) {
        return (Map<String, Object>) value;
    }

    /** Reads JSON with what RabbitMQ's client brings along; it stumbles over an empty object. */
    static Map<String, Object> json(Path file) throws Exception {
        return map(new JSONReader().read(Files.readString(file).replace("{}", "null")));
    }

    static List<X509Certificate> pem(String file) throws Exception {
        return EdXml.certificates(new ByteArrayInputStream(Files.readAllBytes(Path.of(file))));
    }
}
