package evidence;

import static evidence.CheckEvidence.need;

import java.util.*;

/** JSON, as much of it as evidence uses. */
final class Json {
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
