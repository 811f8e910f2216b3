/* server/list.h - rings of links that stand in the structs they link; a list is a link of its own. Not thread-safe: a list belongs
 * to one shard. */
#ifndef SF_SERVER_LIST_H
#define SF_SERVER_LIST_H

#include <stddef.h>

struct sf_link {
    struct sf_link *next, *prev;
};

/* Makes an empty list, or a link that stands in none. */
static inline void sf_link_init(struct sf_link *link)
{
    link->next = link->prev = link;
}

/* Also of a link that stands in none. */
static inline void sf_link_remove(struct sf_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    sf_link_init(link);
}

/* At the end. The link stands in no list. */
static inline void sf_link_append(struct sf_link *list, struct sf_link *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

#define SF_CONTAINER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

#endif
