/* cli/top_table.h - the table of `snowfleet top`: one row for each member, what is in its columns, in
 * which order they stand, which are shown, and what all of them together say. Pure. */
#ifndef SF_CLI_TOP_TABLE_H
#define SF_CLI_TOP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/top_picture.h"

/* How a row looks: the word in it says the same. */
enum sf_top_look { SF_TOP_GOOD, SF_TOP_WARN, SF_TOP_BAD, SF_TOP_WAITS, SF_TOP_GONE };

enum sf_top_column {
    SF_TOP_SLOT,
    SF_TOP_STATE,
    SF_TOP_NODE,
    SF_TOP_IDS,
    SF_TOP_LOAD,
    SF_TOP_P50,
    SF_TOP_P99,
    SF_TOP_REFUSED,
    SF_TOP_ERRORS,
    SF_TOP_EXHAUSTED,
    SF_TOP_WAITING,
    SF_TOP_OFFSET,
    SF_TOP_BOUND,
    SF_TOP_RESERVED,
    SF_TOP_CONNECTIONS,
    SF_TOP_ADMIN,
    SF_TOP_COLUMNS
};

#define SF_TOP_UNKNOWN   (-1e300) /* of values */
#define SF_TOP_CELL_MAX  320
#define SF_TOP_FILTER_MAX 64

struct sf_top_row {
    enum sf_top_look look;
    char slot[24], node[80], word[40], reason[256], admin[SF_TOP_CELL_MAX];
    int64_t since_ms;              /* in this state, Unix ms; 0: nothing is the matter, or nobody knows */
    double values[SF_TOP_COLUMNS]; /* of columns with numbers: a second, microseconds, ms; what is sorted by */
};

struct sf_top_view {
    enum sf_top_column sort;
    bool reversed;
    bool trouble;                   /* only who is not well */
    char filter[SF_TOP_FILTER_MAX]; /* words that a row has to hold, in any case; "": all */
};

/* The rows that are shown, in order; to be freed, also where there are none. */
struct sf_top_row *sf_top_rows(const struct sf_top_picture *picture, const struct sf_top_view *view,
                               size_t *ret_count);

/* A column's head, and how wide it is; numbers stand at its right end. The last one, the address, takes
 * what is left of a line. */
struct sf_top_head {
    const char *name;
    int width;
    bool right;
};
struct sf_top_head sf_top_head(enum sf_top_column column);
/* What stands in a row's cell. Returns to. */
const char *sf_top_cell(const struct sf_top_row *row, enum sf_top_column column,
                        char to[SF_TOP_CELL_MAX]);
/* The columns that fit into so many characters, with a space between them, in their order: the least
 * wanted go first. Returns how many. */
size_t sf_top_fit(int width, enum sf_top_column ret[SF_TOP_COLUMNS]);

/* All of them in one line, judged by what is asked of them and what they can give: who is missing matters
 * as far as the others cannot do without. */
enum sf_top_look sf_top_summary(const struct sf_top_picture *picture, char *to, size_t size);

#endif
