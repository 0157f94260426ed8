/* log.h: one line per event on standard error, logfmt: `level=info role=smtpd msg="…" key=value`. For programs
 * only; libraries return errors instead. Values are quoted and escaped, so a stranger's bytes cannot forge a line. */
#ifndef BH_BASE_LOG_H
#define BH_BASE_LOG_H

#include "buf.h"

enum bh_log_level { BH_LOG_DEBUG, BH_LOG_INFO, BH_LOG_WARN, BH_LOG_ERROR };

struct bh_log {
    int fd;                  /* usually 2 */
    enum bh_log_level least; /* lines below are dropped */
    const char *role;        /* "smtpd"; static */
    bool with_time;          /* false under systemd, which stamps lines itself */
};

/* One key and its value. A NULL key ends the list. */
struct bh_log_field {
    const char *key;
    bh_str value;
};

/* Writes one line of at most 4 KiB (longer ones are cut and end in "…"). `text` says what happened, for people.
 *   bh_log_line(log, BH_LOG_WARN, "relay refused AUTH", BH_KV("host", host), BH_KV("reply", reply)); */
void bh_log_write(const struct bh_log *log, enum bh_log_level level, const char *text,
                  const struct bh_log_field *fields);
#define BH_KV(key, view)                                                                                               \
    {                                                                                                                  \
        (key), (view)                                                                                                  \
    }
#define bh_log_line(log, level, text, ...)                                                                             \
    bh_log_write((log), (level), (text), (const struct bh_log_field[]){__VA_ARGS__ __VA_OPT__(, ){NULL, {NULL, 0}}})
/* printf for the text alone; the result is escaped as a whole. */
void bh_logf(const struct bh_log *log, enum bh_log_level level, const char *format, ...) BH_PRINTF(3, 4);

#endif
