package evidence;

import static evidence.CheckEvidence.*;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.*;

/** Every field of a record, as the page's tables give them; refuses whatever else stands there. */
final class Fields {
    /** Per kind: t text, k token, n number, T time, h hash, u UUID, s state, S state but none, b blob, f 0 or 1, 1-4 its bound. */
    static final Map<Integer, String> KINDS = Map.of(
        1, "utttt", 6, "t4fttkhn", 7, "k3tttkkt", 9, "kkn", 10, "nttttT", 11, "nnT", 12, "tnnh", 13, "t");

    final ByteBuffer in;
    final List<String> out = new ArrayList<>();

    private Fields(byte[] octets) {
        in = ByteBuffer.wrap(octets);
    }

    /** The fields of a record, separated by spaces: texts and octets as hexadecimal digits behind a colon, numbers as they are. */
    static String of(byte[] octets) {
        need(octets.length <= 1048576, "too long");
        Fields fields = new Fields(octets);
        fields.read();
        return String.join(" ", fields.out);
    }

    void read() {
        need(in.get() == 1, "version");
        int kind = in.get() & 255;
        out.add("" + kind);
        each("nT");
        octets(16);
        if (kind >= 2 && kind <= 4) submission(kind);
        else if (kind == 5) {
            each("k");
            list("kSt");
        } else if (kind == 8) list("b");
        else if (KINDS.containsKey(kind)) each(KINDS.get(kind));
        else octets(in.remaining());
        need(!in.hasRemaining(), "bytes behind the fields");
    }

    void submission(int kind) {
        each("kttthntk");
        int flags = in.get();
        need(flags == 0 || flags > 0 && flags < 8 && (flags & 1) == 1, "flags");
        out.add("" + flags);
        if (flags != 0) each("tktt");
        list("ktSt");
        each("k");
        if (kind == 3) {
            each("t");
            need(!out.get(out.size() - 1).equals(":"), "a refusal without a code");
        }
        if (kind == 4) each("kktstt");
    }

    void list(String types) {
        long count = number(in);
        out.add("" + count);
        for (long i = 0; i < count; i++) each(types);
    }

    void each(String types) {
        for (char type : types.toCharArray()) one(type);
    }

    void one(char type) {
        switch (type) {
            case 't' -> text();
            case 'k' -> token();
            case 'n' -> out.add("" + number(in));
            case 'T' -> {
                long at = in.getLong();
                need(at >= 0 && at < 253402300800000000L, "a time of our calendar");
                out.add("" + at);
            }
            case 'h' -> octets(32);
            case 'u' -> octets(16);
            case 'b' -> octets(length());
            case 'f' -> bounded(0, 1);
            case 's' -> bounded(0, 5);
            case 'S' -> bounded(1, 5);
            default -> bounded(1, type - '0');
        }
    }

    void bounded(int least, int most) {
        int value = in.get();
        need(value >= least && value <= most, "a value that nothing has");
        out.add("" + value);
    }

    int length() {
        long size = number(in);
        need(size <= in.remaining(), "cut off");
        return (int) size;
    }

    void octets(int size) {
        byte[] octets = new byte[size];
        in.get(octets);
        out.add(":" + HexFormat.of().formatHex(octets));
    }

    void text() {
        byte[] octets = new byte[length()];
        in.get(octets);
        out.add(":" + HexFormat.of().formatHex(octets));
        decoded(octets);
    }

    static String decoded(byte[] octets) {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(octets)).toString();
        } catch (java.nio.charset.CharacterCodingException e) {
            throw new IllegalStateException("no UTF-8");
        }
    }

    /** A token, as the text that it stands for. */
    void token() {
        int form = in.get();
        need(form >= 0 && form <= 2, "a token");
        if (form == 0) {
            text();
            String said = decoded(HexFormat.of().parseHex(out.get(out.size() - 1).substring(1)));
            need(!said.matches("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}") && !said.matches("[0-9a-f]{64}"),
                "a token in a longer spelling");
            return;
        }
        byte[] octets = new byte[form == 1 ? 16 : 32];
        in.get(octets);
        String said = form == 1 ? uuid(octets) : HexFormat.of().formatHex(octets);
        out.add(":" + HexFormat.of().formatHex(said.getBytes(StandardCharsets.US_ASCII)));
    }
}
