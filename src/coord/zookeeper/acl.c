/* coord/zookeeper/acl.c - see acl.h. */
#include "coord/zookeeper/acl.h"

/* The ZooKeeper protocol's bits. */
enum { READ = 1, WRITE = 2, CREATE = 4, DELETE = 8, ADMIN = 16, ALL = 31 };

static const struct sf_zk_acl open_acl = {ALL, "world", "anyone"};
static const struct sf_zk_acl record_acl = {READ | WRITE | ADMIN, "auth", ""};
static const struct sf_zk_acl name_acl = {READ | ADMIN, "auth", ""};
static const struct sf_zk_acl slots_acl = {READ | CREATE | ADMIN, "auth", ""};
static const struct sf_zk_acl directory_acl = {ALL, "auth", ""};

const struct sf_zk_acl *sf_zk_acl_record(const struct sf_zk_options *options)
{
    return options->auth != NULL ? &record_acl : &open_acl;
}

const struct sf_zk_acl *sf_zk_acl_name(const struct sf_zk_options *options)
{
    return options->auth != NULL ? &name_acl : &open_acl;
}

const struct sf_zk_acl *sf_zk_acl_slots(const struct sf_zk_options *options)
{
    return options->auth != NULL ? &slots_acl : &open_acl;
}

const struct sf_zk_acl *sf_zk_acl_directory(const struct sf_zk_options *options)
{
    return options->auth != NULL ? &directory_acl : &open_acl;
}

const struct sf_zk_acl *sf_zk_acl_shared(void)
{
    return &open_acl;
}
