/* Does what the first argument says, under what the daemon takes from itself (daemon/capabilities, landlock, seccomp), and prints
 * what came of it: "done", or the system's words. The second argument is the one directory that may be written. With "--open"
 * behind them nothing is taken: what is refused must work then, or the test shows nothing. 77: this system cannot take it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/capabilities.h"
#include "daemon/landlock.h"
#include "daemon/seccomp.h"

static const char *own; /* the directory that may be written */
static pid_t victim;    /* another process of this user, not confined */
static volatile int secret = 4711;
static char memory_of_victim[64];

static long code_of(int failed)
{
    errno = failed;
    return failed == 0 ? 0 : -1;
}

static void *nothing(void *arg)
{
    return arg;
}

static long try_exec(void)
{
    return execl("/bin/true", "true", (char *)NULL);
}
static long try_fork(void)
{
    return fork();
}
static long try_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}
static long try_mount(void)
{
    return mount("none", "/mnt", "tmpfs", 0, NULL);
}
static long try_kill(void)
{
    return kill(victim, 0);
}
static long try_tgkill(void)
{
    return tgkill(victim, victim, 0);
}
static long try_own_tgkill(void)
{
    return tgkill(getpid(), gettid(), 0);
}
static long try_type(void)
{
    return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

/* --- signals by way of a descriptor --- */

static int descriptor(void)
{
    int ends[2] = {-1, -1};
    return socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 ? ends[0] : -1;
}

static long try_owner(void)
{
    return fcntl(descriptor(), F_SETOWN, victim);
}
static long try_signal(void)
{
    return fcntl(descriptor(), F_SETSIG, SIGKILL);
}
static long try_asynchronous(void)
{
    return fcntl(descriptor(), F_SETFL, O_ASYNC | O_NONBLOCK);
}
static long try_nonblocking(void)
{
    return fcntl(descriptor(), F_SETFL, O_NONBLOCK);
}
static long try_notify(void)
{
    return fcntl(open("/", O_RDONLY | O_DIRECTORY), F_NOTIFY, DN_CREATE);
}

static long try_owner_ex(void)
{
    const struct f_owner_ex owner = {F_OWNER_PID, victim};
    return fcntl(descriptor(), F_SETOWN_EX, &owner);
}

/* --- memory and code --- */

static long peek(const char *path, int flags)
{
    int value = 0;
    const int fd = open(path, flags);
    if (fd < 0)
        return -1;
    const off_t at = (off_t)(uintptr_t)&secret;
    if (flags == O_RDONLY)
        return pread(fd, &value, sizeof value, at) == (ssize_t)sizeof value && value == secret ? 0
                                                                                               : -1;
    value = secret;
    return pwrite(fd, &value, sizeof value, at) == (ssize_t)sizeof value ? 0 : -1;
}

static long try_read_memory(void)
{
    return peek(memory_of_victim, O_RDONLY);
}
static long try_write_memory(void)
{
    return peek(memory_of_victim, O_RDWR);
}
static long try_read_own_memory(void)
{
    return peek("/proc/self/mem", O_RDONLY);
}
static long try_patch(void)
{
    return peek("/proc/self/mem", O_RDWR);
}
static long try_patch_by_thread(void)
{
    return peek("/proc/thread-self/mem", O_WRONLY);
}

static long try_vm_read(void)
{
    int value = 0;
    const struct iovec to = {&value, sizeof value},
                       from = {(void *)(uintptr_t)&secret, sizeof value};
    return process_vm_readv(victim, &to, 1, &from, 1, 0);
}

static void *map(int protection)
{
    return mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long try_writable_code(void)
{
    return map(PROT_READ | PROT_WRITE | PROT_EXEC) == MAP_FAILED ? -1 : 0;
}
static long try_code(void)
{
    return map(PROT_READ | PROT_EXEC) == MAP_FAILED ? -1 : 0;
}
static long try_made_code(void)
{
    return mprotect(map(PROT_READ | PROT_WRITE), 4096, PROT_READ | PROT_EXEC);
}

static long try_library(void)
{
    const int fd = open("/proc/self/exe", O_RDONLY);
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0;
}

static long try_show(void)
{
    return prctl(PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL);
}
static long try_hide(void)
{
    return prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
}

/* --- sockets --- */

static long try_packet(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0);
}
static long try_raw(void)
{
    return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}
static long try_raw6(void)
{
    return socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
}
static long try_ping(void)
{
    return socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
}
static long try_audit(void)
{
    return socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
}
static long try_tcp(void)
{
    return socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}
static long try_udp(void)
{
    return socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
}
static long try_route(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static long try_listen(void)
{
    const struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    return bind(fd, (const struct sockaddr *)&here, sizeof here) == 0 ? listen(fd, 1) : -1;
}

/* --- files --- */

static const char *in(const char *directory, const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static long try_write(void)
{
    return open(in(own, "file"), O_RDWR | O_CREAT, 0600);
}
static long try_write_elsewhere(void)
{
    return open(in(own, "../elsewhere"), O_RDWR | O_CREAT, 0600);
}
static long try_change_elsewhere(void)
{
    return truncate(in(own, "../there"), 0);
}
static long try_remove_elsewhere(void)
{
    return unlink(in(own, "../doomed"));
}
static long try_directory_elsewhere(void)
{
    return mkdir(in(own, "../made"), 0700);
}
static long try_link_elsewhere(void)
{
    return symlink("/etc/passwd", in(own, "../link"));
}
static long try_move_out(void)
{
    char from[4096];
    snprintf(from, sizeof from, "%s/leaves", own);
    return open(from, O_RDWR | O_CREAT, 0600) < 0 ? -1 : rename(from, in(own, "../left"));
}
/* Its own directory is for files. */
static long try_socket_file(void)
{
    struct sockaddr_un here = {.sun_family = AF_UNIX};
    snprintf(here.sun_path, sizeof here.sun_path, "%s/s", own);
    return bind(socket(AF_UNIX, SOCK_DGRAM, 0), (const struct sockaddr *)&here, sizeof here);
}
static long try_fifo(void)
{
    return mkfifo(in(own, "fifo"), 0600);
}
static long try_read(void)
{
    return open("/etc/hostname", O_RDONLY);
}
static long try_null(void)
{
    return open("/dev/null", O_WRONLY);
}
static long try_create_setuid(void)
{
    return open(in(own, "root"), O_RDWR | O_CREAT, 04755);
}

static long change_mode(mode_t mode)
{
    const char *path = in(own, "mode");
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    return fd >= 0 && chmod(path, mode) == 0 && fchmod(fd, mode) == 0 ? 0 : -1;
}

static long try_setuid(void)
{
    return change_mode(04755);
}
static long try_setgid(void)
{
    return change_mode(02755);
}
static long try_mode(void)
{
    return change_mode(0640);
}

static long try_thread(void)
{
    pthread_t thread;
    const int failed = pthread_create(&thread, NULL, nothing, NULL);
    return failed == 0 ? pthread_join(thread, NULL) : code_of(failed);
}

static long try_namespace(void)
{
    return syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */);
}

static long try_capability(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};
    (void)syscall(SYS_capget, &header, sets);
    return sets[0].permitted != 0 || prctl(PR_CAPBSET_READ, 0UL, 0UL, 0UL, 0UL) > 0
               ? 0
               : code_of(EPERM);
}

static const struct {
    const char *name;
    long (*act)(void);
} tries[] = {
    {"exec", try_exec},
    {"fork", try_fork},
    {"ptrace", try_ptrace},
    {"mount", try_mount},
    {"kill", try_kill},
    {"tgkill", try_tgkill},
    {"own-tgkill", try_own_tgkill},
    {"type", try_type},
    {"owner", try_owner},
    {"owner-ex", try_owner_ex},
    {"signal", try_signal},
    {"asynchronous", try_asynchronous},
    {"nonblocking", try_nonblocking},
    {"notify", try_notify},
    {"read-memory", try_read_memory},
    {"write-memory", try_write_memory},
    {"read-own-memory", try_read_own_memory},
    {"patch", try_patch},
    {"patch-by-thread", try_patch_by_thread},
    {"vm-read", try_vm_read},
    {"writable-code", try_writable_code},
    {"code", try_code},
    {"made-code", try_made_code},
    {"library", try_library},
    {"show", try_show},
    {"hide", try_hide},
    {"packet", try_packet},
    {"raw", try_raw},
    {"raw6", try_raw6},
    {"ping", try_ping},
    {"uevent", try_audit},
    {"tcp", try_tcp},
    {"udp", try_udp},
    {"route", try_route},
    {"listen", try_listen},
    {"write", try_write},
    {"write-elsewhere", try_write_elsewhere},
    {"change-elsewhere", try_change_elsewhere},
    {"remove-elsewhere", try_remove_elsewhere},
    {"directory-elsewhere", try_directory_elsewhere},
    {"link-elsewhere", try_link_elsewhere},
    {"move-out", try_move_out},
    {"socket-file", try_socket_file},
    {"fifo", try_fifo},
    {"read", try_read},
    {"null", try_null},
    {"create-setuid", try_create_setuid},
    {"setuid", try_setuid},
    {"setgid", try_setgid},
    {"mode", try_mode},
    {"thread", try_thread},
    {"namespace", try_namespace},
    {"capability", try_capability},
};

/* Waits until we have ended: whoever is confined cannot end it. */
static void start_victim(void)
{
    int ends[2];
    char byte;
    if (pipe(ends) != 0)
        exit(64);
    victim = fork();
    if (victim == 0) {
        close(ends[1]);
        (void)!read(ends[0], &byte, 1);
        _exit(0);
    }
    close(ends[0]);
    snprintf(memory_of_victim, sizeof memory_of_victim, "/proc/%d/mem", (int)victim);
}

static int take(const char *how)
{
    struct sf_error err = {0};
    bool had = false;
    const struct sf_landlock_rule rule = {own, SF_LANDLOCK_WRITE};
    int rc = sf_capabilities_drop(&had, &err);
    if (rc == 0 && strcmp(how, "--without-landlock") != 0)
        rc = sf_landlock_apply(&rule, 1, &err);
    if (rc == 0)
        rc = sf_seccomp_apply(strcmp(how, "--injection") == 0, &err);
    if (rc != 0)
        fprintf(stderr, "%s\n", err.text);
    return rc;
}

int main(int argc, char **argv)
{
    const char *how = argc > 3 ? argv[3] : "";
    if (argc < 3)
        return 64;
    own = argv[2];
    start_victim();
    const int rc = strcmp(how, "--open") == 0 ? 0 : take(how);
    if (rc != 0)
        return rc == -ENOTSUP ? 77 : 64;
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        if (strcmp(tries[i].name, argv[1]) != 0)
            continue;
        const long got = tries[i].act();
        printf("%s\n", got >= 0 ? "done" : strerror(errno));
        return 0;
    }
    return 64;
}
