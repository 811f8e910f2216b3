/* A program that mints for itself, led by lines on its standard input; each is answered with one line.
 *
 *   open NAME=VALUE...   of a second argument on: options as `more`   -> ok | error and detail
 *   wait MS | next N | after ID | close                               -> name of the error
 *   status                                                            -> next state held left_ms ids why
 *   ids N                every ID on the line
 *   fill N PATH          N IDs at a time, as binary, until a call fails; answers the count and the error
 *   fork                 a child that tries to mint                   -> what the child was answered
 *   leave MS             a child that lives on for so long            -> its pid
 *   exec                 a program that lists its descriptors above 2 -> the list
 *   closefds             closes every descriptor above 2
 *   exit                 calls exit from another thread
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <snowfleet/minter.h>

#define WORDS_MAX 40
#define IDS_MAX   65536

static struct sf_minter *minter;
static uint64_t ids[IDS_MAX];

static void say(enum sf_minter_error error, const char *detail)
{
    printf("%s%s%s\n", sf_minter_error_name(error), detail[0] != '\0' ? " " : "", detail);
}

static void log_line(void *ctx, enum sf_minter_level level, const char *event, const char *sentence)
{
    (void)ctx;
    fprintf(stderr, "%d %s %s\n", (int)level, event, sentence);
}

static void do_open(char **words)
{
    char detail[SF_MINTER_DETAIL_MAX];
    struct sf_minter_options options = SF_MINTER_OPTIONS;
    options.more = (const char *const *)words;
    options.log = log_line;
    options.log_level = SF_MINTER_DEBUG;
    const enum sf_minter_error error = sf_minter_open(&options, &minter, detail, sizeof detail);
    say(error, error != SF_MINTER_OK ? detail : "");
}

static void do_status(void)
{
    struct sf_minter_view s;
    unsigned held = 0;
    int64_t left_ms = 0;
    sf_minter_status(minter, &s, sizeof s);
    for (unsigned i = 0; i < s.slot_count; i++) {
        held += s.slots[i].held;
        left_ms = s.slots[i].left_ms > left_ms ? s.slots[i].left_ms : left_ms;
    }
    printf("%s %s %u %" PRId64 " %" PRIu64 " %s\n", sf_minter_error_name(s.next), s.state, held,
           left_ms, s.ids, s.why);
}

static void do_ids(uint32_t count)
{
    const enum sf_minter_error error = sf_minter_next_n(minter, count, ids);
    printf("%s", sf_minter_error_name(error));
    for (uint32_t i = 0; i < count && error == SF_MINTER_OK; i++)
        printf(" %" PRIu64, ids[i]);
    printf("\n");
}

static void do_fill(uint32_t count, const char *path)
{
    FILE *file = fopen(path, "ab");
    uint64_t all = 0;
    enum sf_minter_error error = SF_MINTER_OK;
    while (file != NULL && error == SF_MINTER_OK) {
        error = sf_minter_next_n(minter, count, ids);
        if (error != SF_MINTER_OK)
            break;
        if (fwrite(ids, sizeof *ids, count, file) != count || fflush(file) != 0)
            exit(3);
        all += count;
    }
    if (file != NULL)
        (void)fclose(file);
    printf("%" PRIu64 " %s\n", all, sf_minter_error_name(error));
}

static void do_fork(void)
{
    int status = -1;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        uint64_t id;
        _exit((int)sf_minter_next(minter, &id));
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        printf("the child ended with %d\n", status);
    else
        say((enum sf_minter_error)WEXITSTATUS(status), "");
}

static void do_leave(unsigned ms)
{
    const pid_t child = fork();
    if (child == 0) {
        (void)close(STDOUT_FILENO);
        (void)usleep(ms * 1000);
        _exit(0);
    }
    printf("%d\n", (int)child);
}

/* Which of them came through an exec. */
static void do_exec(void)
{
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        (void)execl("/bin/sh", "sh", "-c",
                    "exec 9</proc/self/fd; ls /proc/self/fd | tr '\\n' ' '; echo", (char *)NULL);
        _exit(127);
    }
    (void)waitpid(child, NULL, 0);
}

static void *end_here(void *ctx)
{
    (void)ctx;
    exit(0);
}

static void do_exit(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, end_here, NULL) == 0)
        for (;;) {
            uint64_t id;
            (void)sf_minter_next(minter, &id);
        }
}

static void obey(char **words, unsigned count)
{
    const uint64_t number = count > 1 ? strtoull(words[1], NULL, 10) : 0;
    const char *word = words[0];
    uint64_t id = 0;
    if (strcmp(word, "open") == 0)
        do_open(words + 1);
    else if (strcmp(word, "wait") == 0)
        say(sf_minter_wait(minter, (uint32_t)number), "");
    else if (strcmp(word, "next") == 0)
        say(sf_minter_next_n(minter, (uint32_t)number, ids), "");
    else if (strcmp(word, "after") == 0)
        say(sf_minter_next_after(minter, number, &id), "");
    else if (strcmp(word, "close") == 0)
        say(sf_minter_close(minter), "");
    else if (strcmp(word, "status") == 0)
        do_status();
    else if (strcmp(word, "ids") == 0)
        do_ids((uint32_t)number);
    else if (strcmp(word, "fill") == 0 && count > 2)
        do_fill((uint32_t)number, words[2]);
    else if (strcmp(word, "fork") == 0)
        do_fork();
    else if (strcmp(word, "leave") == 0)
        do_leave((unsigned)number);
    else if (strcmp(word, "exec") == 0)
        do_exec();
    else if (strcmp(word, "exit") == 0)
        do_exit();
    else if (strcmp(word, "closefds") == 0)
        printf("%s\n", close_range(3, ~0U, 0) == 0 ? "OK" : strerror(errno));
    else
        printf("what is %s?\n", word);
    fflush(stdout);
}

int main(void)
{
    static char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *words[WORDS_MAX + 1] = {NULL}, *rest = NULL;
        unsigned count = 0;
        for (char *word = strtok_r(line, " \n", &rest); word != NULL && count < WORDS_MAX;
             word = strtok_r(NULL, " \n", &rest))
            words[count++] = word;
        if (count > 0)
            obey(words, count);
    }
    return 0;
}
