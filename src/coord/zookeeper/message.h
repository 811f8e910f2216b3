/* coord/zookeeper/message.h - what lies in the backend thread's inbox. */
#ifndef SF_COORD_ZOOKEEPER_MESSAGE_H
#define SF_COORD_ZOOKEEPER_MESSAGE_H

#include <stdint.h>

#include "base/inbox.h"

enum sf_zk_message_kind {
    SF_ZK_SUBMITTED, /* struct sf_zk_job */
    SF_ZK_ANSWERED,  /* struct sf_zk_call */
    SF_ZK_SESSION,   /* struct sf_zk_note: value is the library's state */
    SF_ZK_WATCHED,   /* struct sf_zk_note: value is the number of the watch */
    SF_ZK_RESOLVED,  /* struct sf_zk_addresses */
    SF_ZK_STOP       /* in the handle */
};

struct sf_zk_message {
    struct sf_inbox_message message;
    enum sf_zk_message_kind kind;
};

struct sf_zk_note {
    struct sf_zk_message head;
    uint64_t link_number; /* to tell late messages apart */
    int value;
};

#endif
