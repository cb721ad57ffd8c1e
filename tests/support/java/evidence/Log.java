package evidence;

import static evidence.CheckEvidence.*;

import evidence.CheckEvidence.Batch;
import evidence.CheckEvidence.Entry;
import evidence.CheckEvidence.Head;
import evidence.CheckEvidence.Statement;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.*;

/** A whole log in a folder. */
final class Log {
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
        statements();
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
        for (String part : Files.readString(file, StandardCharsets.ISO_8859_1).split("(?m)^(?=truc-head )")) {
            int cut = part.indexOf("\n{") + 1;
            String[] pair = {part.substring(0, cut), part.substring(cut).stripTrailing()};
            Head head;
            try {
                head = head(pair[0], "");
            } catch (IllegalStateException e) {
                last++;
                fault("altered", "head", "-", last, last);
                previous = null;
                continue;
            }
            if (head.number() > last + 1) fault("removed", "head", "-", last + 1, head.number() - 1);
            else if (head.number() <= last) fault("swapped", "head", "-", head.number(), head.number());
            else if (previous != null && !head.previous().equals(previous)) fault("altered", "head", "-", last, last);
            else if (before != null) {
                boolean same = head.life() == before.life() && head.base() == before.base();
                boolean restored = head.life() > before.life() && head.base() >= before.size();
                if (!(same || restored) || head.size() < before.size() || head.records() < before.records())
                    fault("forked", "head", "-", head.number(), head.number());
            }
            try {
                heads.add(signedHead(pair[0], pair[1]));
            } catch (Exception e) {
                fault("altered", "head", "-", head.number(), head.number());
            }
            last = head.number();
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
                batch.place = leaves.size();
                chains.computeIfAbsent(batch.chain, name -> new ArrayList<>()).add(batch);
                count = batch.count;
            } catch (IllegalStateException e) {
                fault("altered", "batch", "-", leaves.size(), leaves.size());
            }
            counts.add(counts.get(counts.size() - 1) + count);
        }
        long good = 0;
        Head misfit = null;
        long missing = 0;
        for (Head head : heads) {
            if (head.size() > leaves.size()) {
                missing = head.size();
                break;
            }
            if (!Arrays.equals(root(leaves.subList(0, (int) head.size())), head.root())) {
                misfit = head;
                break;
            }
            if (counts.get((int) head.size()) != head.records())
                fault("malformed", "head", "-", head.number(), head.number());
            good = head.size();
        }
        for (var chain : chains.entrySet()) joined(chain.getKey(), chain.getValue(), good);
        if (missing > 0) fault("truncated", "batch", "-", leaves.size() + 1, missing);
        if (misfit != null && faults == before) misfit(misfit, (int) good);
        if (missing == 0 && misfit == null) return;
        for (List<Batch> batches : chains.values())
            for (int i = 0; i < batches.size(); i++)
                batches.get(i).vouched = batches.get(i).place <= good || i + 1 < batches.size()
                    && Arrays.equals(batches.get(i + 1).previous, batches.get(i).hash);
    }

    /** Two headers exchanged, or somewhere between the last good head and this one. */
    void misfit(Head head, int good) {
        List<byte[]> tried = new ArrayList<>(leaves.subList(0, (int) head.size()));
        for (int i = good; i < tried.size() && tried.size() - good <= 64; i++)
            for (int j = i + 1; j < tried.size(); j++) {
                Collections.swap(tried, i, j);
                if (Arrays.equals(root(tried), head.root())) {
                    fault("swapped", "batch", "-", i + 1, j + 1);
                    return;
                }
                Collections.swap(tried, i, j);
            }
        fault("altered", "batch", "-", good + 1, head.size());
    }

    void joined(String chain, List<Batch> batches, long good) {
        long last = 0, end = 0;
        boolean covered = true;
        byte[] previous = NOTHING;
        for (Batch batch : batches) {
            if (batch.number > last + 1) fault("removed", "batch", chain, last + 1, batch.number - 1);
            else if (batch.number <= last) {
                fault("inserted", "batch", chain, batch.number, batch.number);
                continue;
            } else if (!Arrays.equals(batch.previous, previous)) {
                long which = covered ? batch.number : last; // a head vouches for the one before
                fault("altered", "batch", chain, which, which);
            }
            else if (batch.first != end + 1) fault("altered", "batch", chain, batch.number, batch.number);
            last = batch.number;
            end = batch.end();
            previous = batch.hash;
            covered = batch.place <= good;
        }
    }

    void fromElsewhere() {
        for (Head head : elsewhere) {
            long base = heads.stream().filter(own -> own.life() > head.life()).mapToLong(Head::base).min().orElse(-1);
            if (base >= 0 && head.size() > base) fault("restored", "head", "elsewhere", head.number(), head.number());
            else if (head.size() > leaves.size())
                fault("truncated", "head", "elsewhere", head.number(), head.number());
            else if (!Arrays.equals(root(leaves.subList(0, (int) head.size())), head.root()))
                fault("forked", "head", "elsewhere", head.number(), head.number());
            else if (heads.stream().anyMatch(own -> own.life() == head.life() && own.number() == head.number()
                    && !own.text().equals(head.text())))
                fault("forked", "head", "elsewhere", head.number(), head.number());
        }
    }

    /** What witnesses say of heads: of those that are here, and of those that are not here any more. */
    void statements() throws Exception {
        Path file = folder.resolve("statements");
        if (!Files.exists(file)) return;
        Map<String, Head> byHash = new HashMap<>();
        Set<Long> numbers = new HashSet<>();
        for (Head head : heads) {
            byHash.put(HexFormat.of().formatHex(sha256(head.text().getBytes(StandardCharsets.ISO_8859_1))), head);
            numbers.add(head.number());
        }
        List<String[]> all;
        List<Statement> said = new ArrayList<>();
        try {
            all = pairs(Files.readString(file, StandardCharsets.ISO_8859_1), 7);
            for (String[] pair : all) said.add(statement(pair[0]));
        } catch (IllegalStateException | IllegalArgumentException e) {
            fault("malformed", "head", "-", 0, 0);
            return;
        }
        for (int i = 0; i < said.size(); i++) {
            Statement one = said.get(i);
            try {
                signedStatement(one, all.get(i)[1]);
            } catch (Exception e) {
                fault("signature", "statement", "-", one.number(), one.number());
                continue;
            }
            if (!byHash.containsKey(one.head()))
                fault(numbers.contains(one.number()) ? "forked" : "truncated", "statement", "-", one.number(),
                    one.number());
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
        int before = faults;
        new Naming(chain, entries, batches).name();
        if (faults > before) return;
        for (Batch batch : batches) { // the records hold together: the header does not
            List<byte[]> hashes = new ArrayList<>();
            for (Entry entry : entries)
                if (batch.first <= entry.seq && entry.seq <= batch.end()) hashes.add(entry.hash);
            if (!Arrays.equals(root(hashes), batch.root) || !Arrays.equals(hashes.get(hashes.size() - 1), batch.last))
                fault("altered", "batch", chain, batch.number, batch.number);
        }
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
