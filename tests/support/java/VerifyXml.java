import java.io.FileInputStream;
import java.io.InputStream;
import java.security.cert.X509Certificate;
import javax.xml.crypto.dsig.XMLSignature;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMValidateContext;
import javax.xml.crypto.dsig.keyinfo.KeyInfo;
import javax.xml.crypto.dsig.keyinfo.X509Data;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Document;
import org.w3c.dom.NodeList;

/** Verifies the one XML signature of each file named, with nothing but the JDK. Prints "file valid|invalid". */
public class VerifyXml {
    public static void main(String[] files) throws Exception {
        DocumentBuilderFactory builders = DocumentBuilderFactory.newInstance();
        builders.setNamespaceAware(true);
        XMLSignatureFactory signatures = XMLSignatureFactory.getInstance("DOM");
        for (String file : files) {
            String verdict;
            try (InputStream in = new FileInputStream(file)) {
                Document document = builders.newDocumentBuilder().parse(in);
                NodeList found = document.getElementsByTagNameNS(XMLSignature.XMLNS, "Signature");
                DOMValidateContext context = new DOMValidateContext(
                        new CertificateSelector(), found.item(0));
                context.setProperty("org.jcp.xml.dsig.secureValidation", Boolean.TRUE);
                XMLSignature signature = signatures.unmarshalXMLSignature(context);
                verdict = found.getLength() == 1 && signature.validate(context) ? "valid" : "invalid";
            } catch (Exception error) {
                verdict = "invalid " + error.getMessage();
            }
            System.out.println(file + " " + verdict);
        }
    }

    /** The key of the first certificate in KeyInfo. */
    private static class CertificateSelector extends javax.xml.crypto.KeySelector {
        @Override
        public javax.xml.crypto.KeySelectorResult select(
                KeyInfo info, Purpose purpose, javax.xml.crypto.AlgorithmMethod method,
                javax.xml.crypto.XMLCryptoContext context) {
            X509Data data = (X509Data) info.getContent().get(0);
            X509Certificate leaf = (X509Certificate) data.getContent().get(0);
            return () -> leaf.getPublicKey();
        }
    }
}
