/* coord/zookeeper/message.h - what lies in the backend thread's inbox. */
#ifndef SF_COORD_ZOOKEEPER_MESSAGE_H
#define SF_COORD_ZOOKEEPER_MESSAGE_H

#include "base/inbox.h"

enum sf_zk_message_kind {
    SF_ZK_SUBMITTED, /* struct sf_zk_job */
    SF_ZK_RESOLVED,  /* struct sf_zk_addresses */
    SF_ZK_STOP       /* in the handle */
};

struct sf_zk_message {
    struct sf_inbox_message message;
    enum sf_zk_message_kind kind;
};

#endif
