/* explain.c: `behalf message explain`: a message's whole life in words, from what queued keeps of it and what the last
 * check saw of its sending domain. */
#include "explain.h"
#include "control.h"

static bool has(const json_t *object, const char *name)
{
    return *bh_json_text(object, name) != '\0';
}

/* Words of strangers: control bytes would repaint the terminal. */
static void put(const char *text)
{
    for (; *text; text++)
        (void)putchar((unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text);
}

static void put_member(const char *before, const json_t *object, const char *name, const char *after)
{
    if (!has(object, name))
        return;
    (void)fputs(before, stdout);
    put(bh_json_text(object, name));
    (void)fputs(after, stdout);
}

/* ---- how it came in ---- */

static void explain_arrival(const json_t *message)
{
    (void)printf("%s\n\nAccepted %s", bh_json_text(message, "id"), bh_json_text(message, "accepted_at"));
    put_member(" from ", message, "client", "");
    put_member(" (", message, "helo", ")");
    put_member(" by ", message, "protocol", "");
    (void)printf(", %lld bytes, of customer %lld.\n", (long long)json_integer_value(json_object_get(message, "size")),
                 (long long)json_integer_value(json_object_get(message, "customer_id")));
    put_member("From: ", message, "header_from", "\n");
    if (has(message, "mail_from"))
        put_member("Envelope sender as submitted: <", message, "mail_from", ">\n");
    else
        (void)printf("Envelope sender as submitted: <>\n");
}

/* ---- under which identity it left ---- */

/* The newest attempt that has `name` in its detail. */
static const char *latest(const json_t *message, const char *name)
{
    const json_t *events = json_object_get(message, "events");

    for (size_t i = json_array_size(events); i > 0; i--) {
        const json_t *detail = json_object_get(json_array_get(events, i - 1), "detail");

        if (has(detail, name))
            return bh_json_text(detail, name);
    }
    return "";
}

static const char *relation(bh_str domain, bh_str from)
{
    if (bh_str_eq_ci(domain, from))
        return "the very domain of From: aligned, strictly too";
    if (bh_str_is_at_or_below(domain, from))
        return "below the domain of From: aligned (relaxed)";
    if (bh_str_is_at_or_below(from, domain))
        return "above the domain of From, in the same organisation: aligned (relaxed)";
    return "another domain than From's: it counts where both are of one organisation (relaxed)";
}

static void explain_keys(bh_str keys, bh_str from)
{
    while (keys.n) {
        bh_str key = bh_str_cut(keys, ' ', &keys), domain;
        size_t at = bh_str_search(key, BH_STR("._domainkey."));

        domain = bh_str_skip(key, at + 12);
        (void)printf("  DKIM key %.*s, d=%.*s: %s.\n", BH_FMT(bh_str_sub(key, 0, at)), BH_FMT(domain),
                     relation(domain, from));
    }
}

static void explain_identity(const json_t *message)
{
    bh_str from = bh_str_c(bh_json_text(message, "from_domain"));
    bh_str mail_from = bh_str_c(latest(message, "mail_from")), keys = bh_str_c(latest(message, "signed_by"));
    size_t at = bh_str_rfind(mail_from, '@');

    (void)printf("\nIdentity (DMARC must pass as %.*s, so one of these must be aligned with it):\n", BH_FMT(from));
    if (!mail_from.n && !keys.n)
        (void)printf("  It has not been prepared for departure yet.\n");
    if (mail_from.n)
        (void)printf("  MAIL FROM <%.*s>, for SPF: %s.\n", BH_FMT(mail_from),
                     relation(bh_str_skip(mail_from, at + 1), from));
    explain_keys(keys, from);
}

static void explain_records(const struct bh_cli *cli, const json_t *message)
{
    bh_str key = bh_str_c(latest(message, "signed_by"));
    size_t at = bh_str_search(key, BH_STR("._domainkey."));
    bh_str rest, name = bh_str_cut(bh_str_skip(key, at + 12), ' ', &rest);
    const json_t *records;
    json_t *domain;
    int status;

    if (at == key.n || !json_integer_value(json_object_get(message, "customer_id")))
        return;
    domain = bh_control_ask(cli, "domain", "show", json_pack("{s:s%}", "domain", name.p, name.n), -1, &status);
    if (!domain)
        return;
    (void)printf("\nRecords of %.*s as last seen", BH_FMT(name));
    put_member(", ", domain, "checked_at", "");
    (void)printf(", state %s:\n", bh_json_text(domain, "state"));
    records = json_object_get(domain, "records");
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);

        (void)printf("  %-10s %-5s %s  ", bh_json_text(record, "status"), bh_json_text(record, "type"),
                     bh_json_text(record, "name"));
        put(bh_json_text(record, "value"));
        (void)putchar('\n');
    }
    json_decref(domain);
}

/* ---- what became of it ---- */

static void explain_attempt(const json_t *event)
{
    const json_t *detail = json_object_get(event, "detail");
    long long code = (long long)json_integer_value(json_object_get(event, "code"));

    (void)printf("  %s  %s", bh_json_text(event, "at"), bh_json_text(event, "event"));
    if (json_integer_value(json_object_get(detail, "attempt")))
        (void)printf(", attempt %lld", (long long)json_integer_value(json_object_get(detail, "attempt")));
    put_member(" at ", detail, "remote", "");
    (void)putchar('\n');
    put_member("      tried before it: ", detail, "trail", "\n");
    put_member("      from ", detail, "local", "\n");
    if (has(detail, "policy") || has(detail, "tls")) {
        (void)printf("      TLS: %s", has(detail, "tls") ? bh_json_text(detail, "tls") : "none, in clear");
        put_member(", policy ", detail, "policy", "");
        (void)putchar('\n');
    }
    put_member("      signed by ", detail, "signed_by", "\n");
    if (has(event, "text") || code) {
        (void)fputs("      ", stdout);
        if (code)
            (void)printf("%lld ", code);
        put_member("", detail, "enhanced", " ");
        put(bh_json_text(event, "text"));
        put_member(" (", detail, "phase", ")");
        (void)putchar('\n');
    }
    put_member("      judged as ", detail, "class", "");
    put_member(": ", detail, "reason", "");
    if (has(detail, "class"))
        (void)putchar('\n');
}

static void explain_next(const json_t *recipient)
{
    const char *state = bh_json_text(recipient, "state");

    if (has(recipient, "finished_at"))
        (void)printf("  Finished %s: nothing more happens.\n", bh_json_text(recipient, "finished_at"));
    else if (strcmp(state, "waiting") == 0)
        (void)printf("  Next: tried again at %s.\n", bh_json_text(recipient, "next_at"));
    else if (strcmp(state, "sending") == 0)
        (void)printf("  Next: it is being delivered just now.\n");
    else if (strcmp(state, "held") == 0)
        (void)printf("  Next: nothing until it is released.\n");
    else
        (void)printf("  Next: it leaves as soon as its destination has room.\n");
}

static void explain_recipient(const json_t *message, const json_t *recipient)
{
    const json_t *events = json_object_get(message, "events");
    json_int_t index = json_integer_value(json_object_get(recipient, "index"));

    (void)printf("\nTo ");
    put(bh_json_text(recipient, "to"));
    (void)printf(": %s, %lld attempts\n", bh_json_text(recipient, "state"),
                 (long long)json_integer_value(json_object_get(recipient, "attempts")));
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i), *of = json_object_get(event, "index");

        if (json_is_integer(of) && json_integer_value(of) == index)
            explain_attempt(event);
    }
    explain_next(recipient);
}

int bh_explain(const struct bh_cli *cli, const char *id)
{
    int status;
    json_t *message = bh_control_ask(cli, "message", "show", json_pack("{s:s}", "id", id), -1, &status);
    const json_t *recipients = json_object_get(message, "recipients");

    if (!message)
        return status;
    if (cli->json) {
        bh_cli_print_json(message);
        return BH_EXIT_OK;
    }
    explain_arrival(message);
    explain_identity(message);
    explain_records(cli, message);
    for (size_t i = 0; i < json_array_size(recipients); i++)
        explain_recipient(message, json_array_get(recipients, i));
    if (!has(message, "finished_at"))
        (void)printf("\nGiven up at %s, if it is not delivered by then.\n", bh_json_text(message, "expires_at"));
    json_decref(message);
    return BH_EXIT_OK;
}
