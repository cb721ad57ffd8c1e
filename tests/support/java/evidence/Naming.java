package evidence;

import static evidence.CheckEvidence.*;

import evidence.CheckEvidence.Batch;
import evidence.CheckEvidence.Entry;
import java.util.*;

/** Names what does not fit in a chain, as the page's section on names says. */
final class Naming {
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
            String want = batch.vouched ? HexFormat.of().formatHex(batch.last, 0, 16) : next(batch.end());
            walk(batch.first, batch.end(), want);
            long end = i == 0 ? 0 : batches.get(i - 1).end();
            if (batch.first > end + 1 && batch.first - end < 100_000) walk(end + 1, batch.first - 1, next(batch.first - 1));
        }
        Map<Integer, Entry> spare = new TreeMap<>();
        for (Entry entry : entries) spare.put(entry.place, entry);
        for (Entry entry : genuine.values()) spare.remove(entry.place);
        missing(spare);
        order();
        rest(spare);
    }

    /** What the record behind says of this one; without it, the one that says that it is it. */
    String next(long seq) {
        if (genuine.containsKey(seq + 1)) return genuine.get(seq + 1).link;
        return bySeq.containsKey(seq) ? bySeq.get(seq).get(0).name() : null;
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
