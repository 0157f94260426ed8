/* cmd_message.c: submitting a message from the command line (later the API): the same checks as at the SMTP door, the
 * same question whether the customer may send in this name, the same submit to queued. The message comes as a file
 * descriptor of a file that nobody else writes. */
#include "command.h"
#include "mail/check.h"
#include "mail/wishes.h"
#include "proto/smtp/path.h"
#include "queue/message_id.h"
#include "report.h"
#include <sys/stat.h>
#include <unistd.h>

enum { RECIPIENTS_MAX = 1000, ADDRESS_MAX = 320 };

struct sending {
    struct bh_command *command;
    struct bh_customer customer;
    bh_str message; /* in the command's arena, as all else */
    struct bh_check_facts facts;
    struct bh_wishes wishes;
    bh_str envid;      /* xtext, or empty */
    bh_str notify;     /* RFC 3461, for each recipient; or empty */
    bh_str recipients; /* records */
    bool utf8;         /* an address is beyond ASCII */
    size_t recipient_count;
};

static bh_err read_message(struct sending *sending)
{
    struct stat status;
    char *room;
    size_t size;

    if (sending->command->fd < 0 || fstat(sending->command->fd, &status) != 0 || !S_ISREG(status.st_mode))
        return BH_E_INVALID;
    if (status.st_size <= 0 || (uint64_t)status.st_size > sending->command->core->message_size_max)
        return BH_E_LIMIT;
    size = (size_t)status.st_size;
    room = bh_arena_alloc(sending->command->arena, size);
    if (!room)
        return BH_E_NOMEM;
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(sending->command->fd, room + done, size - done, (off_t)done);

        if (got <= 0)
            return BH_E_IO;
        done += (size_t)got;
    }
    sending->message = bh_str_of(room, size);
    return BH_OK;
}

static bool is_ascii(bh_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

/* The first argument that is no address; p == NULL where all are. */
static bh_str put_recipients(struct sending *sending, struct bh_buf *records)
{
    const json_t *list = json_object_get(sending->command->args, "to");

    for (size_t i = 0; i < json_array_size(list) && i <= RECIPIENTS_MAX; i++) {
        const json_t *item = json_array_get(list, i);
        bh_str address = bh_str_of(json_string_value(item), json_string_length(item));
        size_t at = bh_str_rfind(address, '@');

        if (!address.p || at == 0 || at + 1 >= address.n || address.n > ADDRESS_MAX)
            return address.p ? address : BH_STR("?");
        bh_rec_recipient_put(records, &(struct bh_rec_recipient){address, sending->notify, BH_STR("")});
        sending->utf8 = sending->utf8 || !is_ascii(address);
        sending->recipient_count++;
    }
    return (bh_str){NULL, 0};
}

static bool take_recipients(struct sending *sending)
{
    struct bh_buf records = bh_buf_make(1 << 19);
    bh_str wrong = put_recipients(sending, &records);
    bool fits = !bh_buf_err(&records) && sending->recipient_count && sending->recipient_count <= RECIPIENTS_MAX;

    if (fits)
        sending->recipients = bh_arena_dup(sending->command->arena, bh_buf_view(&records));
    bh_buf_free(&records);
    if (wrong.p)
        bh_command_fail(sending->command, "invalid", "Write it like user@example.net", "\"%.*s\" is not an address",
                        BH_FMT(wrong));
    else if (!fits || !sending->recipients.p)
        bh_command_fail(sending->command, "invalid", "Give --to at least once", "a message needs 1 to %d recipients",
                        RECIPIENTS_MAX);
    return !wrong.p && fits && sending->recipients.p;
}

static void refuse(struct sending *sending, unsigned code, bh_str enhanced, bh_str reason, bh_str fix)
{
    bh_str fix_text = bh_arena_printf(sending->command->arena, "%.*s", BH_FMT(fix));

    bh_command_fail(sending->command, "refused", fix_text.p ? fix_text.p : "", "%u %.*s %.*s", code, BH_FMT(enhanced),
                    BH_FMT(reason));
}

static bool check_message(struct sending *sending)
{
    struct bh_check_verdict verdict;
    bh_err err = read_message(sending);

    if (err) {
        bh_command_fail(sending->command, err == BH_E_LIMIT ? "limit" : "invalid", NULL,
                        "the message cannot be read: %s", bh_err_text(err));
        return false;
    }
    bh_check_message(sending->command->arena, NULL, sending->message, &sending->facts, &verdict);
    if (verdict.rule == BH_CHECK_OK && bh_wishes_read(sending->message, &sending->wishes)) {
        refuse(sending, 550, BH_STR("5.6.0"), BH_STR("Behalf-Stream or Behalf-Unsubscribe makes no sense"),
               BH_STR("A stream is a word of letters, digits, dots and dashes; Behalf-Unsubscribe is yes or no"));
        return false;
    }
    if (verdict.rule == BH_CHECK_OK)
        return true;
    refuse(sending, verdict.code, bh_str_c(verdict.enhanced), verdict.reason, verdict.fix);
    return false;
}

static void on_submitted(void *ctx, bh_err err, const struct bh_msg_submit_reply *reply)
{
    struct sending *sending = ctx;
    struct bh_command *command = sending->command;
    char id[BH_MESSAGE_ID_CHARS + 1];

    if (!err && reply->ok)
        bh_message_id_text(reply->message_id, id);
    if (err)
        bh_command_fail_err(command, err, "the queue did not take the message");
    else if (!reply->ok)
        refuse(sending, reply->code, reply->enhanced, reply->reason, BH_STR("Try again later"));
    else
        bh_command_done(command, json_pack("{s:s, s:I}", "id", id, "recipients", (json_int_t)sending->recipient_count));
}

static void submit(struct sending *sending, const struct bh_msg_may_send_reply *may, bh_str header_from,
                   bh_str from_domain)
{
    struct bh_command *command = sending->command;
    bh_str mail_from = bh_command_str(command, "mail_from");
    struct bh_msg_submit message = {.customer_id = (uint32_t)sending->customer.id,
                                    .domain_id = may->domain_id,
                                    .destination = BH_TO_WORLD,
                                    .eight_bit = sending->facts.body_8bit,
                                    .smtputf8 = sending->facts.header_8bit || sending->utf8,
                                    .ret_full = bh_str_eq_ci(bh_command_str(command, "ret"), BH_STR("FULL")),
                                    .header_from = header_from,
                                    .from_domain = from_domain,
                                    .mail_from = mail_from.p ? mail_from : header_from,
                                    .envid = sending->envid,
                                    .client = BH_STR("local"),
                                    .helo = {"", 0},
                                    .protocol = BH_STR("LOCAL"),
                                    .recipients = sending->recipients,
                                    .stream = sending->wishes.stream,
                                    .size = sending->message.n,
                                    .body = {"", 0}};
    bh_err err = command->core->out->submit(command->core->out_ctx, &message, command->fd, on_submitted, sending);

    if (err)
        bh_command_fail_err(command, err, "the queue cannot be asked");
}

static void gate(struct sending *sending)
{
    struct bh_command *command = sending->command;
    const struct bh_author *author = &sending->facts.author;
    struct bh_msg_may_send ask = {(uint32_t)sending->customer.id, author->address, {"", 0}};
    struct bh_msg_may_send_reply may;

    if (bh_domain_a_labels(command->arena, author->domain, &ask.from_domain)) {
        refuse(sending, 550, BH_STR("5.1.7"), BH_STR("the domain in From is not a domain name"), BH_STR(""));
        return;
    }
    bh_lookup_may_send(command->core, command->arena, &ask, &may);
    if (may.allowed)
        submit(sending, &may, ask.header_from, ask.from_domain);
    else
        refuse(sending, may.code, may.enhanced, may.reason, may.fix);
}

/* RFC 3461: NEVER, or some of the three. */
static bool take_notices(struct sending *sending)
{
    struct bh_command *command = sending->command;
    bh_str envid = bh_command_str(command, "envid"), ret = bh_command_str(command, "ret"), rest, word;
    struct bh_buf xtext = bh_buf_make(300);
    bool fine = !ret.n || bh_str_eq_ci(ret, BH_STR("FULL")) || bh_str_eq_ci(ret, BH_STR("HDRS"));

    sending->notify = bh_command_str(command, "notify");
    for (rest = sending->notify; rest.n && fine;) {
        word = bh_str_cut(rest, ',', &rest);
        fine = bh_str_eq_ci(word, BH_STR("SUCCESS")) || bh_str_eq_ci(word, BH_STR("FAILURE")) ||
               bh_str_eq_ci(word, BH_STR("DELAY")) || bh_str_eq_ci(sending->notify, BH_STR("NEVER"));
    }
    bh_xtext_encode(&xtext, envid);
    sending->envid = bh_arena_dup(command->arena, bh_buf_view(&xtext));
    fine = fine && bh_buf_err(&xtext) == BH_OK && sending->envid.n <= 100;
    bh_buf_free(&xtext);
    if (!fine)
        bh_command_fail(command, "invalid", "notify is never, or some of success,failure,delay; ret is full or hdrs",
                        "what is to be told of the delivery is not understood");
    return fine;
}

/* Without a customer's name: whose sending domain the From domain is at or below. */
static bool find_customer(struct sending *sending)
{
    struct bh_command *command = sending->command;
    struct bh_domain domain;
    bh_str name;
    bh_err err = BH_E_NOT_FOUND;

    if (bh_command_str(command, "customer").p)
        return bh_command_customer(command, "customer", &sending->customer);
    if (bh_domain_a_labels(command->arena, sending->facts.author.domain, &name) == BH_OK)
        for (; err == BH_E_NOT_FOUND && name.n; name = bh_domain_parent(name))
            err =
                bh_domain_by_name(command->core->store, command->arena, bh_str_lower(command->arena, name), 0, &domain);
    if (err) {
        bh_command_fail(command, err == BH_E_NOT_FOUND ? "refused" : "invalid",
                        "Say --customer NAME, or send in the name of a sending domain",
                        "550 5.7.1 no one customer owns the domain %.*s", BH_FMT(sending->facts.author.domain));
        return false;
    }
    sending->customer.id = domain.customer_id;
    return true;
}

void bh_message_send(struct bh_command *command)
{
    static const char *const known[] = {"customer", "to", "mail_from", "notify", "ret", "envid", NULL};
    struct sending *sending = bh_arena_alloc(command->arena, sizeof(*sending));

    if (!sending) {
        bh_command_fail_err(command, BH_E_NOMEM, "cannot send");
        return;
    }
    sending->command = command;
    if (bh_command_knows(command, known) && take_notices(sending) && take_recipients(sending) &&
        check_message(sending) && find_customer(sending))
        gate(sending);
}
