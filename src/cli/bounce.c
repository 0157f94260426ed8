/* bounce.c: `behalf bounce`: what a message that came back means. No daemon is asked. */
#include "mail/bounce/bounce.h"
#include "auth_tool.h"
#include "commands.h"

enum { MESSAGE_MAX = 256 * 1024 * 1024, RULES_MAX = 4 * 1024 * 1024 };

static const char help[] =
    "usage: behalf bounce [--rules FILE]... [--strict] [--json] [MESSAGE]\n"
    "       behalf bounce --text REPLY [--host NAME] [--rules FILE]... [--json]\n"
    "\n"
    "Tells what a message that came back is (bounce, delay, complaint, auto-reply, reply, other), which recipients it "
    "is\n"
    "about, and why each was refused. MESSAGE is a file, or standard input. With --text one SMTP reply is judged.\n"
    "\n"
    "  --rules FILE   rules that come before the built-in ones; see behalf-bounce(1)\n"
    "  --text REPLY   judge this reply, as in \"550 5.1.1 no such user\"\n"
    "  --host NAME    the server that gave the reply\n"
    "  --json         one JSON object\n"
    "  --strict       exit 2 where it is no bounce, delay or complaint\n";

struct bounce_options {
    struct bh_cli_many rules;
    const char *text;
    const char *host;
    bool strict;
};

/* ---- JSON ---- */

static json_t *text_or_null(bh_str text)
{
    return text.n ? bh_tool_json(text) : json_null();
}

static json_t *recipient_json(const struct bh_bounce_recipient *r)
{
    json_t *object = json_object();

    json_object_set_new(object, "address", text_or_null(r->address));
    json_object_set_new(object, "original_address", text_or_null(r->original));
    json_object_set_new(object, "action", text_or_null(bh_str_c(bh_report_action_text(r->action))));
    json_object_set_new(object, "status", text_or_null(r->status));
    json_object_set_new(object, "class", json_string(bh_refusal_class_text(r->class)));
    json_object_set_new(object, "reason", bh_tool_json(r->reason));
    json_object_set_new(object, "hard", json_boolean(r->hard));
    json_object_set_new(object, "smtp_reply", text_or_null(r->smtp_reply));
    json_object_set_new(object, "diagnostic", text_or_null(r->diagnostic));
    json_object_set_new(object, "remote_mta", text_or_null(r->remote_mta));
    return object;
}

static json_t *texts_json(const bh_str *texts, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, bh_tool_json(texts[i]));
    return array;
}

static json_t *feedback_json(const struct bh_feedback *f)
{
    json_t *object = json_object();

    json_object_set_new(object, "type", bh_tool_json(f->type));
    json_object_set_new(object, "failure_report", json_boolean(f->is_failure_report));
    json_object_set_new(object, "user_agent", text_or_null(f->user_agent));
    json_object_set_new(object, "source_ip", text_or_null(f->source_ip));
    json_object_set_new(object, "mail_from", text_or_null(f->mail_from));
    json_object_set_new(object, "arrival_date", text_or_null(f->arrival_date));
    json_object_set_new(object, "reported_domain", text_or_null(f->reported_domain));
    json_object_set_new(object, "auth_failure", text_or_null(f->auth_failure));
    json_object_set_new(object, "delivery_result", text_or_null(f->delivery_result));
    json_object_set_new(object, "dkim_domain", text_or_null(f->dkim_domain));
    json_object_set_new(object, "dkim_selector", text_or_null(f->dkim_selector));
    json_object_set_new(object, "incidents", json_integer((json_int_t)f->incidents));
    return object;
}

static json_t *bounce_json(const struct bh_bounce *bounce)
{
    json_t *object = json_object(), *recipients = json_array(), *original = json_object();

    json_object_set_new(object, "kind", json_string(bh_bounce_kind_text(bounce->kind)));
    for (size_t i = 0; i < bounce->count; i++)
        json_array_append_new(recipients, recipient_json(&bounce->recipients[i]));
    json_object_set_new(object, "recipients", recipients);
    if (bounce->cut)
        json_object_set_new(object, "cut", json_true());
    json_object_set_new(object, "reporting_mta", text_or_null(bounce->reporting_mta));
    json_object_set_new(original, "message_id", text_or_null(bounce->message_id));
    json_object_set_new(original, "feedback_id", text_or_null(bounce->feedback_id));
    json_object_set_new(original, "envelope_id", text_or_null(bounce->envelope_id));
    json_object_set_new(original, "senders", texts_json(bounce->senders, bounce->sender_count));
    json_object_set_new(object, "original", original);
    if (bounce->has_feedback)
        json_object_set_new(object, "feedback", feedback_json(&bounce->feedback));
    return object;
}

/* ---- words ---- */

static void print_line(const char *name, bh_str value)
{
    if (value.n == 0)
        return;
    printf("%-12s ", name);
    bh_auth_print(value);
    putchar('\n');
}

static void print_bounce(const struct bh_bounce *bounce)
{
    static const char *const headings[] = {"address", "action", "status", "class", "reason", "reply"};
    struct bh_cli_table *table;

    print_line("kind", bh_str_c(bh_bounce_kind_text(bounce->kind)));
    if (bounce->has_feedback)
        print_line("feedback", bounce->feedback.type);
    print_line("message-id", bounce->message_id);
    print_line("feedback-id", bounce->feedback_id);
    if (bounce->sender_count)
        print_line("sender", bounce->senders[0]);
    if (bounce->count == 0)
        return;
    table = bh_cli_table_new(headings, sizeof(headings) / sizeof(*headings));
    for (size_t i = 0; i < bounce->count; i++) {
        const struct bh_bounce_recipient *r = &bounce->recipients[i];

        bh_cli_table_cell(table, r->address);
        bh_cli_table_cell(table, bh_str_c(bh_report_action_text(r->action)));
        bh_cli_table_cell(table, r->status);
        bh_cli_table_cell(table, bh_str_c(bh_refusal_class_text(r->class)));
        bh_cli_table_cell(table, r->reason);
        bh_cli_table_cell(table, r->smtp_reply.n ? r->smtp_reply : r->diagnostic);
    }
    bh_cli_table_print(table);
}

/* ---- what is to be judged ---- */

static int judge_message(struct bh_cli *cli, const struct bounce_options *o, const struct bh_bounce_rules *rules,
                         const char *path)
{
    struct bh_arena *arena = bh_arena_new(BH_BOUNCE_ARENA_BYTES);
    int status = BH_EXIT_OK;
    struct bh_bounce bounce;
    struct bh_buf message;
    bh_err err = bh_cli_read(path, MESSAGE_MAX, false, &message);

    if (err) {
        bh_arena_free(arena);
        return bh_cli_fail("bounce", "cannot read %s: %s", path ? path : "standard input", bh_err_text(err));
    }
    err = arena ? bh_bounce_read(arena, rules, bh_buf_view(&message), &bounce) : BH_E_NOMEM;
    if (err) {
        status = bh_cli_fail("bounce", "%s", bh_err_text(err));
    } else {
        if (cli->json)
            bh_cli_print_json(bounce_json(&bounce));
        else
            print_bounce(&bounce);
        if (o->strict && bounce.kind > BH_BOUNCE_COMPLAINT)
            status = BH_EXIT_VERDICT;
    }
    bh_buf_free(&message);
    bh_arena_free(arena);
    return status;
}

static int judge_text(struct bh_cli *cli, const struct bounce_options *o, const struct bh_bounce_rules *rules)
{
    struct bh_arena *arena = bh_arena_new(BH_BOUNCE_ARENA_BYTES);
    struct bh_classifier *classifier = arena ? bh_classifier_new(arena, rules) : NULL;
    struct bh_refusal refusal;
    struct bh_verdict verdict;
    struct bh_rule_view view = {0};
    bh_str reply;

    if (!classifier) {
        bh_arena_free(arena);
        return bh_cli_fail("bounce", "out of memory");
    }
    bh_refusal_parse(bh_str_c(o->text), &refusal, &reply);
    refusal.host = bh_str_c(o->host);
    bh_refusal_classify(classifier, &refusal, &verdict);
    if (verdict.rule != BH_NO_RULE)
        bh_bounce_rule_view(rules, verdict.rule, &view);
    if (cli->json) {
        json_t *object = json_object();

        json_object_set_new(object, "class", json_string(bh_refusal_class_text(verdict.class)));
        json_object_set_new(object, "reason", bh_tool_json(verdict.reason));
        json_object_set_new(object, "hard", json_boolean(verdict.class == BH_REFUSAL_HARD));
        json_object_set_new(object, "rules", text_or_null(view.source));
        json_object_set_new(object, "line", json_integer((json_int_t)view.line));
        bh_cli_print_json(object);
    } else {
        printf("%s: %.*s", bh_refusal_class_text(verdict.class), BH_FMT(verdict.reason));
        if (view.line)
            printf("  (%.*s, line %zu)", BH_FMT(view.source), view.line);
        putchar('\n');
    }
    bh_arena_free(arena);
    return BH_EXIT_OK;
}

/* ---- the rules ---- */

/* The operator's files in order, then the built-in rules. NULL after telling what is wrong. */
static struct bh_bounce_rules *load_rules(const struct bh_cli_many *paths)
{
    struct bh_rules_source sources[sizeof(paths->values) / sizeof(*paths->values) + 1];
    struct bh_buf texts[sizeof(paths->values) / sizeof(*paths->values)];
    struct bh_bounce_rules *rules = NULL;
    struct bh_rules_fault fault;
    size_t read = 0;
    bh_err err = BH_OK;

    for (; read < paths->count; read++) {
        err = bh_cli_read(paths->values[read], RULES_MAX, false, &texts[read]);
        if (err) {
            bh_cli_fail("bounce", "cannot read %s: %s", paths->values[read], bh_err_text(err));
            break;
        }
        sources[read] = (struct bh_rules_source){bh_str_c(paths->values[read]), bh_buf_view(&texts[read])};
    }
    sources[read] = bh_bounce_rules_builtin();
    if (!err) {
        err = bh_bounce_rules_new(sources, read + 1, &rules, &fault);
        if (err == BH_E_NOMEM)
            bh_cli_fail("bounce", "out of memory");
        else if (err)
            bh_cli_fail("bounce", "%.*s, line %zu: %s", BH_FMT(fault.name), fault.line, fault.what);
    }
    for (size_t i = 0; i < read; i++)
        bh_buf_free(&texts[i]);
    return rules;
}

int bh_cli_bounce(struct bh_cli *cli, int argc, char **argv)
{
    struct bounce_options o = {0};
    const struct bh_cli_option options[] = {
        {.name = "rules", .many = &o.rules},
        {.name = "text", .value = &o.text},
        {.name = "host", .value = &o.host},
        {.name = "strict", .flag = &o.strict},
        {.name = NULL},
    };
    struct bh_bounce_rules *rules;
    int status = BH_EXIT_OK;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc > 2 || (o.text && argc > 1))
        return bh_cli_fail("bounce", "one message at a time; see behalf bounce --help");
    rules = load_rules(&o.rules);
    if (!rules)
        return BH_EXIT_USAGE;
    status = o.text ? judge_text(cli, &o, rules) : judge_message(cli, &o, rules, argc > 1 ? argv[1] : NULL);
    bh_bounce_rules_free(rules);
    return status;
}
