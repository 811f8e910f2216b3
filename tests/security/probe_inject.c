/* What Chaos Mesh's TimeChaos does to a process, in small: stops it by ptrace, has it map a page that is writable code, writes
 * into that page and over the code of the vDSO (with the bytes that stand there), and lets it go on. Argument: the process's
 * number. Prints "done" or what the injected call said. x86-64 only (77 elsewhere). */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#ifdef __x86_64__

#define SYSCALL_INSTRUCTION 0x050fL

/* Has the stopped process make a system call where it stands; everything is as before afterwards. */
static long inject(pid_t pid, const struct user_regs_struct *at)
{
    struct user_regs_struct regs = *at, after;
    int status = 0;
    const long code = ptrace(PTRACE_PEEKTEXT, pid, at->rip, NULL);
    ptrace(PTRACE_POKETEXT, pid, at->rip, (code & ~0xffffL) | SYSCALL_INSTRUCTION);
    regs.rax = SYS_mmap;
    regs.orig_rax = (unsigned long)-1; /* nothing to restart */
    regs.rdi = 0;
    regs.rsi = 4096;
    regs.rdx = PROT_READ | PROT_WRITE | PROT_EXEC;
    regs.r10 = MAP_PRIVATE | MAP_ANONYMOUS;
    regs.r8 = (unsigned long)-1;
    regs.r9 = 0;
    ptrace(PTRACE_SETREGS, pid, NULL, &regs);
    ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
    waitpid(pid, &status, 0);
    ptrace(PTRACE_GETREGS, pid, NULL, &after);
    ptrace(PTRACE_POKETEXT, pid, at->rip, code);
    ptrace(PTRACE_SETREGS, pid, NULL, at);
    return (long)after.rax;
}

static unsigned long vdso_of(pid_t pid)
{
    char path[64], line[512];
    unsigned long at = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "re");
    while (maps != NULL && at == 0 && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "[vdso]") != NULL)
            at = strtoul(line, NULL, 16);
    if (maps != NULL)
        fclose(maps);
    return at;
}

int main(int argc, char **argv)
{
    const pid_t pid = argc == 2 ? atoi(argv[1]) : 0;
    struct user_regs_struct regs;
    int status = 0, value = 42;
    if (pid <= 0 || ptrace(PTRACE_ATTACH, pid, NULL, NULL) != 0)
        return 64;
    waitpid(pid, &status, __WALL);
    ptrace(PTRACE_GETREGS, pid, NULL, &regs);
    const long page = inject(pid, &regs);
    const char *said = "done";
    const struct iovec from = {&value, sizeof value}, to = {(void *)(uintptr_t)page, sizeof value};
    const unsigned long vdso = vdso_of(pid);
    if (page < 0 && page > -4096)
        said = strerror((int)-page);
    else if (process_vm_writev(pid, &from, 1, &to, 1, 0) != (ssize_t)sizeof value ||
             ptrace(PTRACE_POKETEXT, pid, vdso, ptrace(PTRACE_PEEKTEXT, pid, vdso, NULL)) != 0)
        said = strerror(errno);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
    printf("%s\n", said);
    return 0;
}

#else

int main(void)
{
    return 77;
}

#endif
