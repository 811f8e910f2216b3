/* make_ids SEED COUNT FROM_MS [duplicate] A.ids B.ids C.runs: some COUNT IDs of 32 slots with a
 * density that changes at random from one in ten milliseconds to 4,096 in one, dealt to three
 * files; with `duplicate` one of them, chosen by the seed, is written a second time. Prints
 * JSON. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static void write_one(FILE *file, bool runs, uint64_t first, uint32_t count)
{
    if (runs) {
        const struct run run = {.first = first, .count = count, .connection = 1};
        fwrite(&run, sizeof run, 1, file);
        return;
    }
    for (uint64_t id = first; id < first + count; id++)
        fwrite(&id, sizeof id, 1, file);
}

int main(int argc, char **argv)
{
    const bool plant = argc == 8 && strcmp(argv[4], "duplicate") == 0;
    if (argc != 7 && !plant)
        return 64;
    uint64_t state = strtoull(argv[1], NULL, 10), made = 0, planted = 0;
    const uint64_t count = strtoull(argv[2], NULL, 10);
    uint64_t ms = strtoull(argv[3], NULL, 10), mean = 100;
    const uint64_t plant_at = next_random(&state) % count;
    FILE *files[3];
    for (int i = 0; i < 3; i++)
        if ((files[i] = fopen(argv[argc - 3 + i], "wb")) == NULL)
            return 1;
    while (made < count) {
        if (next_random(&state) % 1000 == 0)
            mean = UINT64_C(1) << next_random(&state) % 13;
        const int to = (int)(next_random(&state) % 3);
        for (uint64_t slot = 0; slot < 32; slot++) {
            const uint64_t in_ms = next_random(&state) % (mean * 2 < 4096 ? mean * 2 : 4096);
            const uint64_t first = ms << 22 | slot << 12;
            if (in_ms == 0)
                continue;
            write_one(files[to], to == 2, first, (uint32_t)in_ms);
            if (plant_at >= made && plant_at < made + in_ms)
                planted = first + plant_at - made;
            made += in_ms;
        }
        ms += mean == 1 ? 10 : 1;
    }
    if (plant) {
        /* Into another file than the one that has it would break the order of that file as well,
         * so all go to the end of C, on a connection of its own. */
        const struct run run = {.first = planted, .count = 1, .connection = 2};
        fwrite(&run, sizeof run, 1, files[2]);
    }
    for (int i = 0; i < 3; i++)
        if (fclose(files[i]) != 0)
            return 1;
    printf("{\"ids\": %" PRIu64 ", \"planted\": \"%" PRIu64 "\"}\n", made, planted);
    return 0;
}
