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
 * java CheckEvidence.java [--known SHA256] [--head FILE] TARGET...
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
        Map<?, ?> both = (Map<?, ?>) Json.parse(line);
        need(both.keySet().equals(Set.of("protected", "signature")), "protected and signature");
        String protectedPart = (String) both.get("protected");
        Base64.Decoder url = Base64.getUrlDecoder();
        Map<?, ?> header = (Map<?, ?>) Json.parse(new String(url.decode(protectedPart), StandardCharsets.UTF_8));
        need(header.keySet().equals(Set.of("alg", "b64", "crit", "typ", "x5c")), "members of the header");
        need(header.get("typ").equals("truc-head+text") && header.get("b64").equals(false)
            && header.get("crit").equals(List.of("b64")), "not the signature of a head");
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
        Head head = head(text, HexFormat.of().formatHex(sha256(der)));
        boolean named = false;
        for (List<?> name : Objects.requireNonNullElse(leaf.getSubjectAlternativeNames(), List.<List<?>>of()))
            named |= name.get(0).equals(6) && name.get(1).equals("urn:truc:relay:" + head.relay);
        need(named, "the certificate is not that of " + head.relay);
        return head;
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

    // --- a whole log -----------------------------------------------------------------------------------------------

    static final class Log {
        final Path folder;
        final List<Head> heads = new ArrayList<>();
        final List<byte[]> leaves = new ArrayList<>();
        final Map<String, List<Batch>> chains = new LinkedHashMap<>();
        long records = 0;

        Log(Path folder) {
            this.folder = folder;
        }

        void check() throws Exception {
            heads();
            mainLog();
            fromElsewhere();
            Set<String> names = new LinkedHashSet<>(chains.keySet());
            try (var files = Files.list(folder.resolve("chains"))) {
                files.map(path -> path.getFileName().toString()).sorted().forEach(names::add);
            }
            for (String chain : names) records(chain, chains.getOrDefault(chain, List.of()));
            System.out.println("# " + records + " records, " + leaves.size() + " batches, " + heads.size() + " heads");
        }

        void heads() throws Exception {
            Path file = folder.resolve("heads");
            if (!Files.exists(file)) return;
            long last = 0;
            String previous = "0".repeat(64);
            Head before = null;
            for (String[] pair : pairs(Files.readString(file, StandardCharsets.ISO_8859_1), 10)) {
                Head head = head(pair[0], "");
                if (head.number > last + 1) fault("removed", "head", "-", last + 1, head.number - 1);
                else if (head.number <= last) fault("swapped", "head", "-", head.number, head.number);
                else if (!head.previous.equals(previous)) fault("altered", "head", "-", last, last);
                else if (before != null) {
                    boolean same = head.life == before.life && head.base == before.base;
                    boolean restored = head.life > before.life && head.base >= before.size;
                    if (!(same || restored) || head.size < before.size || head.records < before.records)
                        fault("forked", "head", "-", head.number, head.number);
                }
                try {
                    heads.add(signedHead(pair[0], pair[1]));
                } catch (Exception e) {
                    fault("altered", "head", "-", head.number, head.number);
                }
                last = head.number;
                previous = HexFormat.of().formatHex(sha256(pair[0].getBytes(StandardCharsets.ISO_8859_1)));
                before = head;
            }
            if (!known.isEmpty() && !heads.isEmpty() && !heads.get(heads.size() - 1).vouched())
                fault("signature", "head", "-", last, last);
        }

        void mainLog() throws Exception {
            byte[] all = Files.readAllBytes(folder.resolve("batches"));
            List<Long> counts = new ArrayList<>(List.of(0L));
            int before = faults;
            for (int at = 0; at < all.length; at += 141) {
                byte[] octets = Arrays.copyOfRange(all, at, Math.min(at + 141, all.length));
                leaves.add(leaf(octets));
                long count = 0;
                try {
                    Batch batch = new Batch(octets);
                    chains.computeIfAbsent(batch.chain, name -> new ArrayList<>()).add(batch);
                    count = batch.count;
                } catch (IllegalStateException e) {
                    fault("altered", "batch", "-", leaves.size(), leaves.size());
                }
                counts.add(counts.get(counts.size() - 1) + count);
            }
            for (var chain : chains.entrySet()) joined(chain.getKey(), chain.getValue());
            long good = 0;
            for (Head head : heads) {
                if (head.size > leaves.size()) {
                    fault("truncated", "batch", "-", leaves.size() + 1, head.size);
                    return;
                }
                if (!Arrays.equals(root(leaves.subList(0, (int) head.size)), head.root)) {
                    if (faults == before) misfit(head, (int) good);
                    return;
                }
                if (counts.get((int) head.size) != head.records)
                    fault("malformed", "head", "-", head.number, head.number);
                good = head.size;
            }
        }

        /** Two headers exchanged, or somewhere between the last good head and this one. */
        void misfit(Head head, int good) {
            List<byte[]> tried = new ArrayList<>(leaves.subList(0, (int) head.size));
            for (int i = good; i < tried.size() && tried.size() - good <= 64; i++)
                for (int j = i + 1; j < tried.size(); j++) {
                    Collections.swap(tried, i, j);
                    if (Arrays.equals(root(tried), head.root)) {
                        fault("swapped", "batch", "-", i + 1, j + 1);
                        return;
                    }
                    Collections.swap(tried, i, j);
                }
            fault("altered", "batch", "-", good + 1, head.size);
        }

        void joined(String chain, List<Batch> batches) {
            long last = 0, end = 0;
            byte[] previous = NOTHING;
            for (Batch batch : batches) {
                if (batch.number > last + 1) fault("removed", "batch", chain, last + 1, batch.number - 1);
                else if (batch.number <= last) {
                    fault("inserted", "batch", chain, batch.number, batch.number);
                    continue;
                } else if (!Arrays.equals(batch.previous, previous)) fault("altered", "batch", chain, last, last);
                else if (batch.first != end + 1) fault("altered", "batch", chain, batch.number, batch.number);
                last = batch.number;
                end = batch.end();
                previous = batch.hash;
            }
        }

        void fromElsewhere() {
            for (Head head : elsewhere) {
                long base = heads.stream().filter(own -> own.life > head.life).mapToLong(Head::base).min().orElse(-1);
                if (base >= 0 && head.size > base) fault("restored", "head", "elsewhere", head.number, head.number);
                else if (head.size > leaves.size())
                    fault("truncated", "head", "elsewhere", head.number, head.number);
                else if (!Arrays.equals(root(leaves.subList(0, (int) head.size)), head.root))
                    fault("forked", "head", "elsewhere", head.number, head.number);
                else if (heads.stream().anyMatch(own -> own.life == head.life && own.number == head.number
                        && !own.text.equals(head.text)))
                    fault("forked", "head", "elsewhere", head.number, head.number);
            }
        }

        void records(String chain, List<Batch> batches) throws Exception {
            List<Entry> entries = new ArrayList<>();
            Path file = folder.resolve("chains").resolve(chain);
            boolean whole = true;
            if (Files.exists(file)) {
                ByteBuffer buffer = ByteBuffer.wrap(Files.readAllBytes(file));
                while (buffer.hasRemaining()) {
                    int size = buffer.remaining() < 4 ? -1 : buffer.getInt();
                    if (size < 0 || size > buffer.remaining()) {
                        whole = false;
                        break;
                    }
                    byte[] octets = new byte[size];
                    buffer.get(octets);
                    entries.add(new Entry(entries.size() + 1, octets));
                }
            }
            records += entries.size();
            if (!whole) fault("malformed", "record", chain, entries.size() + 1, entries.size() + 1);
            if (fits(chain, entries, batches)) return;
            new Naming(chain, entries, batches).name();
        }

        boolean fits(String chain, List<Entry> entries, List<Batch> batches) {
            ByteBuffer id = ByteBuffer.allocate(16);
            UUID name = UUID.fromString(chain);
            id.putLong(name.getMostSignificantBits()).putLong(name.getLeastSignificantBits());
            String link = HexFormat.of().formatHex(sha256(new byte[] {2}, id.array()), 0, 16);
            boolean ended = false;
            for (Entry entry : entries) {
                if (entry.seq != entry.place || !entry.link.equals(link)) return false;
                if (ended || (entry.seq == 1) != (entry.kind == 1))
                    fault("malformed", "record", chain, entry.seq, entry.seq);
                ended = entry.kind == 13;
                link = entry.name();
            }
            for (Batch batch : batches) {
                if (batch.end() > entries.size()) return false;
                List<byte[]> hashes = new ArrayList<>();
                for (long seq = batch.first; seq <= batch.end(); seq++) hashes.add(entries.get((int) seq - 1).hash);
                if (!Arrays.equals(root(hashes), batch.root)
                    || !Arrays.equals(hashes.get(hashes.size() - 1), batch.last)) return false;
            }
            return true;
        }
    }

    /** What the page's section on names says. */
    static final class Naming {
        final String chain;
        final List<Entry> entries;
        final List<Batch> batches;
        final Map<String, List<Entry>> byHash = new HashMap<>();
        final Map<Long, List<Entry>> bySeq = new HashMap<>();
        final TreeMap<Long, Entry> genuine = new TreeMap<>();
        final TreeSet<Long> damaged = new TreeSet<>();
        long sealed = 0;

        Naming(String chain, List<Entry> entries, List<Batch> batches) {
            this.chain = chain;
            this.entries = entries;
            this.batches = batches;
            for (Entry entry : entries) {
                byHash.computeIfAbsent(entry.name(), name -> new ArrayList<>()).add(entry);
                bySeq.computeIfAbsent(entry.seq, seq -> new ArrayList<>()).add(entry);
            }
            bySeq.remove(0L);
            for (Batch batch : batches) sealed = Math.max(sealed, batch.end());
        }

        void name() {
            long tail = bySeq.keySet().stream().filter(seq -> seq > sealed && seq <= sealed + entries.size() + 4096)
                .max(Long::compare).orElse(sealed);
            if (tail > sealed) walk(sealed + 1, tail, bySeq.get(tail).get(0).name());
            for (int i = batches.size() - 1; i >= 0; i--) {
                Batch batch = batches.get(i);
                walk(batch.first, batch.end(), HexFormat.of().formatHex(batch.last, 0, 16));
            }
            Map<Integer, Entry> spare = new TreeMap<>();
            for (Entry entry : entries) spare.put(entry.place, entry);
            for (Entry entry : genuine.values()) spare.remove(entry.place);
            missing(spare);
            order();
            rest(spare);
        }

        void walk(long first, long last, String want) {
            for (long seq = last; seq >= first; seq--) {
                Entry found = null;
                for (Entry entry : byHash.getOrDefault(want == null ? "" : want, List.of())) {
                    if (entry.seq != seq) continue;
                    Entry above = genuine.get(seq + 1);
                    if (found == null || (above != null && entry.place == above.place - 1)) found = entry;
                }
                if (found != null) {
                    genuine.put(seq, found);
                    want = found.link;
                    continue;
                }
                damaged.add(seq);
                want = before(seq);
            }
        }

        /** What an altered record says of the one before; if nothing has that hash, the one with that number. */
        String before(long seq) {
            List<Entry> lower = bySeq.getOrDefault(seq - 1, List.of());
            for (Entry claim : bySeq.getOrDefault(seq, List.of()))
                for (Entry entry : lower) if (entry.name().equals(claim.link)) return claim.link;
            return lower.isEmpty() ? null : lower.get(0).name();
        }

        void missing(Map<Integer, Entry> spare) {
            List<Long> gone = new ArrayList<>();
            for (long seq : damaged) {
                Entry claim = null;
                for (Entry entry : bySeq.getOrDefault(seq, List.of())) if (spare.containsKey(entry.place)) claim = entry;
                Entry below = genuine.get(seq - 1), above = genuine.get(seq + 1);
                int slot = below != null ? below.place + 1 : above != null ? above.place - 1 : 0;
                if (claim == null && spare.containsKey(slot) && !genuine.containsKey(spare.get(slot).seq))
                    claim = spare.get(slot);
                if (claim == null) gone.add(seq);
                else {
                    spare.remove(claim.place);
                    fault("altered", "record", chain, seq, seq);
                }
            }
            for (int i = 0; i < gone.size(); ) {
                int j = i;
                while (j + 1 < gone.size() && gone.get(j + 1) == gone.get(j) + 1) j++;
                boolean end = gone.get(j) == sealed && genuine.tailMap(sealed + 1).isEmpty();
                fault(end ? "truncated" : "removed", "record", chain, gone.get(i), gone.get(j));
                i = j + 1;
            }
        }

        void order() {
            List<Entry> held = new ArrayList<>(genuine.values()), slots = new ArrayList<>(held);
            slots.sort(Comparator.comparingInt(entry -> entry.place));
            List<Integer> wrong = new ArrayList<>();
            for (int i = 0; i < slots.size(); i++) if (slots.get(i) != held.get(i)) wrong.add(i);
            if (wrong.size() > 2) {
                Set<Long> kept = increasing(slots);
                wrong.clear();
                for (int i = 0; i < slots.size(); i++) if (!kept.contains(slots.get(i).seq)) wrong.add(i);
            }
            for (int i : wrong) fault("swapped", "record", chain, slots.get(i).seq, slots.get(i).seq);
        }

        static Set<Long> increasing(List<Entry> slots) {
            TreeMap<Long, Integer> ends = new TreeMap<>(); // last number of a run: where it is
            int[] before = new int[slots.size()];
            for (int i = 0; i < slots.size(); i++) {
                long seq = slots.get(i).seq;
                var lower = ends.lowerEntry(seq);
                before[i] = lower == null ? -1 : lower.getValue();
                var replaced = ends.higherKey(seq);
                if (replaced != null) ends.remove(replaced);
                ends.put(seq, i);
            }
            Set<Long> kept = new HashSet<>();
            for (int i = ends.isEmpty() ? -1 : ends.lastEntry().getValue(); i >= 0; i = before[i])
                kept.add(slots.get(i).seq);
            return kept;
        }

        void rest(Map<Integer, Entry> spare) {
            Set<String> followed = new HashSet<>(), branch = new HashSet<>();
            for (Entry entry : spare.values()) followed.add(entry.link);
            for (Entry entry : spare.values()) {
                Entry twin = genuine.get(entry.seq), before = genuine.get(entry.seq - 1);
                boolean copy = twin != null && Arrays.equals(twin.hash, entry.hash);
                boolean joined = twin != null && before != null && before.name().equals(entry.link);
                boolean forked = !copy && (branch.contains(entry.link)
                    || joined && (followed.contains(entry.name()) || entry.seq > sealed));
                if (forked) branch.add(entry.name());
                fault(forked ? "forked" : "inserted", "record", chain, entry.seq, entry.seq);
            }
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
                Map<?, ?> head = (Map<?, ?>) one;
                heads.add(signedHead((String) head.get("text"), (String) head.get("signature")));
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

    // --- JSON ------------------------------------------------------------------------------------------------------

    static final class Json {
        final String text;
        int at = 0;

        Json(String text) {
            this.text = text;
        }

        static Object parse(String text) {
            Json json = new Json(text);
            Object value = json.value();
            json.space();
            need(json.at == text.length(), "more than one value");
            return value;
        }

        void space() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
        }

        boolean taken(char wanted) {
            space();
            if (at >= text.length() || text.charAt(at) != wanted) return false;
            at++;
            return true;
        }

        Object value() {
            space();
            need(at < text.length(), "the end");
            if (taken('{')) {
                Map<String, Object> found = new LinkedHashMap<>();
                if (taken('}')) return found;
                do {
                    space();
                    String name = string();
                    need(taken(':'), "a colon");
                    need(!found.containsKey(name), "a member stands twice");
                    found.put(name, value());
                } while (taken(','));
                need(taken('}'), "a brace");
                return found;
            }
            if (taken('[')) {
                List<Object> found = new ArrayList<>();
                if (taken(']')) return found;
                do found.add(value()); while (taken(','));
                need(taken(']'), "a bracket");
                return found;
            }
            if (text.charAt(at) == '"') return string();
            for (String word : List.of("true", "false", "null"))
                if (text.startsWith(word, at)) {
                    at += word.length();
                    return word.equals("null") ? null : (Object) Boolean.valueOf(word);
                }
            int start = at;
            while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) at++;
            String number = text.substring(start, at);
            return number.matches("-?[0-9]{1,18}") ? (Object) Long.valueOf(number) : (Object) Double.valueOf(number);
        }

        String string() {
            need(text.charAt(at++) == '"', "a string");
            StringBuilder out = new StringBuilder();
            while (true) {
                char one = text.charAt(at++);
                if (one == '"') return out.toString();
                if (one != '\\') {
                    out.append(one);
                    continue;
                }
                char escaped = text.charAt(at++);
                int known = "nrtbf".indexOf(escaped);
                if (escaped == 'u') {
                    out.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                    at += 4;
                } else out.append(known >= 0 ? "\n\r\t\b\f".charAt(known) : escaped);
            }
        }
    }
}
