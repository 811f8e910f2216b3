package io.snowfleet.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.snowfleet.client.Frames.Run;
import io.snowfleet.client.SnowfleetId.Layout;
import io.snowfleet.client.SnowfleetId.Parts;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The vectors that all languages share (tests/vectors of the repository). */
class VectorsTest {
    private static Map<?, ?> read(String name) throws Exception {
        return (Map<?, ?>) Json.parse(Files.readString(Path.of("../../../tests/vectors/" + name)));
    }

    private static int width(Map<?, ?> row, String name) {
        return ((Long) ((Map<?, ?>) row.get("layout")).get(name)).intValue();
    }

    @Test
    void ids() throws Exception {
        Map<?, ?> vectors = read("ids.json");
        for (Object each : (List<?>) vectors.get("ids")) {
            Map<?, ?> row = (Map<?, ?>) each;
            Layout layout = new Layout(width(row, "timestamp"), width(row, "datacenter"), width(row, "worker"), width(row, "sequence"), (Long) row.get("epoch_ms"));
            Parts parts = new Parts((Long) row.get("unix_ms"), (Long) row.get("datacenter"), (Long) row.get("worker"), (Long) row.get("sequence"));
            long id = SnowfleetId.parse((String) row.get("id"));
            assertEquals(parts, layout.decode(id));
            assertEquals(id, layout.encode(parts));
            assertEquals(row.get("base32"), SnowfleetId.toBase32(id));
            assertEquals(id, SnowfleetId.fromBase32((String) row.get("base32")));
        }
        for (Object each : (List<?>) vectors.get("read_as")) {
            assertEquals(SnowfleetId.parse((String) ((Map<?, ?>) each).get("id")), SnowfleetId.fromBase32((String) ((Map<?, ?>) each).get("base32")));
        }
        for (Object text : (List<?>) vectors.get("refused")) {
            assertThrows(IllegalArgumentException.class, () -> SnowfleetId.fromBase32((String) text), (String) text);
        }
        for (String text : List.of("", "-1", "1.5", "9223372036854775808", " 1", "99999999999999999999")) {
            assertThrows(IllegalArgumentException.class, () -> SnowfleetId.parse(text), text);
        }
    }

    @Test
    void frames() throws Exception {
        Set<Object> seen = new HashSet<>();
        for (Object each : (List<?>) read("frames.json").get("frames")) {
            Map<?, ?> row = (Map<?, ?>) each;
            byte[] raw = HexFormat.of().parseHex((String) row.get("bytes"));
            byte[] body = raw.length > 12 ? Arrays.copyOfRange(raw, 12, raw.length) : new byte[0];
            Map<?, ?> values = row.get("values") instanceof Map<?, ?> map ? map : Map.of();
            String name = (String) row.get("name");
            String kind = (String) row.get("kind");
            seen.add(kind);
            boolean next = raw.length > 5 && (raw[5] & 0xFF) == 0x81;
            if (kind.equals("next")) {
                long after = values.containsKey("after") ? Long.parseUnsignedLong((String) values.get("after")) : -1;
                if (after >= 0 || !values.containsKey("after")) { // no ID is above 2^63 - 1
                    assertArrayEquals(raw, Frames.putNext(Integer.parseUnsignedInt((String) values.get("id")), Integer.parseUnsignedInt((String) values.get("count")), after), name);
                }
            } else if (kind.equals("ids")) {
                List<Run> runs = Arrays.stream(((String) values.get("runs")).split(",")).map(run -> run.split("[+]"))
                    .map(run -> new Run(Long.parseLong(run[0]), Integer.parseInt(run[1]))).toList();
                assertEquals(runs, Frames.getRuns(body, runs.stream().mapToInt(Run::count).sum()), name);
            } else if (kind.equals("broken") && next && raw[7] == 0) {
                for (int count = 0; count <= 65536; count++) {
                    assertNull(Frames.getRuns(body, count), name);
                }
            } else if (kind.equals("error")) {
                assertEquals(new Frames.Refusal(Long.parseLong((String) values.get("retry")), (String) values.get("reason")), Frames.getRefusal(body), name);
            } else if (kind.equals("broken") && raw[7] != 0) {
                assertNull(Frames.getRefusal(body), name);
            }
        }
        assertTrue(seen.containsAll(Set.of("next", "ids", "broken", "error")), seen.toString());
    }
}
