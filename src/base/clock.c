/* clock.c: time and its texts. See clock.h. Our own calendar arithmetic, since gmtime_r's text needs the locale. */
#include "clock.h"
#include <inttypes.h>
#include <time.h>

static bh_time_ms read_clock(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts);
    return (bh_time_ms)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bh_time_ms bh_clock_now(void)
{
    return read_clock(CLOCK_REALTIME);
}

bh_time_ms bh_clock_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* Days are counted from 0000-03-01, so that the leap day is the last of its year: eras of 400 years are alike. */
void bh_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *ret_day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *ret_month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *ret_year = yoe + era * 400 + (*ret_month <= 2);
}

int64_t bh_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t mp = month > 2 ? (int64_t)month - 3 : (int64_t)month + 9;
    int64_t doy = (153 * mp + 2) / 5 + (int64_t)day - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

struct parts {
    int64_t days, year;
    unsigned month, day, hour, minute, second, ms;
};

static struct parts split(bh_time_ms at)
{
    struct parts t;
    int64_t ms_of_day = at % 86400000;

    if (ms_of_day < 0)
        ms_of_day += 86400000;
    t.days = (at - ms_of_day) / 86400000;
    bh_civil_from_days(t.days, &t.year, &t.month, &t.day);
    t.hour = (unsigned)(ms_of_day / 3600000);
    t.minute = (unsigned)(ms_of_day / 60000 % 60);
    t.second = (unsigned)(ms_of_day / 1000 % 60);
    t.ms = (unsigned)(ms_of_day % 1000);
    return t;
}

void bh_time_rfc3339(struct bh_buf *out, bh_time_ms at, bool with_ms)
{
    struct parts t = split(at);

    bh_buf_printf(out, "%04" PRId64 "-%02u-%02uT%02u:%02u:%02u", t.year, t.month, t.day, t.hour, t.minute, t.second);
    if (with_ms)
        bh_buf_printf(out, ".%03u", t.ms);
    bh_buf_char(out, 'Z');
}

void bh_time_rfc5322(struct bh_buf *out, bh_time_ms at)
{
    static const char days[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct parts t = split(at);
    unsigned weekday = (unsigned)((t.days % 7 + 7) % 7);

    bh_buf_printf(out, "%s, %u %s %04" PRId64 " %02u:%02u:%02u +0000", days[weekday], t.day, months[t.month - 1],
                  t.year, t.hour, t.minute, t.second);
}
