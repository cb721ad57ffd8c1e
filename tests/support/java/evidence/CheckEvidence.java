package evidence;

import java.io.ByteArrayInputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.*;

/**
 * A stranger's verifier of evidence, made from docs/evidence.md with the JDK alone.
 *
 * <pre>
 * java -cp CLASSES evidence.CheckEvidence [--known SHA256] [--head FILE] TARGET...
 * java -cp CLASSES evidence.CheckEvidence --fields FILE
 * </pre>
 *
 * A target is the folder of a log, or the file of a proof or a case. Prints "= target", a line for each fault (kind, what,
 * where, first, last), what is worth knowing behind "#", then "ok" or "broken".
 */
public class CheckEvidence {
    static final byte[] NOTHING = new byte[32];
    static final Set<String> known = new HashSet<>();
    static final List<Head> elsewhere = new ArrayList<>();
    static int faults = 0;

    public static void main(String[] args) throws Exception {
        if (args.length == 2 && args[0].equals("--fields")) {
            fields(Path.of(args[1]));
            return;
        }
        List<Path> targets = new ArrayList<>();
        for (int i = 0; i < args.length; i++) {
            if (args[i].equals("--known")) known.add(args[++i]);
            else if (args[i].equals("--head")) {
                for (String[] pair : pairs(Files.readString(Path.of(args[++i]), StandardCharsets.ISO_8859_1), 10))
                    elsewhere.add(signedHead(pair[0], pair[1]));
            } else targets.add(Path.of(args[i]));
        }
        for (Path target : targets) {
            System.out.println("= " + target);
            faults = 0;
            if (Files.isDirectory(target)) new Log(target).check();
            else proof(Files.readString(target));
            System.out.println(faults == 0 ? "ok" : "broken");
        }
    }

    /** Prints the fields of each record of a chain's file, or "-" for one that is none. */
    static void fields(Path file) throws Exception {
        ByteBuffer buffer = ByteBuffer.wrap(Files.readAllBytes(file));
        while (buffer.hasRemaining()) {
            byte[] octets = new byte[buffer.getInt()];
            buffer.get(octets);
            try {
                System.out.println(Fields.of(octets));
            } catch (IllegalStateException | java.nio.BufferUnderflowException e) {
                System.out.println("-");
            }
        }
    }

    static void fault(String kind, String what, String where, long first, long last) {
        faults++;
        System.out.println(kind + " " + what + " " + where + " " + first + " " + last);
    }

    static void need(boolean holds, String why) {
        if (!holds) throw new IllegalStateException(why);
    }

    // --- hashes and trees (RFC 9162, 2.1) --------------------------------------------------------------------------

    static byte[] sha256(byte[]... parts) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (byte[] part : parts) digest.update(part);
            return digest.digest();
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    static byte[] leaf(byte[] octets) {
        return sha256(new byte[] {0}, octets);
    }

    static byte[] node(byte[] left, byte[] right) {
        return sha256(new byte[] {1}, left, right);
    }

    static byte[] root(List<byte[]> leaves) {
        if (leaves.isEmpty()) return sha256();
        if (leaves.size() == 1) return leaves.get(0);
        int split = Integer.highestOneBit(leaves.size() - 1);
        return node(root(leaves.subList(0, split)), root(leaves.subList(split, leaves.size())));
    }

    /** The root that a path leads to, by the recursive definition: which half the leaf is in decides the side. */
    static byte[] climb(byte[] leaf, long index, long size, List<byte[]> path, int used) {
        need(index >= 0 && index < size, "no such leaf");
        if (size == 1) {
            need(used == 0, "the path is too long");
            return leaf;
        }
        need(used > 0, "the path is too short");
        long split = Long.highestOneBit(size - 1);
        byte[] beside = path.get(used - 1);
        return index < split
            ? node(climb(leaf, index, split, path, used - 1), beside)
            : node(beside, climb(leaf, index - split, size - split, path, used - 1));
    }

    static boolean consistent(long first, byte[] firstRoot, long size, byte[] root, List<byte[]> path) {
        if (first == size) return path.isEmpty() && Arrays.equals(firstRoot, root);
        if (first == 0) return path.isEmpty() && Arrays.equals(firstRoot, sha256());
        byte[][] both = subtree(first, size, path, path.size(), true, firstRoot);
        return both != null && Arrays.equals(both[0], firstRoot) && Arrays.equals(both[1], root);
    }

    /** Old and new root of a subtree, by SUBPROOF of 2.1.4.1. */
    static byte[][] subtree(long first, long size, List<byte[]> path, int used, boolean whole, byte[] firstRoot) {
        if (first == size) {
            if (whole) return used == 0 ? new byte[][] {firstRoot, firstRoot} : null;
            return used == 1 ? new byte[][] {path.get(0), path.get(0)} : null;
        }
        if (used == 0) return null;
        long split = Long.highestOneBit(size - 1);
        byte[] beside = path.get(used - 1);
        if (first <= split) {
            byte[][] in = subtree(first, split, path, used - 1, whole, firstRoot);
            return in == null ? null : new byte[][] {in[0], node(in[1], beside)};
        }
        byte[][] in = subtree(first - split, size - split, path, used - 1, false, firstRoot);
        return in == null ? null : new byte[][] {node(beside, in[0]), node(beside, in[1])};
    }

    // --- heads -----------------------------------------------------------------------------------------------------

    record Head(String text, String relay, long number, long life, long base, long size, long records, byte[] root,
            String previous, String certificate) {
        boolean vouched() {
            return known.contains(certificate);
        }
    }

    static final String[] LINES = {
        "truc-head", "relay", "number", "life", "base", "size", "records", "root", "time", "previous"
    };

    static Head head(String text, String certificate) {
        String[] lines = text.split("\n", -1);
        need(lines.length == 11 && lines[10].isEmpty(), "a head has ten lines");
        String[] values = new String[10];
        for (int i = 0; i < 10; i++) {
            need(lines[i].startsWith(LINES[i] + " "), "line " + (i + 1) + " of a head");
            values[i] = lines[i].substring(LINES[i].length() + 1);
            need(!values[i].isEmpty() && !values[i].contains(" "), "one space");
            if (i >= 2 && i <= 6) need(values[i].matches("0|[1-9][0-9]{0,17}"), "a number");
        }
        need(values[0].equals("1") && values[7].matches("[0-9a-f]{64}") && values[9].matches("[0-9a-f]{64}"), "head");
        need(values[8].matches("\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{6}Z"), "time");
        return new Head(text, values[1], Long.parseLong(values[2]), Long.parseLong(values[3]),
            Long.parseLong(values[4]), Long.parseLong(values[5]), Long.parseLong(values[6]), hex(values[7]),
            values[9], certificate);
    }

    /** Reads a head and checks its signature; throws if that does not hold. */
    static Head signedHead(String text, String line) throws Exception {
        X509Certificate leaf = signer(text, line, "truc-head+text");
        Head head = head(text, HexFormat.of().formatHex(sha256(leaf.getEncoded())));
        need(names(leaf, head.relay), "the certificate is not that of " + head.relay);
        return head;
    }

    /** What a witness says of a head. */
    record Statement(String text, String witness, String relay, long number, String head) {}

    static final String[] SAID = {"truc-witness", "witness", "relay", "number", "size", "head", "time"};

    static Statement statement(String text) {
        String[] lines = text.split("\n", -1);
        need(lines.length == 8 && lines[7].isEmpty(), "a statement has seven lines");
        String[] values = new String[7];
        for (int i = 0; i < 7; i++) {
            need(lines[i].startsWith(SAID[i] + " "), "line " + (i + 1) + " of a statement");
            values[i] = lines[i].substring(SAID[i].length() + 1);
        }
        need(values[0].equals("1") && values[5].matches("[0-9a-f]{64}"), "statement");
        return new Statement(text, values[1], values[2], Long.parseLong(values[3]), values[5]);
    }

    /** Checks who signed a statement; throws if that does not hold. */
    static void signedStatement(Statement said, String line) throws Exception {
        X509Certificate leaf = signer(said.text, line, "truc-witness+text");
        need(names(leaf, said.witness), "the certificate is not that of " + said.witness);
        need(!said.witness.equals(said.relay), "a relay is no witness of itself");
        boolean vouched = known.contains(HexFormat.of().formatHex(sha256(leaf.getEncoded())));
        System.out.println("# head " + said.number + " witness " + said.witness + (vouched ? " vouched" : " unvouched"));
    }

    static boolean names(X509Certificate leaf, String relay) throws Exception {
        boolean named = false;
        for (List<?> name : Objects.requireNonNullElse(leaf.getSubjectAlternativeNames(), List.<List<?>>of()))
            named |= name.get(0).equals(6) && name.get(1).equals("urn:truc:relay:" + relay);
        return named;
    }

    /** Checks a detached signature over a text and returns the certificate of whoever made it. */
    static X509Certificate signer(String text, String line, String type) throws Exception {
        Map<?, ?> both = (Map<?, ?>) Json.parse(line);
        need(both.keySet().equals(Set.of("protected", "signature")), "protected and signature");
        String protectedPart = (String) both.get("protected");
        Base64.Decoder url = Base64.getUrlDecoder();
        Map<?, ?> header = (Map<?, ?>) Json.parse(new String(url.decode(protectedPart), StandardCharsets.UTF_8));
        need(header.keySet().equals(Set.of("alg", "b64", "crit", "typ", "x5c")), "members of the header");
        need(header.get("typ").equals(type) && header.get("b64").equals(false)
            && header.get("crit").equals(List.of("b64")), "not the signature of this kind of text");
        byte[] der = Base64.getDecoder().decode((String) ((List<?>) header.get("x5c")).get(0));
        X509Certificate leaf = (X509Certificate)
            CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(der));
        String algorithm = switch ((String) header.get("alg")) {
            case "ES256" -> "SHA256withECDSAinP1363Format";
            case "ES384" -> "SHA384withECDSAinP1363Format";
            case "ES512" -> "SHA512withECDSAinP1363Format";
            case "RS256" -> "SHA256withRSA";
            default -> throw new IllegalStateException("algorithm");
        };
        Signature signature = Signature.getInstance(algorithm);
        signature.initVerify(leaf.getPublicKey());
        signature.update((protectedPart + ".").getBytes(StandardCharsets.US_ASCII));
        signature.update(text.getBytes(StandardCharsets.ISO_8859_1));
        need(signature.verify(url.decode((String) both.get("signature"))), "the signature does not hold");
        return leaf;
    }

    /** Texts of so many lines, each followed by a line of JSON. */
    static List<String[]> pairs(String all, int lines) {
        List<String[]> found = new ArrayList<>();
        int at = 0;
        while (at < all.length()) {
            int end = at;
            for (int i = 0; i < lines; i++) {
                end = all.indexOf('\n', end) + 1;
                need(end > 0, "cut off");
            }
            int stop = all.indexOf('\n', end);
            need(stop > 0 && all.charAt(end) == '{', "no signature");
            found.add(new String[] {all.substring(at, end), all.substring(end, stop)});
            at = stop + 1;
        }
        return found;
    }

    static byte[] hex(String text) {
        need(text.matches("[0-9a-f]{64}"), "a hash");
        return HexFormat.of().parseHex(text);
    }

    // --- a record's place ------------------------------------------------------------------------------------------

    /** What every record has in common; seq 0: it cannot be read. */
    static final class Entry {
        final int place;
        final byte[] octets, hash;
        int kind;
        long seq;
        String link = "";

        Entry(int place, byte[] octets) {
            this.place = place;
            this.octets = octets;
            this.hash = leaf(octets);
            try {
                ByteBuffer buffer = ByteBuffer.wrap(octets);
                if (buffer.get() != 1) return;
                kind = buffer.get();
                long number = number(buffer);
                buffer.getLong();
                byte[] sixteen = new byte[16];
                buffer.get(sixteen);
                link = HexFormat.of().formatHex(sixteen);
                seq = number;
            } catch (RuntimeException e) {
                seq = 0;
            }
        }

        String name() {
            return HexFormat.of().formatHex(hash, 0, 16);
        }
    }

    static long number(ByteBuffer buffer) {
        long value = 0;
        for (int shift = 0; ; shift += 7) {
            byte part = buffer.get();
            need(shift < 63, "a number that is too long");
            value |= (long) (part & 127) << shift;
            if (part >= 0) {
                need(part != 0 || shift == 0, "a superfluous byte");
                return value;
            }
        }
    }

    static String token(ByteBuffer buffer) {
        byte form = buffer.get();
        byte[] octets = new byte[form == 1 ? 16 : form == 2 ? 32 : (int) number(buffer)];
        buffer.get(octets);
        if (form == 1) return uuid(octets);
        return form == 2 ? HexFormat.of().formatHex(octets) : new String(octets, StandardCharsets.UTF_8);
    }

    static String text(ByteBuffer buffer) {
        byte[] octets = new byte[(int) number(buffer)];
        buffer.get(octets);
        return new String(octets, StandardCharsets.UTF_8);
    }

    static String uuid(byte[] octets) {
        ByteBuffer buffer = ByteBuffer.wrap(octets);
        return new UUID(buffer.getLong(), buffer.getLong()).toString();
    }

    // --- headers ---------------------------------------------------------------------------------------------------

    static final class Batch {
        final byte[] octets, hash;
        final String chain;
        final long number, first;
        final int count;
        int place; // in the main log, from 1
        boolean vouched = true; // by a head, or by the chain's next header; or nothing speaks against it
        final byte[] root = new byte[32], last = new byte[32], previous = new byte[32];

        Batch(byte[] octets) {
            need(octets.length == 141 && octets[0] == 1, "no header");
            this.octets = octets;
            hash = leaf(octets);
            ByteBuffer buffer = ByteBuffer.wrap(octets, 1, 140);
            chain = new UUID(buffer.getLong(), buffer.getLong()).toString();
            number = buffer.getLong();
            first = buffer.getLong();
            count = buffer.getInt();
            buffer.get(root).get(last).get(previous);
            need(number > 0 && first > 0 && count > 0 && count <= 4096, "a header of nothing");
        }

        long end() {
            return first + count - 1;
        }
    }

    // --- a proof, a case -------------------------------------------------------------------------------------------

    static void proof(String json) throws Exception {
        try {
            Map<?, ?> value = (Map<?, ?>) Json.parse(json);
            boolean whole = "truc-evidence-1".equals(value.get("format"));
            Map<?, ?> proof = whole ? (Map<?, ?>) value.get("proof") : value;
            need("truc-proof-1".equals(proof.get("format")), "no proof");
            List<Head> heads = new ArrayList<>();
            for (Object one : (List<?>) proof.get("heads")) {
                Map<?, ?> in = (Map<?, ?>) one;
                Head head = signedHead((String) in.get("text"), (String) in.get("signature"));
                heads.add(head);
                for (Object two : (List<?>) in.get("statements")) {
                    Map<?, ?> pair = (Map<?, ?>) two;
                    Statement said = statement((String) pair.get("text"));
                    need(said.head.equals(HexFormat.of().formatHex(
                        sha256(head.text.getBytes(StandardCharsets.ISO_8859_1)))), "a statement about another head");
                    signedStatement(said, (String) pair.get("signature"));
                }
            }
            List<?> links = (List<?>) proof.get("consistency");
            need(links.size() == heads.size() - 1, "a consistency proof for each two heads");
            for (int i = 0; i < links.size(); i++) {
                Head one = heads.get(i), two = heads.get(i + 1);
                need(one.relay.equals(two.relay) && one.size <= two.size
                    && consistent(one.size, one.root, two.size, two.root, path(links.get(i))),
                    "head " + one.number + " is not the beginning of head " + two.number);
            }
            int under = ((Number) proof.get("under")).intValue();
            Head covering = heads.get(under);
            List<Batch> batches = new ArrayList<>();
            for (Object one : (List<?>) proof.get("batches")) {
                Map<?, ?> in = (Map<?, ?>) one;
                Batch batch = new Batch(base64(in.get("header")));
                List<byte[]> path = path(in.get("path"));
                long place = ((Number) in.get("place")).longValue();
                need(Arrays.equals(climb(batch.hash, place, covering.size, path, path.size()), covering.root),
                    "a batch is not under the head");
                batches.add(batch);
            }
            Set<String> receipts = new HashSet<>();
            List<?> records = (List<?>) proof.get("records");
            need(!records.isEmpty(), "no record");
            for (Object one : records) {
                Map<?, ?> in = (Map<?, ?>) one;
                Entry entry = new Entry(1, base64(in.get("record")));
                Batch batch = batches.get(((Number) in.get("batch")).intValue());
                List<byte[]> path = path(in.get("path"));
                need(Arrays.equals(climb(entry.hash, entry.seq - batch.first, batch.count, path, path.size()),
                    batch.root), "record " + entry.seq + " is not in its batch");
                System.out.println("# record " + entry.kind + " " + batch.chain + " " + entry.seq);
                if (entry.kind == 6) receipts.add(receipt(entry.octets));
                if (entry.kind == 2 || entry.kind == 3 || entry.kind == 4) submission(entry);
            }
            if (whole)
                for (Object body : (List<?>) value.get("receipts"))
                    need(receipts.contains(HexFormat.of().formatHex(sha256(base64(body)))),
                        "a receipt that no record binds");
            boolean vouched = heads.stream().anyMatch(Head::vouched);
            for (Head mine : elsewhere) {
                boolean covers = false, extended = false;
                for (int i = 0; i < heads.size(); i++)
                    if (heads.get(i).size == mine.size && Arrays.equals(heads.get(i).root, mine.root)) {
                        covers |= i >= under;
                        extended = true;
                    }
                for (Head head : heads)
                    if (mine.relay.equals(head.relay) && mine.life == head.life && contradict(mine, head)) {
                        // Anybody can sign a head that contradicts with a certificate of his own making.
                        boolean theirs = mine.vouched()
                            || heads.stream().anyMatch(own -> own.certificate.equals(mine.certificate));
                        fault(theirs ? "forked" : "signature", "head", "elsewhere", mine.number, mine.number);
                        break;
                    }
                System.out.println("# head " + mine.number + (covers ? " covers" : extended ? " extended" : " unrelated"));
                vouched |= covers;
            }
            System.out.println(vouched ? "# vouched" : "# unvouched");
        } catch (IllegalStateException | IllegalArgumentException | ClassCastException | NullPointerException
                | IndexOutOfBoundsException e) {
            System.out.println("# " + e.getMessage());
            fault("broken", "proof", "-", 0, 0);
        }
    }

    /** Whether two heads of one life contradict each other as they stand: there are two histories then. */
    static boolean contradict(Head one, Head two) {
        if (one.number == two.number) return !one.text.equals(two.text);
        Head first = one.number < two.number ? one : two, second = first == one ? two : one;
        boolean next = second.number == first.number + 1;
        String hash = HexFormat.of().formatHex(sha256(first.text.getBytes(StandardCharsets.ISO_8859_1)));
        return next && !second.previous.equals(hash) || second.size < first.size
            || second.size == first.size && !Arrays.equals(second.root, first.root);
    }

    /** The hash in a record of a receipt. */
    static String receipt(byte[] octets) {
        ByteBuffer buffer = fields(octets);
        text(buffer);
        buffer.getShort(); // kind, result
        text(buffer);
        text(buffer);
        token(buffer);
        byte[] hash = new byte[32];
        buffer.get(hash);
        return HexFormat.of().formatHex(hash);
    }

    static void submission(Entry entry) {
        ByteBuffer buffer = fields(entry.octets);
        String transport = token(buffer), sender = text(buffer);
        text(buffer);
        String kind = text(buffer);
        byte[] body = new byte[32];
        buffer.get(body);
        number(buffer);
        String document = text(buffer);
        token(buffer);
        if ((buffer.get() & 1) != 0) {
            text(buffer);
            token(buffer);
            text(buffer);
            text(buffer);
        }
        StringBuilder deliveries = new StringBuilder();
        for (long left = number(buffer); left > 0; left--) {
            deliveries.append(' ').append(token(buffer)).append('=').append(text(buffer));
            buffer.get();
            text(buffer);
        }
        token(buffer);
        String more = "";
        if (entry.kind == 3) more = " " + text(buffer);
        if (entry.kind == 4)
            more = " about " + token(buffer) + " " + token(buffer) + " status " + text(buffer) + " moved " + buffer.get();
        System.out.println("# submission " + transport + " " + sender + " " + kind + " "
            + HexFormat.of().formatHex(body) + " " + document + deliveries + more);
    }

    static ByteBuffer fields(byte[] octets) {
        ByteBuffer buffer = ByteBuffer.wrap(octets);
        buffer.getShort();
        number(buffer);
        buffer.getLong();
        buffer.position(buffer.position() + 16);
        return buffer;
    }

    static List<byte[]> path(Object value) {
        List<byte[]> found = new ArrayList<>();
        for (Object one : (List<?>) value) found.add(hex((String) one));
        return found;
    }

    static byte[] base64(Object value) {
        return Base64.getDecoder().decode((String) value);
    }
}
