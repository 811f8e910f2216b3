package io.snowfleet.client;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** As much of JSON as INFO needs: objects are maps, arrays lists, numbers Long or Double. */
final class Json {
    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /** IllegalArgumentException for what is no JSON. */
    static Object parse(String text) {
        Json json = new Json(text);
        try {
            Object value = json.value(0);
            json.blanks();
            if (json.at == text.length()) {
                return value;
            }
        } catch (IndexOutOfBoundsException | NumberFormatException e) {
            throw new IllegalArgumentException("no JSON", e);
        }
        throw new IllegalArgumentException("no JSON");
    }

    private void blanks() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private boolean skip(char wanted) {
        blanks();
        boolean there = text.charAt(at) == wanted;
        at += there ? 1 : 0;
        return there;
    }

    private void expect(char wanted) {
        if (!skip(wanted)) {
            throw new IllegalArgumentException("no JSON");
        }
    }

    private Object value(int depth) {
        blanks();
        if (depth > 64) {
            throw new IllegalArgumentException("too deep");
        }
        return switch (text.charAt(at)) {
            case '{' -> object(depth);
            case '[' -> array(depth);
            case '"' -> string();
            case 't' -> word("true", Boolean.TRUE);
            case 'f' -> word("false", Boolean.FALSE);
            case 'n' -> word("null", null);
            default -> number();
        };
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) {
            throw new IllegalArgumentException("no JSON");
        }
        at += word.length();
        return value;
    }

    private Object number() {
        int from = at;
        while (at < text.length() && "+-0123456789.eE".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        String digits = text.substring(from, at);
        if (digits.matches("-?[0-9]{1,18}")) {
            return Long.parseLong(digits);
        }
        return Double.parseDouble(digits);
    }

    private Map<String, Object> object(int depth) {
        Map<String, Object> found = new LinkedHashMap<>();
        expect('{');
        if (skip('}')) {
            return found;
        }
        do {
            blanks();
            String key = string();
            expect(':');
            found.put(key, value(depth + 1));
        } while (skip(','));
        expect('}');
        return found;
    }

    private List<Object> array(int depth) {
        List<Object> found = new ArrayList<>();
        expect('[');
        if (skip(']')) {
            return found;
        }
        do {
            found.add(value(depth + 1));
        } while (skip(','));
        expect(']');
        return found;
    }

    private String string() {
        StringBuilder found = new StringBuilder();
        expect('"');
        for (char c = text.charAt(at++); c != '"'; c = text.charAt(at++)) {
            if (c != '\\') {
                found.append(c);
                continue;
            }
            char escaped = text.charAt(at++);
            int index = "bfnrt".indexOf(escaped);
            if (escaped == 'u') {
                found.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                at += 4;
            } else if (index >= 0) {
                found.append("\b\f\n\r\t".charAt(index));
            } else {
                found.append(escaped);
            }
        }
        return found.toString();
    }
}
