/* INFO answers, from any server: refused, or what a client takes from them makes sense. */
#include "fuzz.h"

#include "client/shared.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *json = fuzz_exact(data, size);
    struct sf_info info = {0};
    struct sf_host_port at;
    size_t workers = 0;
    if (sf_info_parse(json, size, &info) == 0) {
        MUST(memchr(info.fleet_id, '\0', sizeof info.fleet_id));
        if (info.fleet_id[0]) {
            MUST(sf_layout_validate(&info.layout, NULL) == 0);
            /* The comparison that uses it. */
            MUST(sf_id_same_slot(&info.layout, INT64_MAX, INT64_MAX));
        }
        while (sf_info_next_worker(&info, &at)) {
            MUST(at.port != 0 && at.host[0] != '\0' && strlen(at.host) < sizeof at.host);
            MUST(++workers <= size);
        }
    }
    free(json);
    return 0;
}
