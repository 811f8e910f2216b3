/* Does under the filter what the argument says; prints what came of it. 77: there are no
 * filters. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/seccomp.h"

static void *nothing(void *arg)
{
    return arg;
}

static int outcome(long rc)
{
    printf("%s\n", rc >= 0 ? "done" : strerror(errno));
    return 0;
}

int main(int argc, char **argv)
{
    struct sf_error err = {0};
    const int rc = sf_seccomp_apply(&err);
    if (argc != 2 || rc != 0) {
        fprintf(stderr, "%s\n", argc != 2 ? "usage: probe_seccomp WHAT" : err.text);
        return rc == -ENOTSUP ? 77 : 64;
    }
    if (strcmp(argv[1], "exec") == 0)
        return execl("/bin/true", "true", (char *)NULL);
    if (strcmp(argv[1], "fork") == 0)
        return outcome(fork());
    if (strcmp(argv[1], "ptrace") == 0)
        return outcome(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    if (strcmp(argv[1], "mount") == 0)
        return outcome(mount("none", "/mnt", "tmpfs", 0, NULL));
    if (strcmp(argv[1], "kill") == 0)
        return outcome(kill(getppid(), 0));
    if (strcmp(argv[1], "tgkill") == 0)
        return outcome(tgkill(getppid(), getppid(), 0));
    if (strcmp(argv[1], "own-tgkill") == 0)
        return outcome(tgkill(getpid(), gettid(), 0));
    if (strcmp(argv[1], "type") == 0)
        return outcome(ioctl(STDIN_FILENO, TIOCSTI, "x"));
    if (strcmp(argv[1], "raw-socket") == 0)
        return outcome(socket(AF_PACKET, SOCK_RAW, 0));
    if (strcmp(argv[1], "socket") == 0)
        return outcome(socket(AF_INET, SOCK_STREAM, 0));
    if (strcmp(argv[1], "writable-code") == 0)
        return outcome(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
                           ? -1
                           : 0);
    if (strcmp(argv[1], "thread") == 0) {
        pthread_t thread;
        const int code = pthread_create(&thread, NULL, nothing, NULL);
        errno = code;
        return outcome(code == 0 ? pthread_join(thread, NULL) : -1);
    }
    return 64;
}
