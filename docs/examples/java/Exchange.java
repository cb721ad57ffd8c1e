import java.nio.file.Path;
import java.time.LocalDate;
import java.time.format.DateTimeFormatter;
import java.util.*;
import org.w3c.dom.*;

/**
 * One document to two recipients, over the real relay. Usage: Exchange SANDBOX.JSON FOLDER [SENDER RECIPIENT...]
 *
 * <p>Each recipient dies once between storing and acknowledging, drops the duplicate that follows, and answers 01.
 */
public final class Exchange {
    public static void main(String[] arguments) throws Exception {
        List<String> codes = arguments.length > 2
                ? List.of(arguments).subList(2, arguments.length) : List.of("H26", "H53", "G22");
        List<Gateway> gateways = new ArrayList<>();
        for (String code : codes)
            gateways.add(new Gateway(Path.of(arguments[0]), code, Path.of(arguments[1], code)));
        Gateway sender = gateways.get(0);
        List<Gateway> recipients = gateways.subList(1, gateways.size());
        String id = UUID.randomUUID().toString();

        StringBuilder message = new StringBuilder("<From><OrganId>" + sender.code + "</OrganId></From>");
        recipients.forEach(each -> message.append("<To><OrganId>" + each.code + "</OrganId></To>"));
        String day = LocalDate.now().format(DateTimeFormatter.ofPattern("uuuu/MM/dd"));
        String number = sender.code + "," + day + "," + id.substring(0, 8) + "/CV-" + sender.code;
        message.append("<DocumentId>" + number + "</DocumentId>");
        sender.publish("normal", "edoc", sender.sign(message.toString()), id, null);
        System.out.println(sender.code + " sent " + id);

        told(sender, id, "acknowledgement", "queued");
        for (Gateway each : recipients) {
            each.read((properties, root) -> false, id);
            each.read((properties, root) -> id.equals(properties.getMessageId()), null);
        }
        told(sender, id, "outcome", "delivered");
    }

    /** Waits for a receipt; its signature was checked when it was read. */
    private static void told(Gateway sender, String id, String kind, String state) throws Exception {
        Element receipt = sender.read((properties, root) ->
                id.equals(properties.getCorrelationId()) && root.getAttribute("kind").equals(kind), null);
        String result = receipt.getAttribute("result");
        StringBuilder line = new StringBuilder(sender.code + " is told: " + kind + " " + result);
        NodeList recipients = receipt.getElementsByTagName("recipient");
        boolean all = true;
        for (int i = 0; i < recipients.getLength(); i++) {
            Element each = (Element) recipients.item(i);
            line.append(" " + each.getAttribute("code") + "=" + each.getAttribute("state"));
            all &= each.getAttribute("state").equals(state);
        }
        System.out.println(line);
        EdXml.need(all, "not all are " + state);
    }
}
