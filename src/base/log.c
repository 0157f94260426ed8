/* log.c: logfmt lines. See log.h. */
#include "log.h"
#include "clock.h"
#include <stdio.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static bool is_plain(bh_str value)
{
    if (value.n == 0)
        return false;
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return false;
    }
    return true;
}

/* Control bytes become \xNN; UTF-8 stays readable. */
static void add_quoted(struct bh_buf *line, bh_str value)
{
    bh_buf_char(line, '"');
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if (c == '"' || c == '\\')
            bh_buf_printf(line, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            bh_buf_printf(line, "\\x%02x", c);
        else
            bh_buf_char(line, (char)c);
    }
    bh_buf_char(line, '"');
}

static void add_field(struct bh_buf *line, const char *key, bh_str value)
{
    if (line->n)
        bh_buf_char(line, ' ');
    bh_buf_add(line, bh_str_c(key));
    bh_buf_char(line, '=');
    if (is_plain(value))
        bh_buf_add(line, value);
    else
        add_quoted(line, value);
}

void bh_log_write(const struct bh_log *log, enum bh_log_level level, const char *text,
                  const struct bh_log_field *fields)
{
    struct bh_buf line = bh_buf_make(LINE_MAX_BYTES);

    if (level < log->least)
        return;
    if (log->with_time) {
        bh_buf_add(&line, BH_STR("time="));
        bh_time_rfc3339(&line, bh_clock_now(), true);
    }
    add_field(&line, "level", bh_str_c(level_names[level]));
    add_field(&line, "role", bh_str_c(log->role));
    add_field(&line, "msg", bh_str_c(text));
    for (; fields && fields->key; fields++)
        add_field(&line, fields->key, fields->value);
    if (line.err) {
        line.err = BH_OK;
        bh_buf_truncate(&line, LINE_MAX_BYTES - 4);
        bh_buf_add(&line, BH_STR("…"));
    }
    bh_buf_char(&line, '\n');
    if (line.n) /* one write, so that lines of several processes do not mix; a lost log line is not an error */
        (void)!write(log->fd, line.p, line.n);
    bh_buf_free(&line);
}

void bh_logf(const struct bh_log *log, enum bh_log_level level, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (level < log->least)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    bh_log_write(log, level, text, NULL);
}
