/* Times and durations as text: the half of base/parse.h that knows the calendar. Day numbers follow
 * H. Hinnant's "chrono-compatible low-level date algorithms": years start on 1 March, so that leap
 * days come last. */
#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MS_PER_DAY INT64_C(86400000)

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t days_from_civil(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    const int64_t era = floor_div(year, 400);
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year =
        (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static unsigned days_in_month(int64_t year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Reads exactly `digits` digits with a value from min to max and moves on. */
static bool take_number(const char **at, int digits, unsigned min, unsigned max, unsigned *ret)
{
    unsigned value = 0;
    for (int i = 0; i < digits; i++) {
        const char c = (*at)[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (unsigned)(c - '0');
    }
    if (value < min || value > max)
        return false;
    *at += digits;
    *ret = value;
    return true;
}

static bool take_char(const char **at, const char *allowed)
{
    if (**at == '\0' || strchr(allowed, **at) == NULL)
        return false;
    ++*at;
    return true;
}

/* "Z", "+hh:mm" or "-hh:mm", and then the end. */
static bool take_offset(const char **at, int64_t *ret_offset_ms)
{
    const char sign = **at;
    if (take_char(at, "Zz")) {
        *ret_offset_ms = 0;
        return **at == '\0';
    }
    unsigned hour, minute;
    if (!take_char(at, "+-") || !take_number(at, 2, 0, 23, &hour) || !take_char(at, ":") ||
        !take_number(at, 2, 0, 59, &minute) || **at != '\0')
        return false;
    const int64_t offset_ms = (int64_t)(hour * 60 + minute) * 60000;
    *ret_offset_ms = sign == '-' ? -offset_ms : offset_ms;
    return true;
}

int sf_parse_time_ms(const char *text, int64_t *ret_unix_ms)
{
    const char *at = text;
    unsigned year, month, day, hour, minute, second;
    if (!(take_number(&at, 4, 0, 9999, &year) && take_char(&at, "-")))
        return sf_parse_i64(text, INT64_MIN, INT64_MAX, ret_unix_ms);
    if (!(take_number(&at, 2, 1, 12, &month) && take_char(&at, "-") &&
          take_number(&at, 2, 1, 31, &day) && take_char(&at, "Tt ") &&
          take_number(&at, 2, 0, 23, &hour) && take_char(&at, ":") &&
          take_number(&at, 2, 0, 59, &minute) && take_char(&at, ":") &&
          take_number(&at, 2, 0, 60, &second)))
        return -EINVAL;
    if (day > days_in_month(year, month))
        return -EINVAL;
    unsigned milliseconds = 0;
    if (take_char(&at, ".")) {
        if (*at < '0' || *at > '9')
            return -EINVAL;
        for (unsigned scale = 100; *at >= '0' && *at <= '9'; at++, scale /= 10)
            milliseconds += scale * (unsigned)(*at - '0');
    }
    int64_t offset_ms;
    if (!take_offset(&at, &offset_ms))
        return -EINVAL;
    /* A leap second (60) counts as the first second of the next minute, as Unix time has it. */
    *ret_unix_ms = days_from_civil(year, month, day) * MS_PER_DAY + (int64_t)hour * 3600000 +
                   (int64_t)minute * 60000 + (int64_t)second * 1000 + milliseconds - offset_ms;
    return 0;
}

const char *sf_format_time_ms(int64_t unix_ms, char *buffer, size_t size)
{
    const int64_t days = floor_div(unix_ms, MS_PER_DAY);
    /* Not unix_ms - days * MS_PER_DAY: the product can lie below INT64_MIN. */
    const int64_t ms = unix_ms % MS_PER_DAY + (unix_ms % MS_PER_DAY < 0 ? MS_PER_DAY : 0);

    const int64_t shifted = days + 719468;
    const int64_t era = floor_div(shifted, 146097);
    const int64_t day_of_era = shifted - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_from_march = (5 * day_of_year + 2) / 153;
    const int64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    const int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    const int64_t year = year_of_era + era * 400 + (month <= 2);

    snprintf(buffer, size,
             "%s%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02" PRId64 ":%02" PRId64 ":%02" PRId64
             ".%03" PRId64 "Z",
             year < 0 ? "-" : "", year < 0 ? -year : year, month, day, ms / 3600000,
             ms / 60000 % 60, ms / 1000 % 60, ms % 1000);
    return buffer;
}

const char *sf_format_duration_ms(int64_t duration_ms, char *buffer, size_t size)
{
    const char *sign = duration_ms < 0 ? "-" : "";
    const uint64_t ms = duration_ms < 0 ? 0 - (uint64_t)duration_ms : (uint64_t)duration_ms;
    const uint64_t s = ms / 1000;
    if (ms < 1000)
        snprintf(buffer, size, "%s%" PRIu64 "ms", sign, ms);
    else if (s < 60)
        snprintf(buffer, size, "%s%" PRIu64 "s", sign, s);
    else if (s < 3600)
        snprintf(buffer, size, "%s%" PRIu64 "m%02" PRIu64 "s", sign, s / 60, s % 60);
    else if (s < 86400)
        snprintf(buffer, size, "%s%" PRIu64 "h%02" PRIu64 "m", sign, s / 3600, s / 60 % 60);
    else
        snprintf(buffer, size, "%s%" PRIu64 "d%02" PRIu64 "h", sign, s / 86400, s / 3600 % 24);
    return buffer;
}
