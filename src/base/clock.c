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

/* `n` digits, at most `max`; the error is sticky: -1 stays. */
static int64_t take_digits(bh_str *text, size_t n, int64_t max)
{
    int64_t value = 0;

    if (text->n < n)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (text->p[i] < '0' || text->p[i] > '9')
            return -1;
        value = value * 10 + (text->p[i] - '0');
    }
    *text = bh_str_skip(*text, n);
    return value <= max ? value : -1;
}

static bool take_char(bh_str *text, char c)
{
    if (!text->n || bh_to_lower(text->p[0]) != c)
        return false;
    *text = bh_str_skip(*text, 1);
    return true;
}

static bool take_date(bh_str *text, bh_time_ms *ret_at)
{
    int64_t year, month = -1, day = -1;

    year = take_digits(text, 4, 9999);
    if (year >= 0 && take_char(text, '-'))
        month = take_digits(text, 2, 12);
    if (month > 0 && take_char(text, '-'))
        day = take_digits(text, 2, 31);
    if (day <= 0)
        return false;
    *ret_at = bh_days_from_civil(year, (unsigned)month, (unsigned)day) * 86400000;
    return true;
}

static bool take_clock(bh_str *text, bool seconds, bh_time_ms *ret_ms)
{
    int64_t hour = take_digits(text, 2, 23), minute = -1, second = 0;

    if (hour >= 0 && take_char(text, ':'))
        minute = take_digits(text, 2, 59);
    if (minute < 0)
        return false;
    if (seconds && take_char(text, ':'))
        second = take_digits(text, 2, 60);
    if (second < 0)
        return false;
    *ret_ms = ((hour * 60 + minute) * 60 + second) * 1000;
    if (!seconds || !take_char(text, '.'))
        return true;
    for (int64_t unit = 100; text->n && text->p[0] >= '0' && text->p[0] <= '9'; unit /= 10) {
        *ret_ms += unit * (text->p[0] - '0');
        *text = bh_str_skip(*text, 1);
    }
    return true;
}

bh_err bh_time_parse_rfc3339(bh_str text, bh_time_ms *ret_at)
{
    bh_time_ms at, clock = 0, offset = 0;
    bool east;

    if (!take_date(&text, &at))
        return BH_E_SYNTAX;
    if (text.n) {
        if ((!take_char(&text, 't') && !take_char(&text, ' ')) || !take_clock(&text, true, &clock))
            return BH_E_SYNTAX;
        east = text.n && text.p[0] == '+';
        if (!take_char(&text, 'z') &&
            ((!take_char(&text, '+') && !take_char(&text, '-')) || !take_clock(&text, false, &offset)))
            return BH_E_SYNTAX;
        at += clock + (east ? -offset : offset);
    }
    if (text.n)
        return BH_E_SYNTAX;
    *ret_at = at;
    return BH_OK;
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
