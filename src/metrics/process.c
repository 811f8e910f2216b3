/* The standard process metrics, from proc(5). What cannot be read is left out. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "metrics/metrics.h"

static double count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return -1;
    unsigned count = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count - 1; /* without the one that reads */
}

static double boot_time_s(void)
{
    struct timespec now, since_boot;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0)
        return 0;
    return (double)(now.tv_sec - since_boot.tv_sec) +
           (double)(now.tv_nsec - since_boot.tv_nsec) / 1e9;
}

static bool read_stat(uint64_t *ret_ticks, uint64_t *ret_threads, uint64_t *ret_start,
                      uint64_t *ret_virtual, int64_t *ret_resident)
{
    char text[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (file == NULL)
        return false;
    const size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    /* The name is in brackets and may hold anything; fields count from behind it. */
    const char *rest = strrchr(text, ')');
    uint64_t user, kernel;
    if (rest == NULL ||
        /* NOLINTNEXTLINE(cert-err34-c): the kernel writes no number that does not fit */
        sscanf(rest + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
               " %*d %*d %*d %*d %" SCNu64 " %*d %" SCNu64 " %" SCNu64 " %" SCNd64,
               &user, &kernel, ret_threads, ret_start, ret_virtual, ret_resident) != 6)
        return false;
    *ret_ticks = user + kernel;
    return true;
}

double sf_metrics_process_start_s(void)
{
    uint64_t ticks, threads, start, virtual_bytes;
    int64_t resident_pages;
    if (!read_stat(&ticks, &threads, &start, &virtual_bytes, &resident_pages))
        return -1;
    return boot_time_s() + (double)start / (double)sysconf(_SC_CLK_TCK);
}

void sf_metrics_process(void *ctx, struct sf_metrics_page *page)
{
    const double *start_s = ctx;
    uint64_t ticks, threads, start, virtual_bytes;
    int64_t resident_pages;
    if (read_stat(&ticks, &threads, &start, &virtual_bytes, &resident_pages)) {
        const double hertz = (double)sysconf(_SC_CLK_TCK);
        sf_metrics_emit(page, SF_METRIC_PROCESS_CPU, "", (double)ticks / hertz);
        sf_metrics_emit(page, SF_METRIC_PROCESS_THREADS, "", (double)threads);
        sf_metrics_emit(page, SF_METRIC_PROCESS_VIRTUAL, "", (double)virtual_bytes);
        sf_metrics_emit(page, SF_METRIC_PROCESS_RESIDENT, "",
                        (double)resident_pages * (double)sysconf(_SC_PAGESIZE));
    }
    if (*start_s >= 0)
        sf_metrics_emit(page, SF_METRIC_PROCESS_START_TIME, "", *start_s);
    const double descriptors = count_descriptors();
    if (descriptors >= 0)
        sf_metrics_emit(page, SF_METRIC_PROCESS_OPEN_FDS, "", descriptors);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        sf_metrics_emit(page, SF_METRIC_PROCESS_MAX_FDS, "", (double)limit.rlim_cur);
}
