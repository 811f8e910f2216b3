/* Text that people type: numbers, addresses, times, layouts. What is accepted comes back the
 * same. */
#include "fuzz.h"

#include <inttypes.h>

#include <snowfleet/id.h>

#include "base/parse.h"
#include "base/strbuf.h"
#include "base/utf8.h"

static void times(const char *text)
{
    int64_t unix_ms = 0, again = 0;
    char formatted[SF_TIME_TEXT_MAX], duration[SF_DURATION_TEXT_MAX];
    if (sf_parse_time_ms(text, &unix_ms) != 0)
        return;
    sf_format_time_ms(unix_ms, formatted, sizeof formatted);
    MUST(strlen(formatted) + 1 < sizeof formatted);
    if (unix_ms >= INT64_C(-62167219200000) && unix_ms < INT64_C(253402300800000))
        MUST(sf_parse_time_ms(formatted, &again) == 0 && again == unix_ms);
    sf_format_duration_ms(unix_ms, duration, sizeof duration);
    MUST(strlen(duration) + 1 < sizeof duration);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    uint64_t number = 0;
    int64_t signed_number = 0;
    char shown[32];
    if (sf_parse_u64(text, 0, UINT64_MAX, &number) == 0) {
        snprintf(shown, sizeof shown, "%" PRIu64, number);
        MUST(strcmp(shown, text) == 0 || text[0] == '0');
    }
    if (sf_parse_i64(text, INT64_MIN, INT64_MAX, &signed_number) == 0)
        MUST(strtoll(text, NULL, 10) == signed_number);
    (void)sf_parse_id(text, &number);
    struct sf_host_port address;
    for (int any = 0; any < 2; any++)
        if (sf_parse_host_port(text, any ? 5 : -1, any, &address) == 0)
            MUST(strlen(address.host) < sizeof address.host && (any || address.host[0]));
    times(text);
    struct sf_layout layout;
    if (sf_layout_parse(text, &layout) == 0)
        MUST(sf_layout_validate(&layout, NULL) == 0);
    /* Whatever the bytes are, as JSON they are valid UTF-8 without control characters. */
    struct sf_strbuf json;
    sf_strbuf_init(&json, 1 << 20);
    sf_strbuf_add_json(&json, text);
    for (size_t at = 0; at < json.length;) {
        uint32_t code = 0;
        size_t step = sf_utf8_next(json.text + at, json.length - at, &code);
        MUST(step > 0 && code >= ' ');
        at += step;
    }
    sf_strbuf_free(&json);
    free(text);
    return 0;
}
