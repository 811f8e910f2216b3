/* coord/zookeeper/acl.c - see acl.h. */
#include "coord/zookeeper/acl.h"

/* The ZooKeeper protocol's bits. */
enum { READ = 1, WRITE = 2, CREATE = 4, DELETE = 8, ADMIN = 16, ALL = 31 };

static char world[] = "world", anyone[] = "anyone", auth[] = "auth", nobody[] = "";
static struct ACL open_acl[] = {{ALL, {world, anyone}}};
static struct ACL record_acl[] = {{READ | WRITE | ADMIN, {auth, nobody}}};
static struct ACL name_acl[] = {{READ | ADMIN, {auth, nobody}}};
static struct ACL slots_acl[] = {{READ | CREATE | ADMIN, {auth, nobody}}};
static struct ACL directory_acl[] = {{ALL, {auth, nobody}}};
static const struct ACL_vector open_vector = {1, open_acl};
static const struct ACL_vector record_vector = {1, record_acl};
static const struct ACL_vector name_vector = {1, name_acl};
static const struct ACL_vector slots_vector = {1, slots_acl};
static const struct ACL_vector directory_vector = {1, directory_acl};

const struct ACL_vector *sf_zk_acl_record(const struct sf_zk_options *options)
{
    return options->auth != NULL ? &record_vector : &open_vector;
}

const struct ACL_vector *sf_zk_acl_name(const struct sf_zk_options *options)
{
    return options->auth != NULL ? &name_vector : &open_vector;
}

const struct ACL_vector *sf_zk_acl_slots(const struct sf_zk_options *options)
{
    return options->auth != NULL ? &slots_vector : &open_vector;
}

const struct ACL_vector *sf_zk_acl_directory(const struct sf_zk_options *options)
{
    return options->auth != NULL ? &directory_vector : &open_vector;
}

const struct ACL_vector *sf_zk_acl_shared(void)
{
    return &open_vector;
}
