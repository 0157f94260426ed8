/* date.c: one walk over numbers, words and signs; `slot` says what the next number is. See date.h. */
#include "date.h"
#include "base/clock.h"

enum slot { DAY, MONTH, YEAR, HOUR, MINUTE, SECOND, ZONE, LATE_YEAR, DONE, SLOTS };

struct reader {
    const char *p;
    const char *end;
    enum slot slot;
    bool asctime; /* the month came first: the year stands behind the time */
    char sign;    /* before the next number, or 0 */
    int value[SLOTS];
    bool seen[SLOTS];
    int zone_minutes;
    bool zone_known;
};

static int month_of(bh_str word)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

    if (word.n < 3)
        return 0;
    for (int i = 0; i < 12; i++)
        if (bh_str_eq_ci(bh_str_sub(word, 0, 3), bh_str_of(names + 3 * i, 3)))
            return i + 1;
    return 0;
}

/* RFC 5322 4.3. */
static void set_named_zone(struct reader *r, bh_str word)
{
    static const struct {
        const char *name;
        int hours;
    } zones[] = {{"ut", 0},   {"utc", 0},  {"gmt", 0},  {"z", 0},    {"est", -5}, {"edt", -4},
                 {"cst", -6}, {"cdt", -5}, {"mst", -7}, {"mdt", -6}, {"pst", -8}, {"pdt", -7}};

    r->seen[ZONE] = true;
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        if (bh_str_eq_ci(word, bh_str_c(zones[i].name))) {
            r->zone_minutes = zones[i].hours * 60;
            r->zone_known = true;
        }
    }
}

static void set_numeric_zone(struct reader *r, int number)
{
    r->seen[ZONE] = true;
    r->zone_minutes = number / 100 % 100 * 60 + number % 100 % 60;
    r->zone_known = !(r->sign == '-' && number == 0);
    if (r->sign == '-')
        r->zone_minutes = -r->zone_minutes;
}

static enum slot after_number(const struct reader *r)
{
    static const enum slot usual[SLOTS] = {
        [DAY] = MONTH,   [MONTH] = YEAR, [YEAR] = HOUR,      [HOUR] = MINUTE, [MINUTE] = SECOND,
        [SECOND] = ZONE, [ZONE] = DONE,  [LATE_YEAR] = ZONE, [DONE] = DONE};

    if (r->asctime && r->slot == DAY)
        return HOUR;
    if (r->asctime && r->slot == SECOND)
        return LATE_YEAR;
    return usual[r->slot];
}

static bh_err take_number(struct reader *r)
{
    const char *start = r->p;
    int number = 0;

    while (r->p < r->end && bh_is_digit(*r->p)) {
        if (r->p - start == 8)
            return BH_E_RANGE;
        number = number * 10 + (*r->p++ - '0');
    }
    if (r->sign && r->slot == SECOND)
        r->slot = r->asctime ? LATE_YEAR : ZONE;
    if (r->slot == ZONE) {
        set_numeric_zone(r, number);
    } else {
        r->value[r->slot] = number;
        r->seen[r->slot] = true;
    }
    if ((r->slot == YEAR || r->slot == LATE_YEAR) && r->p - start < 4)
        r->value[r->slot] += r->p - start == 3 || number > 49 ? 1900 : 2000;
    r->slot = after_number(r);
    r->sign = 0;
    return BH_OK;
}

static bh_err take_word(struct reader *r)
{
    const char *start = r->p;

    while (r->p < r->end && bh_is_alpha(*r->p))
        r->p++;
    bh_str word = bh_str_range(start, r->p);
    switch (r->slot) {
    case DAY:
        /* a weekday, or "Nov 22 …" */
        if (!month_of(word))
            return BH_OK;
        r->asctime = r->seen[MONTH] = true;
        r->value[MONTH] = month_of(word);
        return BH_OK;
    case MONTH:
        r->value[MONTH] = month_of(word);
        r->seen[MONTH] = true;
        r->slot = YEAR;
        return r->value[MONTH] ? BH_OK : BH_E_SYNTAX;
    case SECOND:
    case ZONE:
        set_named_zone(r, word);
        r->slot = DONE;
        return BH_OK;
    case LATE_YEAR:
        set_named_zone(r, word);
        return BH_OK;
    case YEAR:
    case HOUR:
    case MINUTE:
    case DONE:
    case SLOTS:
        break;
    }
    return BH_E_SYNTAX;
}

/* Fractions of a second. */
static void skip_fraction(struct reader *r)
{
    r->p++;
    while (r->slot >= ZONE && r->p < r->end && bh_is_digit(*r->p))
        r->p++;
}

static void skip_comment(struct reader *r)
{
    size_t depth = 0;

    for (; r->p < r->end; r->p++) {
        if (*r->p == '\\' && r->end - r->p > 1)
            r->p++;
        else if (*r->p == '(')
            depth++;
        else if (*r->p == ')' && --depth == 0)
            break;
    }
    if (r->p < r->end)
        r->p++;
}

/* A ';' starts over: what stood before it was the tokens of a Received field. */
static void start_over(struct reader *r)
{
    *r = (struct reader){.p = r->p + 1, .end = r->end};
}

static bh_err read_all(struct reader *r)
{
    bh_err err = BH_OK;

    while (r->p < r->end) {
        char c = *r->p;
        if (c == ';') {
            start_over(r);
            err = BH_OK;
        } else if (c == '(') {
            skip_comment(r);
        } else if (err || r->slot == DONE) {
            r->p++;
        } else if (bh_is_digit(c)) {
            err = take_number(r);
        } else if (bh_is_alpha(c)) {
            err = take_word(r);
        } else if (c == '.') {
            skip_fraction(r);
        } else {
            /* '-' between the parts of a date is no sign */
            r->sign = (c == '+' || c == '-') && r->slot >= SECOND ? c : 0;
            r->p++;
        }
    }
    return err;
}

bh_err bh_date_parse(bh_str value, struct bh_date *ret_date)
{
    struct reader r = {.p = value.p, .end = value.n ? value.p + value.n : value.p};
    struct bh_date date;
    bh_err err = read_all(&r);

    if (r.asctime)
        r.value[YEAR] = r.value[LATE_YEAR], r.seen[YEAR] = r.seen[LATE_YEAR];
    if (err)
        return err;
    for (enum slot slot = DAY; slot <= MINUTE; slot++)
        if (!r.seen[slot])
            return BH_E_SYNTAX;
    if (r.value[MONTH] < 1 || r.value[MONTH] > 12 || r.value[DAY] < 1 || r.value[DAY] > 31 || r.value[YEAR] > 9999 ||
        r.value[HOUR] > 23 || r.value[MINUTE] > 59 || r.value[SECOND] > 60)
        return BH_E_RANGE;
    date = (struct bh_date){.year = r.value[YEAR],
                            .month = r.value[MONTH],
                            .day = r.value[DAY],
                            .hour = r.value[HOUR],
                            .minute = r.value[MINUTE],
                            .second = r.value[SECOND],
                            .zone_minutes = r.zone_minutes,
                            .zone_known = r.zone_known};
    date.at = (bh_days_from_civil(date.year, (unsigned)date.month, (unsigned)date.day) * 86400 + date.hour * 3600 +
               date.minute * 60 + date.second - date.zone_minutes * 60) *
              1000;
    *ret_date = date;
    return BH_OK;
}
