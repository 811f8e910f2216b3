/* checker [--layout T,D,W,S] [--epoch-ms E] [--from-ms MS] [--to-ms MS] [--slot D:W]...
 *         [--threads N] FILE...
 *
 * Reads what collectors wrote and says, exactly, whether an ID came twice. No sampling, no
 * probability: every ID is compared. The result is one JSON object on stdout; exit 0 when nothing
 * is wrong, 1 when something is, 2 when the files could not be checked.
 *
 * FILE.ids   IDs as raw native u64; within a file they must ascend
 * FILE.runs  struct run (16 bytes): IDs first..first+count-1, received on this connection. Within
 *            a file, the IDs of a connection must ascend; connection 0 promises no order
 *
 * Also checked: sign bit, a run inside one millisecond, timestamps between from and to (Unix ms),
 * slots in the list (without a list: any).
 *
 * How: files are mapped and scanned three times. The first scan checks each record by itself and in
 * its order, and notes the smallest and largest ID of each chunk of 65,536 records. The second
 * counts IDs per bucket of time. Buckets are joined to slices of some 2^24 records, and the threads
 * take slice after slice: gather its records from the chunks that touch it, sort them by radix,
 * compare neighbours. Memory: 16 bytes per record of a slice and thread, and 16 bytes per chunk,
 * whatever the density. IDs outside [from, to] are kept apart and sorted at the end. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <snowfleet/id.h>

#include "record.h"

enum { CHUNK = 65536, BUCKETS = 1 << 20, EXAMPLES = 8, THREADS_MAX = 64, COUNT_BITS = 17 };
#define SLICE_RECORDS (1u << 24)
/* A slice's IDs are sorted as (ID - base) << COUNT_BITS | count, so its width has a bound. */
#define SLICE_WIDTH_MAX (UINT64_C(1) << (64 - COUNT_BITS))

struct chunk {
    uint64_t min, max;
};

struct input {
    const char *name;
    const void *data;
    bool runs;
    uint64_t records, chunk_count;
    struct chunk *chunks;
};

enum fault { DUPLICATES, ORDER, SIGN, SLOT, TIME, SHAPE, FAULTS };
static const char *const fault_names[FAULTS] = {"duplicates",  "order_errors", "sign_errors",
                                                "slot_errors", "time_errors",  "shape_errors"};

struct slice {
    uint64_t base, end;
};

struct check {
    struct sf_layout layout;
    int64_t epoch_ms, from_ms, to_ms;
    uint64_t lowest, end;        /* IDs of [from, to] */
    uint64_t seen_min, seen_max; /* of these */
    uint64_t bucket_base, bucket_width;
    bool slots_given;
    uint8_t *slot_wanted; /* by datacenter << worker_bits | worker */
    uint64_t *slot_ids;
    uint64_t slot_count;

    struct input *inputs;
    int input_count, threads;
    uint64_t ids, records;
    uint64_t *bucket_records;
    struct slice *slices;
    uint64_t slice_count;
    atomic_uint_fast64_t next_slice;

    struct run *strays; /* outside [from, to] */
    uint64_t stray_count, stray_room;

    pthread_mutex_t lock; /* of what follows */
    uint64_t faults[FAULTS];
    uint64_t examples[FAULTS][EXAMPLES];
    int example_count[FAULTS];
};

static void die(const char *what, const char *which)
{
    fprintf(stderr, "checker: %s: %s\n", which, what);
    exit(2);
}

static void *must(void *memory)
{
    if (memory == NULL)
        die("no memory", "malloc");
    return memory;
}

static void found(struct check *check, enum fault fault, uint64_t id, uint64_t count)
{
    pthread_mutex_lock(&check->lock);
    if (check->example_count[fault] < EXAMPLES)
        check->examples[fault][check->example_count[fault]++] = id;
    check->faults[fault] += count;
    pthread_mutex_unlock(&check->lock);
}

static struct run record_at(const struct input *input, uint64_t at)
{
    if (input->runs)
        return ((const struct run *)input->data)[at];
    return (struct run){.first = ((const uint64_t *)input->data)[at], .count = 1, .connection = 1};
}

/* --- first scan: each record by itself, the order of connections, the span of chunks --- */

static void keep_stray(struct check *check, struct run run)
{
    if (check->stray_count == check->stray_room) {
        check->stray_room = check->stray_room * 2 + 1024;
        check->strays = must(realloc(check->strays, check->stray_room * sizeof check->strays[0]));
    }
    check->strays[check->stray_count++] = run;
}

static bool is_sound(const struct check *check, const struct run *run)
{
    const unsigned sequence_bits = check->layout.sequence_bits;
    const uint64_t last = run->first + run->count - 1;
    return run->count > 0 && run->count <= RUN_COUNT_MAX && last >= run->first &&
           last >> sequence_bits == run->first >> sequence_bits;
}

static bool inside(const struct check *check, const struct run *run)
{
    return run->first >= check->lowest && run->first < check->end && is_sound(check, run);
}

static void check_record(struct check *check, const struct run *run)
{
    const unsigned sequence_bits = check->layout.sequence_bits;
    const uint64_t last = run->first + run->count - 1;
    if (!is_sound(check, run)) {
        found(check, SHAPE, run->first, 1);
        return;
    }
    if (last >> 63 != 0)
        found(check, SIGN, run->first, 1);
    const uint64_t slot = run->first >> sequence_bits & (check->slot_count - 1);
    check->slot_ids[slot] += run->count;
    if (check->slots_given && !check->slot_wanted[slot])
        found(check, SLOT, run->first, 1);
    if (!inside(check, run)) {
        found(check, TIME, run->first, 1);
        keep_stray(check, *run);
    } else {
        check->seen_min = run->first < check->seen_min ? run->first : check->seen_min;
        check->seen_max = run->first > check->seen_max ? run->first : check->seen_max;
    }
    check->ids += run->count;
}

struct last_ids {
    uint64_t *last; /* by connection */
    uint64_t room;
};

static void check_order(struct check *check, struct last_ids *seen, const struct run *run)
{
    if (run->connection == 0)
        return;
    if (run->connection >= seen->room) {
        const uint64_t room = (uint64_t)run->connection * 2 + 1024;
        seen->last = must(realloc(seen->last, room * sizeof seen->last[0]));
        memset(seen->last + seen->room, 0, (room - seen->room) * sizeof seen->last[0]);
        seen->room = room;
    }
    uint64_t *last = &seen->last[run->connection];
    if (run->first <= *last)
        found(check, ORDER, run->first, 1);
    *last = run->first + run->count - 1;
}

static void scan_records(struct check *check, struct input *input)
{
    struct last_ids seen = {0};
    struct chunk *chunk = NULL;
    for (uint64_t i = 0; i < input->records; i++) {
        const struct run run = record_at(input, i);
        if (i % CHUNK == 0) {
            chunk = &input->chunks[i / CHUNK];
            *chunk = (struct chunk){.min = UINT64_MAX, .max = 0};
        }
        check_record(check, &run);
        check_order(check, &seen, &run);
        if (run.first < chunk->min)
            chunk->min = run.first;
        if (run.first > chunk->max)
            chunk->max = run.first;
    }
    check->records += input->records;
    free(seen.last);
}

/* --- second scan: how many records each bucket of time has, and the slices --- */

/* As narrow as the IDs allow, in whole milliseconds. */
static void set_buckets(struct check *check)
{
    const unsigned shift = 63u - check->layout.timestamp_bits;
    if (check->seen_min > check->seen_max)
        check->seen_min = check->seen_max = check->lowest;
    const uint64_t first_ms = check->seen_min >> shift, last_ms = check->seen_max >> shift;
    check->bucket_base = first_ms << shift;
    check->bucket_width = ((last_ms - first_ms) / BUCKETS + 1) << shift;
    if (check->bucket_width > SLICE_WIDTH_MAX)
        die("too long for an exact check in slices; give --from-ms and --to-ms", "time");
}

static void count_buckets(struct check *check, const struct input *input)
{
    for (uint64_t i = 0; i < input->records; i++) {
        const struct run run = record_at(input, i);
        if (inside(check, &run))
            check->bucket_records[(run.first - check->bucket_base) / check->bucket_width]++;
    }
}

/* Buckets begin at whole milliseconds, and no run crosses one: no run lies in two slices. */
static void make_slices(struct check *check)
{
    uint64_t records = 0, from = 0;
    const uint64_t most = SLICE_WIDTH_MAX / check->bucket_width;
    check->slices = must(calloc(BUCKETS, sizeof check->slices[0]));
    for (uint64_t b = 0; b < BUCKETS; b++) {
        records += check->bucket_records[b];
        if (b + 1 == BUCKETS || b + 1 - from >= most ||
            records + check->bucket_records[b + 1] > SLICE_RECORDS) {
            if (records > 0)
                check->slices[check->slice_count++] =
                    (struct slice){.base = check->bucket_base + from * check->bucket_width,
                                   .end = check->bucket_base + (b + 1) * check->bucket_width};
            records = 0;
            from = b + 1;
        }
    }
}

/* --- third scan: sort each slice, compare neighbours --- */

struct buffer {
    uint64_t *keys, *spare;
    uint64_t count, room;
};

static void buffer_push(struct buffer *buffer, uint64_t key)
{
    if (buffer->count == buffer->room) {
        buffer->room = buffer->room == 0 ? SLICE_RECORDS : buffer->room * 2;
        buffer->keys = must(realloc(buffer->keys, buffer->room * sizeof(uint64_t)));
        free(buffer->spare);
        buffer->spare = must(malloc(buffer->room * sizeof(uint64_t)));
    }
    buffer->keys[buffer->count++] = key;
}

static void gather(const struct check *check, const struct slice *slice, struct buffer *buffer)
{
    buffer->count = 0;
    for (int f = 0; f < check->input_count; f++) {
        const struct input *input = &check->inputs[f];
        for (uint64_t c = 0; c < input->chunk_count; c++) {
            if (input->chunks[c].max < slice->base || input->chunks[c].min >= slice->end)
                continue;
            const uint64_t end =
                (c + 1) * CHUNK < input->records ? (c + 1) * CHUNK : input->records;
            for (uint64_t i = c * CHUNK; i < end; i++) {
                const struct run run = record_at(input, i);
                if (run.first >= slice->base && run.first < slice->end && inside(check, &run))
                    buffer_push(buffer, (run.first - slice->base) << COUNT_BITS | run.count);
            }
        }
    }
}

/* Least significant digit first, 11 bits at a time; digits that all keys share are skipped. */
static void radix_sort(struct buffer *buffer)
{
    enum { DIGIT = 11, SIZE = 1 << DIGIT };
    uint64_t ones = 0, common = UINT64_MAX;
    for (uint64_t i = 0; i < buffer->count; i++) {
        ones |= buffer->keys[i];
        common &= buffer->keys[i];
    }
    const uint64_t varying = ones & ~common;
    for (unsigned shift = COUNT_BITS; shift < 64; shift += DIGIT) {
        if ((varying >> shift & (SIZE - 1)) == 0)
            continue;
        uint64_t start[SIZE] = {0}, sum = 0;
        for (uint64_t i = 0; i < buffer->count; i++)
            start[buffer->keys[i] >> shift & (SIZE - 1)]++;
        for (int d = 0; d < SIZE; d++) {
            const uint64_t size = start[d];
            start[d] = sum;
            sum += size;
        }
        for (uint64_t i = 0; i < buffer->count; i++)
            buffer->spare[start[buffer->keys[i] >> shift & (SIZE - 1)]++] = buffer->keys[i];
        uint64_t *sorted = buffer->spare;
        buffer->spare = buffer->keys;
        buffer->keys = sorted;
    }
}

static void compare(struct check *check, uint64_t base, const struct buffer *buffer)
{
    uint64_t covered = 0; /* all IDs below base + covered were seen */
    for (uint64_t i = 0; i < buffer->count; i++) {
        const uint64_t first = buffer->keys[i] >> COUNT_BITS;
        const uint64_t end = first + (buffer->keys[i] & ((1u << COUNT_BITS) - 1));
        if (first < covered)
            found(check, DUPLICATES, base + first, (covered < end ? covered : end) - first);
        if (end > covered)
            covered = end;
    }
}

static void *check_slices(void *ctx)
{
    struct check *check = ctx;
    struct buffer buffer = {0};
    for (;;) {
        const uint64_t at = atomic_fetch_add(&check->next_slice, 1);
        if (at >= check->slice_count)
            break;
        gather(check, &check->slices[at], &buffer);
        radix_sort(&buffer);
        compare(check, check->slices[at].base, &buffer);
    }
    free(buffer.keys);
    free(buffer.spare);
    return NULL;
}

static int by_first(const void *a, const void *b)
{
    const uint64_t x = ((const struct run *)a)->first, y = ((const struct run *)b)->first;
    return (x > y) - (x < y);
}

static void check_strays(struct check *check)
{
    uint64_t covered = 0;
    if (check->stray_count > 0)
        qsort(check->strays, check->stray_count, sizeof check->strays[0], by_first);
    for (uint64_t i = 0; i < check->stray_count; i++) {
        const struct run *run = &check->strays[i];
        const uint64_t end = run->first + run->count;
        if (run->first < covered)
            found(check, DUPLICATES, run->first, (covered < end ? covered : end) - run->first);
        if (end > covered)
            covered = end;
    }
}

/* --- in and out --- */

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void open_input(struct input *input, const char *name)
{
    struct stat stat;
    const int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat) < 0)
        die(strerror(errno), name);
    input->name = name;
    input->runs = ends_with(name, ".runs");
    if (!input->runs && !ends_with(name, ".ids"))
        die("neither .runs nor .ids", name);
    const uint64_t size = input->runs ? sizeof(struct run) : sizeof(uint64_t);
    if ((uint64_t)stat.st_size % size != 0)
        die("ends within a record", name);
    input->records = (uint64_t)stat.st_size / size;
    input->chunk_count = (input->records + CHUNK - 1) / CHUNK;
    input->chunks = must(calloc(input->chunk_count + 1, sizeof input->chunks[0]));
    if (input->records > 0) {
        input->data = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (input->data == MAP_FAILED)
            die(strerror(errno), name);
    }
    close(fd);
}

static void set_slot(struct check *check, const char *text)
{
    uint64_t datacenter, worker;
    const uint64_t workers = sf_layout_max_worker(&check->layout) + 1;
    if (sscanf(text, "%" SCNu64 ":%" SCNu64, &datacenter, &worker) != 2 || worker >= workers ||
        datacenter * workers + worker >= check->slot_count)
        die("not a slot D:W of the layout", text);
    check->slot_wanted[datacenter * workers + worker] = 1;
    check->slots_given = true;
}

static void set_bounds(struct check *check)
{
    const unsigned shift = 63u - check->layout.timestamp_bits;
    const int64_t last = (int64_t)sf_layout_max_timestamp(&check->layout);
    int64_t from = check->from_ms - check->epoch_ms, to = check->to_ms - check->epoch_ms;
    if (from < 0)
        from = 0;
    if (to < 0 || to > last)
        to = last;
    if (from > to)
        die("from lies behind to", "--from-ms");
    check->lowest = (uint64_t)from << shift;
    check->end = ((uint64_t)to + 1) << shift;
    check->seen_min = UINT64_MAX;
}

static void print(const struct check *check, double seconds)
{
    uint64_t wrong = 0, slots = 0;
    for (uint64_t s = 0; s < check->slot_count; s++)
        slots += check->slot_ids[s] > 0;
    printf("{\"ids\": %" PRIu64 ", \"records\": %" PRIu64 ", \"files\": %d, \"slots\": %" PRIu64,
           check->ids, check->records, check->input_count, slots);
    for (int f = 0; f < FAULTS; f++) {
        printf(", \"%s\": %" PRIu64, fault_names[f], check->faults[f]);
        wrong += check->faults[f];
    }
    printf(", \"examples\": {");
    bool comma = false;
    for (int f = 0; f < FAULTS; f++) {
        if (check->faults[f] == 0)
            continue;
        printf("%s\"%s\": [", comma ? ", " : "", fault_names[f]);
        for (int i = 0; i < check->example_count[f]; i++)
            printf("%s\"%" PRIu64 "\"", i > 0 ? ", " : "", check->examples[f][i]);
        printf("]");
        comma = true;
    }
    printf("}, \"slices\": %" PRIu64 ", \"threads\": %d, \"seconds\": %.2f, \"ids_per_s\": %.0f, "
           "\"records_per_s\": %.0f, \"ok\": %s}\n",
           check->slice_count, check->threads, seconds, (double)check->ids / seconds,
           (double)check->records / seconds, wrong == 0 ? "true" : "false");
}

static void run_threads(struct check *check)
{
    pthread_t threads[THREADS_MAX];
    for (int i = 0; i < check->threads; i++)
        if (pthread_create(&threads[i], NULL, check_slices, check) != 0)
            die("no thread", "pthread_create");
    for (int i = 0; i < check->threads; i++)
        pthread_join(threads[i], NULL);
}

static int parse(struct check *check, int argc, char **argv)
{
    static const struct option options[] = {{"layout", required_argument, NULL, 'l'},
                                            {"epoch-ms", required_argument, NULL, 'e'},
                                            {"from-ms", required_argument, NULL, 'f'},
                                            {"to-ms", required_argument, NULL, 't'},
                                            {"slot", required_argument, NULL, 's'},
                                            {"threads", required_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    const char *slots[4096];
    int slot_count = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'l' && sf_layout_parse(optarg, &check->layout) < 0)
            die("not a layout", optarg);
        else if (c == 'e')
            check->epoch_ms = strtoll(optarg, NULL, 10);
        else if (c == 'f')
            check->from_ms = strtoll(optarg, NULL, 10);
        else if (c == 't')
            check->to_ms = strtoll(optarg, NULL, 10);
        else if (c == 'j')
            check->threads = atoi(optarg);
        else if (c == 's' && slot_count < 4096)
            slots[slot_count++] = optarg;
        else if (c == '?')
            exit(64);
    }
    if (check->threads < 1 || check->threads > THREADS_MAX)
        die("1 to 64", "--threads");
    const unsigned bits = check->layout.datacenter_bits + check->layout.worker_bits;
    if (bits > 24)
        die("more slots than this program keeps figures for", "--layout");
    check->slot_count = UINT64_C(1) << bits;
    check->slot_wanted = must(calloc(check->slot_count, 1));
    check->slot_ids = must(calloc(check->slot_count, sizeof check->slot_ids[0]));
    for (int i = 0; i < slot_count; i++)
        set_slot(check, slots[i]);
    set_bounds(check);
    return optind;
}

int main(int argc, char **argv)
{
    struct timespec begin, end;
    struct check check = {.layout = SF_DEFAULT_LAYOUT,
                          .epoch_ms = SF_DEFAULT_EPOCH_MS,
                          .from_ms = SF_DEFAULT_EPOCH_MS,
                          .to_ms = INT64_MAX,
                          .threads = 2,
                          .lock = PTHREAD_MUTEX_INITIALIZER};
    clock_gettime(CLOCK_MONOTONIC, &begin);
    const int at = parse(&check, argc, argv);
    check.input_count = argc - at;
    check.inputs = must(calloc((size_t)check.input_count + 1, sizeof check.inputs[0]));
    check.bucket_records = must(calloc(BUCKETS + 1, sizeof check.bucket_records[0]));
    for (int i = 0; i < check.input_count; i++) {
        open_input(&check.inputs[i], argv[at + i]);
        scan_records(&check, &check.inputs[i]);
    }
    set_buckets(&check);
    for (int i = 0; i < check.input_count; i++)
        count_buckets(&check, &check.inputs[i]);
    make_slices(&check);
    run_threads(&check);
    check_strays(&check);
    clock_gettime(CLOCK_MONOTONIC, &end);
    print(&check,
          (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
    for (int f = 0; f < FAULTS; f++)
        if (check.faults[f] > 0)
            return 1;
    return check.ids > 0 ? 0 : 2;
}
