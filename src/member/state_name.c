/* The names of a worker's state files. */
#include "member/state_name.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/coordinator.h"
#include "coord/types.h"
#include "worker/statefile.h"

/* Where a fleet is kept, in hexadecimal: a hash of the coordinator's URL, and one of what it means. They
 * differ for a local directory only, which has many spellings and can be reached through links. */
#define PLACE_MAX 34
#define WHO_MAX   80

/* File names take letters, digits and a few signs only. */
static void only_plain(char *text)
{
    for (char *c = text; *c != '\0'; c++)
        if (isalnum((unsigned char)*c) == 0 && strchr(".-_", *c) == NULL)
            *c = '_';
}

/* FNV-1a, to keep coordinators apart: fleets of one name in two places are two fleets. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *c = text; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    return hash;
}

#define REAL_MAX (PATH_MAX + SF_COORDINATOR_DIR_MAX + 1)

/* Puts the components of more behind a path without dots: those that are not there cannot be links, so
 * they are taken as they are written. "" is the root. */
static void append_plainly(char path[REAL_MAX], const char *more)
{
    size_t end = strlen(path);
    while (*more != '\0') {
        const size_t slashes = strspn(more, "/"), length = strcspn(more + slashes, "/");
        const char *part = more + slashes;
        more = part + length;
        if (length == 2 && memcmp(part, "..", 2) == 0) {
            while (end > 0 && path[--end] != '/')
                ;
        } else if (length > 0 && !(length == 1 && *part == '.')) {
            SF_ASSERT(end + 1 + length < REAL_MAX);
            path[end] = '/';
            memcpy(path + end + 1, part, length);
            end += 1 + length;
        }
        path[end] = '\0';
    }
}

/* The directory without links and dots, as far down as there is one; the rest without dots. */
static void real_directory(const char *path, char ret[REAL_MAX])
{
    char head[SF_COORDINATOR_DIR_MAX + 1], found[PATH_MAX] = "";
    size_t end = strlen(path);
    SF_ASSERT(end < sizeof head);
    memcpy(head, path, end + 1);
    while (end > 0 && realpath(head, found) == NULL) {
        while (end > 0 && head[end - 1] != '/')
            end--;
        while (end > 0 && head[end - 1] == '/')
            end--;
        head[end] = '\0';
    }
    if (end == 0 || strcmp(found, "/") == 0)
        found[0] = '\0';
    (void)snprintf(ret, REAL_MAX, "%s", found);
    append_plainly(ret, path + end);
}

/* Fills ret with "LITERAL-REAL". url: a coordinator's, whether it is one or not. */
static void place_of(const char *url, char ret[PLACE_MAX])
{
    struct sf_coordinator_url parts;
    const uint64_t literal = hash_of(url);
    uint64_t real = literal;
    if (sf_coordinator_url_parse(url, &parts, NULL) == 0 &&
        parts.scheme->kind == SF_COORDINATOR_LOCAL) {
        char directory[REAL_MAX];
        real_directory(parts.path, directory);
        real = hash_of(directory);
    }
    (void)snprintf(ret, PLACE_MAX, "%016" PRIx64 "-%016" PRIx64, literal, real);
}

void sf_state_name(const char *fleet, const char *url, uint64_t datacenter, const char *who,
                   char ret[SF_HOLD_STATE_NAME_MAX])
{
    char place[PLACE_MAX];
    place_of(url, place);
    (void)snprintf(ret, SF_HOLD_STATE_NAME_MAX, "%.*s.%s.%" PRIu64 ".%.*s", SF_COORD_FLEET_MAX - 1,
                   fleet, place, datacenter, WHO_MAX, who);
    only_plain(ret);
}

bool sf_state_known(const char *dir, const char *fleet, const char *url)
{
    char place[PLACE_MAX], name[SF_COORD_FLEET_MAX], pattern[SF_HOLD_STATE_NAME_MAX];
    if (dir[0] == '\0')
        return false;
    place_of(url, place);
    const char *real = strchr(place, '-') + 1;
    (void)snprintf(name, sizeof name, "%s", fleet);
    only_plain(name);
    (void)snprintf(pattern, sizeof pattern, "%s.%.16s-*.state", name, place);
    if (sf_statefile_any(dir, pattern))
        return true;
    (void)snprintf(pattern, sizeof pattern, "%s.*-%s.*.state", name, real);
    return sf_statefile_any(dir, pattern);
}
