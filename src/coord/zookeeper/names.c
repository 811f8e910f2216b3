/* coord/zookeeper/names.c - see names.h. */
#include "coord/zookeeper/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "coord/records.h"

#define CURRENT "current-"

struct sf_zk_names *sf_zk_names_take(struct sf_zk_call *call)
{
    struct sf_zk_names *names = calloc(1, sizeof *names);
    SF_ASSERT(names != NULL);
    *names = (struct sf_zk_names){.text = call->names, .count = call->name_count};
    call->names = NULL;
    call->name_count = 0;
    return names;
}

void sf_zk_names_free(struct sf_zk_names *names)
{
    if (names == NULL)
        return;
    for (size_t i = 0; i < names->count; i++)
        free(names->text[i]);
    free(names->text);
    free(names);
}

void sf_zk_names_keep(struct sf_zk_names *names, bool (*is_ours)(const char *name))
{
    size_t kept = 0;
    for (size_t i = 0; i < names->count; i++) {
        if (is_ours(names->text[i]))
            names->text[kept++] = names->text[i];
        else
            free(names->text[i]);
    }
    names->count = kept;
}

bool sf_zk_is_claim_name(const char *name)
{
    char guid[SF_HEX128_SIZE];
    uint64_t sequence = 0;
    return sf_claim_name_parse(name, guid, &sequence) == 0;
}

bool sf_zk_is_token(const char *name)
{
    return sf_token_is_valid(name);
}

bool sf_zk_is_current_name(const char *name)
{
    return strncmp(name, CURRENT, strlen(CURRENT)) == 0 &&
           sf_token_is_valid(name + strlen(CURRENT));
}

bool sf_zk_number_of(const char *name, uint64_t max, uint64_t *ret)
{
    char again[24];
    uint64_t number = 0;
    if (sf_parse_u64(name, 0, max, &number) < 0)
        return false;
    snprintf(again, sizeof again, "%" PRIu64, number);
    if (strcmp(again, name) != 0)
        return false;
    *ret = number;
    return true;
}
