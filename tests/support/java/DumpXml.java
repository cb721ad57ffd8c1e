import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import javax.xml.parsers.DocumentBuilder;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/** Prints each element without child elements of each file: its path, and its text in base64 (payloads: their hash). */
public class DumpXml {
    private static final String NAMESPACE = "http://www.mic.gov.vn/TBT/QCVN_102_2016";
    private static PrintStream out;

    public static void main(String[] files) throws Exception {
        out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        DocumentBuilderFactory builders = DocumentBuilderFactory.newInstance();
        builders.setNamespaceAware(true);
        builders.setCoalescing(true);
        for (String list : files) {
            for (String file : Files.readAllLines(Path.of(list))) {
                DocumentBuilder builder = builders.newDocumentBuilder();
                out.println("file " + file);
                walk(builder.parse(Path.of(file).toFile()).getDocumentElement(), "");
            }
        }
        out.flush();
    }

    private static void walk(Element element, String path) throws Exception {
        Map<String, Integer> counts = new HashMap<>();
        boolean leaf = true;
        for (Node child = element.getFirstChild(); child != null; child = child.getNextSibling()) {
            if (child instanceof Element inner) {
                leaf = false;
                if (NAMESPACE.equals(inner.getNamespaceURI())) {
                    String name = inner.getLocalName();
                    int number = counts.merge(name, 1, Integer::sum);
                    walk(inner, path + "/" + name + "[" + number + "]");
                }
            }
        }
        if (leaf) {
            String text = element.getTextContent();
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            String told = Base64.getEncoder().encodeToString(bytes);
            if (element.getLocalName().equals("ContentTransferEncoded")) {
                byte[] content = Base64.getMimeDecoder().decode(text);
                told = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
            }
            out.println(path.substring(Math.min(1, path.length())) + " " + told);
        }
    }
}
