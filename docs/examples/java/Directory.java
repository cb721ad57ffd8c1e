import java.io.ByteArrayInputStream;
import java.nio.file.Path;
import java.security.cert.X509Certificate;
import java.time.*;
import java.util.*;

/** The directory of agencies, as the operator hands it out: who a code is, and whose certificate signs for it. */
final class Directory {
    private final List<Map<String, Object>> agencies;

    Directory(String file) throws Exception {
        agencies = Checks.at(Checks.json(Path.of(file)), "agencies");
    }

    /** Returns the agency of a code as written, in either form; a closed one leads to its only successor. */
    Map<String, Object> entry(String written, Instant at) {
        String code = written;
        if (written.matches("([0-9]+\\.)+[A-Z][0-9]{2}")) { // the form of 2016: 000.01.15.H26 is H26.15.01
            List<String> groups = new ArrayList<>(List.of(written.split("\\.")));
            groups.removeIf(each -> each.matches("0+"));
            Collections.reverse(groups);
            code = String.join(".", groups);
        }
        Map<String, Object> found = null;
        for (Map<String, Object> each : agencies) {
            if (list(each, "aliases").contains(written)) return followed(each, at);
            if (code.equals(each.get("code"))) found = each;
        }
        EdXml.need(found != null, "a code that the directory does not know");
        return followed(found, at);
    }

    private Map<String, Object> followed(Map<String, Object> agency, Instant at) {
        boolean ended = text(agency, "valid_to", day(at)).compareTo(day(at)) < 0;
        boolean closed = ended || "closed".equals(agency.get("admission"));
        List<Object> successors = list(agency, "successors");
        return closed && successors.size() == 1 ? entry((String) successors.get(0), at) : agency;
    }

    /** Whether a certificate signs for an agency at that moment: one of its own or of its gateway's. */
    boolean signs(X509Certificate certificate, Map<String, Object> agency, Instant at) throws Exception {
        List<Object> known = new ArrayList<>(list(agency, "certificates"));
        for (Map<String, Object> each : agencies)
            if (each.get("code").equals(agency.get("gateway"))) known.addAll(list(each, "certificates"));
        for (Object each : known) {
            Map<String, Object> dated = each instanceof String ? new HashMap<>(Map.of("pem", each)) : Checks.map(each);
            String today = day(at);
            boolean good = text(dated, "not_before", today).compareTo(today) <= 0
                    && today.compareTo(text(dated, "not_after", today)) <= 0
                    && at.isBefore(OffsetDateTime.parse(text(dated, "retired_at", "9999-12-31T00:00:00Z")).toInstant());
            byte[] pem = text(dated, "pem", "").getBytes();
            if (good && EdXml.certificates(new ByteArrayInputStream(pem)).contains(certificate)) return true;
        }
        return false;
    }

    /** Days are those of Vietnam. */
    private static String day(Instant at) {
        return at.atZone(ZoneId.of("+07:00")).toLocalDate().toString();
    }

    private static List<Object> list(Map<String, Object> map, String key) {
        return map.containsKey(key) ? Checks.at(map, key) : List.of();
    }

    private static String text(Map<String, Object> map, String key, String otherwise) {
        return map.containsKey(key) ? Checks.at(map, key) : otherwise;
    }
}
