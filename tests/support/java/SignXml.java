import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.List;
import javax.xml.crypto.dsig.DigestMethod;
import javax.xml.crypto.dsig.CanonicalizationMethod;
import javax.xml.crypto.dsig.Reference;
import javax.xml.crypto.dsig.SignedInfo;
import javax.xml.crypto.dsig.Transform;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMSignContext;
import javax.xml.crypto.dsig.keyinfo.KeyInfo;
import javax.xml.crypto.dsig.keyinfo.KeyInfoFactory;
import javax.xml.crypto.dsig.spec.C14NMethodParameterSpec;
import javax.xml.crypto.dsig.spec.TransformParameterSpec;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/**
 * Signs files with the JDK's own XML signature, enveloped, as last child of the element given by namespace and name.
 * Arguments: key.der (PKCS#8) EC|RSA cert.der namespace localName then pairs of unsigned and signed file.
 */
public class SignXml {
    public static void main(String[] args) throws Exception {
        PrivateKey key = KeyFactory.getInstance(args[1])
                .generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(Path.of(args[0]))));
        X509Certificate leaf = (X509Certificate) CertificateFactory.getInstance("X.509")
                .generateCertificate(new ByteArrayInputStream(Files.readAllBytes(Path.of(args[2]))));
        XMLSignatureFactory signatures = XMLSignatureFactory.getInstance("DOM");
        KeyInfoFactory infos = signatures.getKeyInfoFactory();
        String method = "http://www.w3.org/2001/04/xmldsig-more#" + (args[1].equals("EC") ? "ecdsa" : "rsa") + "-sha256";
        DocumentBuilderFactory builders = DocumentBuilderFactory.newInstance();
        builders.setNamespaceAware(true);
        for (int i = 5; i < args.length; i += 2) {
            Document document = builders.newDocumentBuilder().parse(new File(args[i]));
            Element parent = (Element) document.getElementsByTagNameNS(args[3], args[4]).item(0);
            Reference reference = signatures.newReference("",
                    signatures.newDigestMethod(DigestMethod.SHA256, null),
                    List.of(signatures.newTransform(Transform.ENVELOPED, (TransformParameterSpec) null),
                            signatures.newTransform(CanonicalizationMethod.EXCLUSIVE, (TransformParameterSpec) null)),
                    null, null);
            SignedInfo info = signatures.newSignedInfo(
                    signatures.newCanonicalizationMethod(CanonicalizationMethod.EXCLUSIVE, (C14NMethodParameterSpec) null),
                    signatures.newSignatureMethod(method, null), List.of(reference));
            KeyInfo keyInfo = infos.newKeyInfo(List.of(infos.newX509Data(List.of(leaf))));
            signatures.newXMLSignature(info, keyInfo).sign(new DOMSignContext(key, parent));
            try (OutputStream out = new FileOutputStream(args[i + 1])) {
                TransformerFactory.newInstance().newTransformer().transform(new DOMSource(document), new StreamResult(out));
            }
        }
    }
}
