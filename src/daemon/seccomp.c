/* Which system calls the process may make from now on. */
#include "daemon/seccomp.h"

#include <errno.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#undef SNOWFLEET_SECCOMP /* a sanitizer makes calls of its own */
#endif

#ifndef SNOWFLEET_SECCOMP

int sf_seccomp_apply(bool allow_injection, struct sf_error *err)
{
    (void)allow_injection;
    return sf_error_set(err, -ENOTSUP, "this build has no system call filter");
}

#else

#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* clang-format off */
static const int allowed[] = {
    /* files: the local coordinator, the state file, configuration, name service (fcntl, and what takes a mode: see below) */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64),
    SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(close), SCMP_SYS(stat), SCMP_SYS(fstat),
    SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(lseek),
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(unlink),
    SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(link), SCMP_SYS(linkat),
    SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(syncfs), SCMP_SYS(fadvise64), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(flock),
    SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(umask),
    SCMP_SYS(inotify_init), SCMP_SYS(inotify_init1), SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch),
    /* memory (mmap and mprotect: see below) */
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(mlock), SCMP_SYS(munlock), SCMP_SYS(msync),
    SCMP_SYS(membarrier),
    /* sockets (socket, ioctl: see below); nothing new is listened on. socketpair: IDs that are asked for on the admin port */
    SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(sendto), SCMP_SYS(socketpair),
    SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg), SCMP_SYS(shutdown),
    SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(setsockopt), SCMP_SYS(getsockopt),
    SCMP_SYS(sendfile),
    /* waiting */
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(epoll_create), SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd2),
    SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime),
    SCMP_SYS(signalfd4), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(restart_syscall),
    /* threads (clone: see below), signals to ourselves (tgkill: see below) */
    SCMP_SYS(futex), SCMP_SYS(futex_waitv), SCMP_SYS(get_robust_list), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler), SCMP_SYS(gettid), SCMP_SYS(getcpu), SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(rt_sigpending), SCMP_SYS(sigaltstack),
    /* time and who we are */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getpgid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
    SCMP_SYS(getegid), SCMP_SYS(getresuid), SCMP_SYS(getresgid), SCMP_SYS(getgroups), SCMP_SYS(getrlimit),
    SCMP_SYS(getrusage), SCMP_SYS(times), SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(getrandom),
};

/* Never by accident. */
static const int deadly[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(kexec_load), SCMP_SYS(bpf),
};

/* Sockets: family, type, protocol. No raw ones, none that ping. */
static const struct {
    int family, type, protocol;
} sockets[] = {
    {AF_UNIX, SOCK_STREAM, 0},          {AF_UNIX, SOCK_DGRAM, 0},
    {AF_INET, SOCK_STREAM, 0},          {AF_INET, SOCK_STREAM, IPPROTO_TCP},
    {AF_INET, SOCK_DGRAM, 0},           {AF_INET, SOCK_DGRAM, IPPROTO_UDP},
    {AF_INET6, SOCK_STREAM, 0},         {AF_INET6, SOCK_STREAM, IPPROTO_TCP},
    {AF_INET6, SOCK_DGRAM, 0},          {AF_INET6, SOCK_DGRAM, IPPROTO_UDP},
    {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}, /* getaddrinfo asks for our addresses */
};
static const int processes[] = {PR_SET_NAME, PR_GET_NAME, PR_SET_TIMERSLACK, PR_GET_DUMPABLE};
/* Of a descriptor. Not whom it signals (F_SETOWN, F_SETOWN_EX, F_SETSIG, F_SETLEASE, F_NOTIFY): that would be kill by another name. */
static const int descriptors[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK,
                                  F_OFD_SETLK, F_OFD_SETLKW};
/* Terminals and sockets are asked things; nothing is typed into a terminal for others (TIOCSTI). */
static const int controls[] = {TCGETS, FIONBIO, FIONREAD, SIOCGIFINDEX, SIOCGIFNAME};
/* Calls that take a file's mode, and which argument it is. */
static const struct {
    int call;
    unsigned argument;
} modes[] = {
    {SCMP_SYS(open), 2}, {SCMP_SYS(openat), 3}, {SCMP_SYS(chmod), 1}, {SCMP_SYS(fchmod), 1}, {SCMP_SYS(fchmodat), 2},
    {SCMP_SYS(mkdir), 1}, {SCMP_SYS(mkdirat), 2},
};
/* clang-format on */

#define COUNT(list)      (sizeof(list) / sizeof *(list))
#define INT_IS(n, to)    SCMP_CMP(n, SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)(unsigned)(to))
#define WITHOUT(n, bits) SCMP_CMP(n, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(bits), 0)

static int allow(scmp_filter_ctx filter, int call, unsigned count, const struct scmp_arg_cmp *when)
{
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, count, when);
}

/* Files: no bits that make a program run as somebody else, no signals by way of a descriptor. */
static int add_files(scmp_filter_ctx filter)
{
    int rc = 0;
    for (size_t i = 0; i < COUNT(modes) && rc == 0; i++)
        rc = allow(filter, modes[i].call, 1, &WITHOUT(modes[i].argument, S_ISUID | S_ISGID));
    for (size_t i = 0; i < COUNT(descriptors) && rc == 0; i++)
        rc = allow(filter, SCMP_SYS(fcntl), 1, &INT_IS(1, descriptors[i]));
    const struct scmp_arg_cmp flags[] = {INT_IS(1, F_SETFL), WITHOUT(2, O_ASYNC)};
    if (rc == 0)
        rc = allow(filter, SCMP_SYS(fcntl), COUNT(flags), flags);
    for (size_t i = 0; i < COUNT(controls) && rc == 0; i++)
        rc = allow(filter, SCMP_SYS(ioctl), 1, &INT_IS(1, controls[i]));
    return rc;
}

static int add_sockets(scmp_filter_ctx filter)
{
    static const unsigned flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    int rc = 0;
    for (size_t i = 0; i < COUNT(sockets) && rc == 0; i++) {
        const struct scmp_arg_cmp is[] = {
            INT_IS(0, sockets[i].family),
            SCMP_CMP(1, SCMP_CMP_MASKED_EQ, UINT32_MAX & ~flags, (scmp_datum_t)sockets[i].type),
            INT_IS(2, sockets[i].protocol),
        };
        rc = allow(filter, SCMP_SYS(socket), COUNT(is), is);
    }
    if (rc == 0)
        rc = allow(filter, SCMP_SYS(socketpair), 1, &INT_IS(0, AF_UNIX));
    return rc;
}

/* Memory: the code that is there when the filter is set is all the code there will be. */
static int add_memory(scmp_filter_ctx filter, bool allow_injection)
{
    const struct scmp_arg_cmp no_code = WITHOUT(2, PROT_EXEC);
    const unsigned count = allow_injection ? 0 : 1;
    const int rc = allow(filter, SCMP_SYS(mmap), count, &no_code);
    return rc == 0 ? allow(filter, SCMP_SYS(mprotect), count, &no_code) : rc;
}

/* The process itself: threads, names, limits. */
static int add_process(scmp_filter_ctx filter)
{
    int rc = 0;
    for (size_t i = 0; i < COUNT(processes) && rc == 0; i++)
        rc = allow(filter, SCMP_SYS(prctl), 1, &INT_IS(0, processes[i]));
    /* It may hide its memory, not show it. */
    const struct scmp_arg_cmp hide[] = {INT_IS(0, PR_SET_DUMPABLE), SCMP_A1(SCMP_CMP_EQ, 0)};
    if (rc == 0)
        rc = allow(filter, SCMP_SYS(prctl), COUNT(hide), hide);
    if (rc == 0)
        rc = allow(filter, SCMP_SYS(tgkill), 1, &SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    /* Threads, no processes. The flags of clone3 lie in memory: the C library falls back to clone.
     */
    if (rc == 0)
        rc = allow(filter, SCMP_SYS(clone), 1,
                   &SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    /* Our own limits may be read; changing one needs no pid but a pointer, which is null when
     * reading. */
    const struct scmp_arg_cmp ours[] = {SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A2(SCMP_CMP_EQ, 0)};
    return rc == 0 ? allow(filter, SCMP_SYS(prlimit64), COUNT(ours), ours) : rc;
}

static int add_rules(scmp_filter_ctx filter, bool allow_injection)
{
    int rc = 0;
    for (size_t i = 0; i < COUNT(allowed) && rc == 0; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; i < COUNT(deadly) && rc == 0; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    if (rc == 0)
        rc = add_files(filter);
    if (rc == 0)
        rc = add_sockets(filter);
    if (rc == 0)
        rc = add_memory(filter, allow_injection);
    return rc == 0 ? add_process(filter) : rc;
}

int sf_seccomp_apply(bool allow_injection, struct sf_error *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return sf_error_set(err, -ENOTSUP, "this system has no system call filters");
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = add_rules(filter, allow_injection);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    if (rc == 0)
        return 0;
    char text[128];
    return sf_error_set(err, rc == -EINVAL || rc == -ENOSYS || rc == -ECANCELED ? -ENOTSUP : rc,
                        "the system call filter cannot be set: %s",
                        sf_errno_text(rc, text, sizeof text));
}

#endif
