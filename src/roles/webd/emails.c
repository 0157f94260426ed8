/* emails.c: sending: one message or up to 500, as JSON or as MIME, or only asked about (validate).
 *
 *      build each (compose.h, check.h) ─▶ may this customer send as its From? (controld, cached) ─▶ a file for each
 *      that is large ─▶ SUBMIT_BATCH ─▶ 202, which means that queued has committed all of them
 *
 * In a batch that is `permissive` what is wrong with a message stands in its place of the answer, and the others go;
 * else nothing goes. */
#include "auth/domain.h"
#include "base/clock.h"
#include "base/text.h"
#include "domain/domain.h"
#include "mail/check.h"
#include "mail/compose.h"
#include "queue/message_id.h"
#include "webd.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

enum {
    CONTROLD_MS = 30 * 1000,
    QUEUED_MS = 120 * 1000,
    INLINE_MAX = 64 * 1024,
    RECIPIENTS_MAX = 1000,
    FIELDS_MAX = 100,
    FILES_MAX = 100,
    KEY_MAX = 256,
    FRAME_MAX = BH_IPC_BODY_MAX - 4096
};

struct item {
    const json_t *source;
    bh_str message; /* in the arena, as all else */
    bh_str header_from, from_domain, mail_from, recipients, campaign;
    uint32_t recipient_count, domain_id;
    bool header_8bit, body_8bit;
    bh_time_ms send_at;
    uint8_t body_hash[BH_DKIM_HASH_BYTES];
    uint64_t body_file; /* 0: inline */
    json_t *refused;    /* {status, code, detail, pointer}; NULL: it goes */
};

struct sending {
    struct request *request;
    struct bh_arena *arena;
    struct item *items;
    size_t count, next;
    bool single, permissive, dry, gone;
    char pointer[40]; /* "/emails/12" in a batch */
    bh_str key;       /* of may_send's cache, of the question under way */
    struct bh_buf key_bytes;
};

/* ---- refusals ---- */

static void refuse(struct sending *s, struct item *item, unsigned status, const char *code, const char *member,
                   const char *format, ...) BH_PRINTF(6, 7);

static void refuse(struct sending *s, struct item *item, unsigned status, const char *code, const char *member,
                   const char *format, ...)
{
    char detail[500], pointer[200];
    va_list args;

    if (item->refused)
        return;
    va_start(args, format);
    (void)vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    (void)snprintf(pointer, sizeof(pointer), "%s%s", s->pointer, member);
    item->refused =
        json_pack("{s:i, s:s, s:s, s:s}", "status", (int)status, "code", code, "detail", detail, "pointer", pointer);
    if (!item->refused) /* a stranger's bytes in the detail */
        item->refused = json_pack("{s:i, s:s, s:s, s:s}", "status", (int)status, "code", code, "detail",
                                  "it is not acceptable", "pointer", s->pointer);
}

/* Refusals name the message of a batch from now on. */
static void point_at(struct sending *s, size_t index)
{
    if (!s->single)
        (void)snprintf(s->pointer, sizeof(s->pointer), "/emails/%zu", index);
}

/* True: answered, because one message is wrong and so nothing goes. */
static bool answer_refusal(struct sending *s, const struct item *item)
{
    const json_t *r = item->refused;
    unsigned status;

    if (!r || s->permissive || s->dry)
        return false;
    status = (unsigned)json_integer_value(json_object_get(r, "status"));
    request_problem_at(s->request, status, json_string_value(json_object_get(r, "pointer")),
                       json_string_value(json_object_get(r, "code")), json_string_value(json_object_get(r, "detail")));
    return true;
}

/* ---- members ---- */

static bh_str text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_string(value) ? bh_str_of(json_string_value(value), json_string_length(value)) : (bh_str){NULL, 0};
}

struct mailboxes {
    struct bh_mailbox_text *list;
    size_t count;
};

static bool read_mailbox(struct sending *s, struct item *item, const char *member, const json_t *value,
                         struct bh_mailbox_text *ret_mailbox)
{
    bh_str text = bh_str_of(json_string_value(value), json_string_length(value));

    if (!bh_mailbox_read(s->arena, text, ret_mailbox))
        return true;
    refuse(s, item, 422, "address", member,
           "\"%.*s\" is not an address; write user@example.net or Name <user@example.net>",
           (int)(text.n < 200 ? text.n : 200), text.p);
    return false;
}

/* A string or a list of strings. False: refused. */
static bool read_mailboxes(struct sending *s, struct item *item, const char *name, struct mailboxes *ret_boxes)
{
    const json_t *value = json_object_get(item->source, name);
    size_t count = json_is_array(value) ? json_array_size(value) : value != NULL;
    char member[64];

    *ret_boxes = (struct mailboxes){bh_arena_array(s->arena, count + 1, sizeof(*ret_boxes->list)), 0};
    if (!ret_boxes->list) {
        refuse(s, item, 413, "too_large", "", "the request needs more memory than this server gives one");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(member, sizeof(member), json_is_array(value) ? "/%s/%zu" : "/%s", name, i);
        if (!read_mailbox(s, item, member, json_is_array(value) ? json_array_get(value, i) : value,
                          &ret_boxes->list[ret_boxes->count++]))
            return false;
    }
    return true;
}

/* Each address once, whatever its case and field. */
static void add_recipient(struct item *item, struct bh_buf *records, bh_str address)
{
    struct bh_cur list = bh_cur_make(bh_buf_view(records));
    struct bh_rec_recipient known;

    while (bh_rec_recipient_next(&list, &known) == BH_MORE)
        if (bh_str_eq_ci(known.address, address))
            return;
    bh_rec_recipient_put(records, &(struct bh_rec_recipient){address, BH_STR(""), BH_STR("")});
    item->recipient_count++;
}

static bool keep_recipients(struct sending *s, struct item *item, const struct mailboxes *boxes, size_t box_count)
{
    struct bh_buf records = bh_buf_make(1 << 19);
    bool fits;

    for (size_t b = 0; b < box_count; b++)
        for (size_t i = 0; i < boxes[b].count && item->recipient_count <= RECIPIENTS_MAX; i++)
            add_recipient(item, &records, boxes[b].list[i].address);
    fits = !bh_buf_err(&records) && item->recipient_count && item->recipient_count <= RECIPIENTS_MAX;
    if (fits)
        item->recipients = bh_arena_dup(s->arena, bh_buf_view(&records));
    bh_buf_free(&records);
    if (!fits || !item->recipients.p)
        refuse(s, item, 422, "recipients", "/to", "a message has 1 to %d recipients", RECIPIENTS_MAX);
    return !item->refused;
}

static size_t read_fields(const json_t *headers, struct bh_compose_field fields[FIELDS_MAX])
{
    const char *name;
    json_t *value;
    size_t n = 0;

    json_object_foreach((json_t *)(uintptr_t)headers, name, value) if (n < FIELDS_MAX) fields[n++] =
        (struct bh_compose_field){bh_str_c(name), bh_str_of(json_string_value(value), json_string_length(value))};
    return n;
}

static bool read_file(struct sending *s, struct item *item, const json_t *source, size_t index,
                      struct bh_compose_file *ret_file)
{
    bh_str content = text_of(source, "content");
    struct bh_buf bytes = bh_buf_make(64 << 20);
    char member[64];

    *ret_file = (struct bh_compose_file){.filename = text_of(source, "filename"),
                                         .content_type = text_of(source, "content_type"),
                                         .content_id = text_of(source, "content_id")};
    (void)snprintf(member, sizeof(member), "/attachments/%zu/content", index);
    if (bh_base64_decode_loose(&bytes, content) || bh_buf_err(&bytes)) {
        bh_buf_free(&bytes);
        refuse(s, item, 422, "base64", member, "is no base64");
        return false;
    }
    ret_file->content = bh_arena_dup(s->arena, bh_buf_view(&bytes));
    bh_buf_free(&bytes);
    if (ret_file->content.p || !bytes.n)
        return true;
    refuse(s, item, 413, "too_large", member, "the request needs more memory than this server gives one");
    return false;
}

static size_t read_files(struct sending *s, struct item *item, struct bh_compose_file files[FILES_MAX])
{
    const json_t *list = json_object_get(item->source, "attachments");
    size_t n = 0;

    while (n < json_array_size(list) && n < FILES_MAX && read_file(s, item, json_array_get(list, n), n, &files[n]))
        n++;
    return n;
}

static void refuse_problem(struct sending *s, struct item *item, enum bh_compose_problem problem,
                           const struct bh_compose *message, size_t index)
{
    static const char *const details[] = {
        [BH_COMPOSE_SUBJECT] = "holds a line end or control character, or a word without end",
        [BH_COMPOSE_FIELD_NAME] = "is no name of a header field, or of one that is written here",
        [BH_COMPOSE_FIELD_VALUE] = "holds a line end or control character",
        [BH_COMPOSE_FILE_NAME] = "holds a control character, or is too long",
        [BH_COMPOSE_FILE_TYPE] = "must be like image/png",
        [BH_COMPOSE_FILE_ID] = "holds characters that no Content-ID has",
        [BH_COMPOSE_EMPTY] = "a message needs text or html"};
    char member[160];

    switch (problem) {
    case BH_COMPOSE_SUBJECT:
        (void)snprintf(member, sizeof(member), "/subject");
        break;
    case BH_COMPOSE_FIELD_NAME:
    case BH_COMPOSE_FIELD_VALUE:
        (void)snprintf(member, sizeof(member), "/headers/%.*s",
                       (int)(message->fields[index].name.n < 100 ? message->fields[index].name.n : 100),
                       message->fields[index].name.p);
        break;
    case BH_COMPOSE_FILE_NAME:
    case BH_COMPOSE_FILE_TYPE:
    case BH_COMPOSE_FILE_ID:
        (void)snprintf(member, sizeof(member), "/attachments/%zu/%s", index,
                       problem == BH_COMPOSE_FILE_NAME   ? "filename"
                       : problem == BH_COMPOSE_FILE_TYPE ? "content_type"
                                                         : "content_id");
        break;
    case BH_COMPOSE_OK:
    case BH_COMPOSE_EMPTY:
        (void)snprintf(member, sizeof(member), "/text");
        break;
    }
    refuse(s, item, 422, "content", member, "%s", details[problem]);
}

/* ---- building ---- */

static bool compose(struct sending *s, struct item *item)
{
    struct bh_compose_field fields[FIELDS_MAX];
    struct bh_compose_file files[FILES_MAX];
    struct mailboxes boxes[4]; /* to, cc, bcc, reply_to */
    struct bh_compose message = {.text = text_of(item->source, "text"), .html = text_of(item->source, "html")};
    struct bh_buf out = bh_buf_make((size_t)s->request->webd->role->config->message_size_max);
    bh_str subject = text_of(item->source, "subject");
    enum bh_compose_problem problem;
    size_t index;

    if (!read_mailbox(s, item, "/from", json_object_get(item->source, "from"), &message.from) ||
        !read_mailboxes(s, item, "to", &boxes[0]) || !read_mailboxes(s, item, "cc", &boxes[1]) ||
        !read_mailboxes(s, item, "bcc", &boxes[2]) || !read_mailboxes(s, item, "reply_to", &boxes[3]) ||
        !keep_recipients(s, item, boxes, 3))
        return false;
    message.to = boxes[0].list, message.to_count = boxes[0].count;
    message.cc = boxes[1].list, message.cc_count = boxes[1].count;
    message.reply_to = boxes[3].list, message.reply_to_count = boxes[3].count;
    message.subject = subject.p ? subject : BH_STR("");
    message.fields = fields;
    message.field_count = read_fields(json_object_get(item->source, "headers"), fields);
    message.files = files;
    message.file_count = read_files(s, item, files);
    if (item->refused)
        return false;
    problem = bh_compose_check(&message, &index);
    if (problem != BH_COMPOSE_OK) {
        refuse_problem(s, item, problem, &message, index);
        return false;
    }
    bh_random_fill(&bh_random_os, message.boundary, sizeof(message.boundary));
    bh_compose_write(&out, &message);
    if (!bh_buf_err(&out))
        item->message = bh_arena_dup(s->arena, bh_buf_view(&out));
    bh_buf_free(&out);
    if (!item->message.p)
        refuse(s, item, 413, "too_large", "", "the message is larger than this server takes");
    return !item->refused;
}

/* Line ends become CRLF, as JSON's texts often have LF. */
static bool take_raw(struct sending *s, struct item *item)
{
    bh_str raw = text_of(item->source, "raw"), rest;
    struct bh_buf out = bh_buf_make((size_t)s->request->webd->role->config->message_size_max);
    struct mailboxes boxes[1];

    if (!read_mailboxes(s, item, "recipients", &boxes[0]) || !keep_recipients(s, item, boxes, 1))
        return false;
    for (rest = raw; rest.n;) {
        size_t end = bh_str_find(rest, '\n');
        bh_str line = bh_str_sub(rest, 0, end);

        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        bh_buf_add(&out, line);
        bh_buf_add(&out, BH_STR("\r\n"));
        rest = bh_str_skip(rest, end + 1);
    }
    if (!bh_buf_err(&out))
        item->message = bh_arena_dup(s->arena, bh_buf_view(&out));
    bh_buf_free(&out);
    if (!item->message.p)
        refuse(s, item, 413, "too_large", "/raw", "the message is larger than this server takes");
    return !item->refused;
}

static bool hash_body(struct sending *s, struct item *item, bh_str body)
{
    struct bh_dkim_body *hash = bh_dkim_body_new(s->request->webd->dkim, BH_DKIM_RELAXED);
    bh_err err = hash ? BH_OK : BH_E_NOMEM;

    if (hash) {
        bh_dkim_body_add(hash, body);
        err = bh_dkim_body_end(hash, item->body_hash, NULL);
    }
    bh_dkim_body_free(hash);
    if (err)
        refuse(s, item, 503, "temporary", "", "out of memory");
    return !err;
}

/* The same judgement as at the SMTP door. */
static void judge(struct sending *s, struct item *item)
{
    struct bh_check_limits limits = {.max_hops = s->request->webd->role->config->hops_max};
    struct bh_check_verdict verdict;
    struct bh_check_facts facts;

    bh_check_message(s->arena, &limits, item->message, &facts, &verdict);
    if (verdict.rule != BH_CHECK_OK) {
        refuse(s, item, 422, bh_check_rule_name(verdict.rule), "", "%.*s%s%.*s", BH_FMT(verdict.reason),
               verdict.fix.n ? ". " : "", BH_FMT(verdict.fix));
        return;
    }
    if (bh_domain_a_labels(s->arena, facts.author.domain, &item->from_domain)) {
        refuse(s, item, 422, "address", "/from", "the domain in From is not a domain name");
        return;
    }
    item->header_from = item->mail_from = facts.author.address;
    item->header_8bit = facts.header_8bit;
    item->body_8bit = facts.body_8bit;
    (void)hash_body(s, item, facts.body);
}

static void read_schedule(struct sending *s, struct item *item)
{
    enum { LONGEST_MS = 365 };
    bh_str at = text_of(item->source, "scheduled_at");
    bh_time_ms now = bh_loop_now(s->request->webd->role->loop);

    item->campaign = text_of(item->source, "tag");
    if (!item->campaign.p)
        item->campaign = BH_STR("");
    if (at.p && !bh_time_parse_rfc3339(at, &item->send_at) && item->send_at > now + LONGEST_MS * INT64_C(86400000))
        refuse(s, item, 422, "scheduled_at", "/scheduled_at", "is more than a year away");
}

static void build(struct sending *s, struct item *item)
{
    bool raw = json_object_get(item->source, "raw") != NULL;

    if (raw ? take_raw(s, item) : compose(s, item))
        judge(s, item);
    if (!item->refused)
        read_schedule(s, item);
}

/* ---- answers ---- */

static json_t *error_json(const json_t *refused)
{
    return json_pack("{s:{s:O, s:O, s:O}}", "error", "code", json_object_get(refused, "code"), "detail",
                     json_object_get(refused, "detail"), "pointer", json_object_get(refused, "pointer"));
}

static json_t *item_json(const struct item *item, struct bh_cur *ids)
{
    struct bh_rec_message_ref ref;
    char id[BH_MESSAGE_ID_CHARS + 1];

    if (item->refused)
        return error_json(item->refused);
    if (bh_rec_message_ref_next(ids, &ref) != BH_MORE)
        return json_object();
    bh_message_id_text(ref.message_id, id);
    return json_pack("{s:s, s:s, s:i}", "object", "email", "id", id, "recipients", (int)item->recipient_count);
}

static void answer_sent(struct sending *s, bh_str ids)
{
    struct bh_cur list = bh_cur_make(ids);
    json_t *data;

    if (s->single) {
        request_answer(s->request, 202, item_json(&s->items[0], &list));
        return;
    }
    data = json_array();
    for (size_t i = 0; i < s->count; i++)
        (void)json_array_append_new(data, item_json(&s->items[i], &list));
    request_answer(s->request, 202, json_pack("{s:s, s:o}", "object", "list", "data", data));
}

static void answer_dry(struct sending *s)
{
    const struct item *item = &s->items[0];
    json_t *body = json_pack("{s:s, s:b}", "object", "email_validation", "valid", item->refused == NULL);

    if (item->from_domain.p)
        (void)json_object_set_new(body, "from_domain", json_stringn(item->from_domain.p, item->from_domain.n));
    (void)json_object_set_new(body, "recipients", json_integer(item->recipient_count));
    (void)json_object_set_new(body, "size", json_integer((json_int_t)item->message.n));
    if (item->refused)
        (void)json_object_update_new(body, error_json(item->refused));
    request_answer(s->request, 200, body);
}

/* ---- submitting ---- */

static void on_submitted(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct sending *s = ctx;
    struct bh_msg_submit_batch_reply reply;

    s->request->call = NULL;
    if (err || bh_msg_submit_batch_reply_get(message->body, &reply)) {
        request_problem(s->request, 503, "temporary", "Try again with the same Idempotency-Key", NULL,
                        "the queue does not answer now");
    } else if (reply.ok) {
        s->request->webd->counts.emails += s->count;
        answer_sent(s, reply.ids);
    } else if (reply.code == 422) {
        request_problem(s->request, 422, "idempotency_key", "Use a new key for a new request", NULL,
                        "this Idempotency-Key was used for another request");
    } else if (reply.code >= 500) {
        request_problem(s->request, 422, "refused", NULL, NULL, "%.*s", BH_FMT(reply.reason));
    } else {
        request_problem(s->request, 503, "temporary", "Try again with the same Idempotency-Key", NULL, "%.*s",
                        BH_FMT(reply.reason));
    }
}

static void put_submit(const struct sending *s, const struct item *item, struct bh_buf *out)
{
    struct bh_msg_submit message = {
        .customer_id = s->request->token.customer_id,
        .domain_id = item->domain_id,
        .destination = BH_TO_WORLD,
        .eight_bit = item->body_8bit,
        .smtputf8 = item->header_8bit,
        .header_from = item->header_from,
        .from_domain = item->from_domain,
        .mail_from = item->mail_from,
        .envid = BH_STR(""),
        .client = bh_str_c(s->request->http->client),
        .helo = BH_STR(""),
        .protocol = BH_STR("HTTP"),
        .recipients = item->recipients,
        .size = item->message.n,
        .body = item->body_file ? BH_STR("") : item->message,
        .body_file = item->body_file,
        .body_hash = bh_str_of((const char *)item->body_hash, sizeof(item->body_hash)),
        .campaign = item->campaign,
        .send_at = item->send_at,
    };

    bh_msg_submit_put(out, &message);
}

static bool hash_request(struct sending *s, uint8_t hash[BH_WEBD_HASH_BYTES])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    const struct bh_http_request *http = s->request->http;
    bool ok = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(digest, http->path.p, http->path.n + 1) == 1 &&
              EVP_DigestUpdate(digest, http->body.p, http->body.n) == 1 && EVP_DigestFinal_ex(digest, hash, NULL) == 1;

    EVP_MD_CTX_free(digest);
    return ok;
}

static bool put_items(struct sending *s, struct bh_buf *list)
{
    struct bh_buf one = bh_buf_make(FRAME_MAX);

    for (size_t i = 0; i < s->count; i++) {
        if (s->items[i].refused)
            continue;
        bh_buf_clear(&one);
        put_submit(s, &s->items[i], &one);
        bh_rec_blob_put(list, &(struct bh_rec_blob){bh_buf_view(&one)});
        if (bh_buf_err(&one) || bh_buf_err(list))
            break;
    }
    bh_buf_free(&one);
    return !bh_buf_err(list);
}

static void submit(struct sending *s)
{
    struct request *request = s->request;
    bh_str key = bh_http_header(request->http, "Idempotency-Key");
    struct bh_buf list = bh_buf_make(FRAME_MAX);
    uint8_t hash[BH_WEBD_HASH_BYTES];
    struct bh_msg_submit_batch message = {.customer_id = request->token.customer_id,
                                          .idempotency_key = key.p ? key : BH_STR(""),
                                          .request_hash = bh_str_of((const char *)hash, sizeof(hash))};
    bh_err err = BH_E_LIMIT;

    if (put_items(s, &list) && hash_request(s, hash)) {
        message.submits = bh_buf_view(&list);
        err = list.n ? BH_PEER_CALL(bh_role_any_peer(request->webd->role, BH_ROLE_QUEUED), SUBMIT_BATCH, submit_batch,
                                    &message, QUEUED_MS, on_submitted, s, &request->call)
                     : BH_OK;
    }
    if (!err && !list.n)
        answer_sent(s, BH_STR(""));
    else if (err == BH_E_LIMIT)
        request_problem(request, 413, "too_large", "Split the batch", NULL,
                        "the batch is larger than this server takes");
    else if (err)
        request_problem(request, 503, "temporary", "Try again", NULL, "the queue does not answer now");
    bh_buf_free(&list);
}

/* ---- large bodies ---- */

static void store_large(struct sending *s);

static bh_err write_body(int fd, bh_str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);

        if (n <= 0)
            return BH_E_IO;
        bytes = bh_str_skip(bytes, (size_t)n);
    }
    return fsync(fd) == 0 ? BH_OK : BH_E_IO;
}

static void on_body_file(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct sending *s = ctx;
    struct item *item = &s->items[s->next];
    struct bh_msg_body_file_reply reply;

    s->request->call = NULL;
    if (!err)
        err = bh_msg_body_file_reply_get(message->body, &reply);
    if (!err && (!reply.ok || message->fd_count != 1))
        err = BH_E_BUSY;
    if (!err)
        err = write_body(message->fds[0], item->message);
    if (err) {
        request_problem(s->request, 503, "temporary", "Try again later", NULL, "there is no room for the message now");
        return;
    }
    item->body_file = reply.body_file;
    s->next++;
    store_large(s);
}

static void store_large(struct sending *s)
{
    struct bh_peer *queued = bh_role_any_peer(s->request->webd->role, BH_ROLE_QUEUED);

    while (s->next < s->count && (s->items[s->next].refused || s->items[s->next].message.n <= INLINE_MAX))
        s->next++;
    if (s->next == s->count)
        submit(s);
    else if (BH_PEER_CALL(queued, BODY_FILE, body_file, &(struct bh_msg_body_file){s->items[s->next].message.n},
                          QUEUED_MS, on_body_file, s, &s->request->call))
        request_problem(s->request, 503, "temporary", "Try again", NULL, "the queue does not answer now");
}

/* ---- may it? ---- */

static void ask_gate(struct sending *s);

static void take_gate(struct sending *s, bh_str body)
{
    struct item *item = &s->items[s->next];
    struct bh_msg_may_send_reply reply;

    if (bh_msg_may_send_reply_get(body, &reply)) {
        refuse(s, item, 503, "temporary", "", "the service does not answer now");
    } else if (!reply.allowed) {
        refuse(s, item, reply.code >= 500 ? 422 : 503, "identity", "/from", "%.*s%s%.*s", BH_FMT(reply.reason),
               reply.fix.n ? ". " : "", BH_FMT(reply.fix));
    } else {
        item->domain_id = reply.domain_id;
    }
    s->next++;
}

static void on_gate(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct sending *s = ctx;

    s->request->call = NULL;
    if (err) {
        request_problem(s->request, 503, "temporary", "Try again", NULL, "the service does not answer now");
        return;
    }
    if (message->body.n && message->body.p[0]) {
        struct bh_cur cur = bh_cur_make(message->body);
        uint64_t version;

        (void)bh_cur_u8(&cur);
        version = bh_cur_u64(&cur);
        bh_cache_put(&s->request->webd->may_send, version, bh_buf_view(&s->key_bytes), message->body);
    }
    take_gate(s, message->body);
    ask_gate(s);
}

/* As smtpd asks: what may be remembered is (customer, domain). True: the answer comes later, or the request is over. */
static bool ask_one(struct sending *s)
{
    struct webd *webd = s->request->webd;
    struct item *item = &s->items[s->next];
    struct bh_msg_may_send ask = {s->request->token.customer_id, item->header_from, item->from_domain};
    bh_str known;

    bh_buf_clear(&s->key_bytes);
    bh_buf_u32(&s->key_bytes, ask.customer_id);
    bh_buf_add(&s->key_bytes, item->from_domain);
    known = bh_cache_get(&webd->may_send, bh_buf_view(&s->key_bytes));
    if (known.p) {
        take_gate(s, known);
        return false;
    }
    if (BH_PEER_CALL(bh_role_any_peer(webd->role, BH_ROLE_CONTROLD), MAY_SEND, may_send, &ask, CONTROLD_MS, on_gate, s,
                     &s->request->call))
        request_problem(s->request, 503, "temporary", "Try again", NULL, "the service does not answer now");
    return true;
}

static void ask_gate(struct sending *s)
{
    while (s->next < s->count) {
        if (s->next && answer_refusal(s, &s->items[s->next - 1]))
            return;
        if (s->items[s->next].refused)
            s->next++;
        else if (ask_one(s))
            return;
        point_at(s, s->next);
    }
    if (answer_refusal(s, &s->items[s->count - 1]))
        return;
    if (s->dry) {
        answer_dry(s);
        return;
    }
    s->next = 0;
    store_large(s);
}

/* ---- beginning and end ---- */

static bool build_all(struct sending *s)
{
    for (size_t i = 0; i < s->count; i++) {
        point_at(s, i);
        build(s, &s->items[i]);
        if (answer_refusal(s, &s->items[i]))
            return false;
    }
    point_at(s, 0);
    return true;
}

static struct sending *new_sending(struct request *request, const char *handler)
{
    const json_t *list = json_object_get(request->body, "emails");
    bool batch = strcmp(handler, "batch") == 0;
    size_t count = batch ? json_array_size(list) : 1;
    struct bh_arena *arena = request_arena(request);
    struct sending *s = arena ? bh_arena_alloc(arena, sizeof(*s)) : NULL;
    struct item *items = s ? bh_arena_array(arena, count + 1, sizeof(*items)) : NULL;

    if (!items)
        return NULL;
    memset(items, 0, (count + 1) * sizeof(*items));
    *s = (struct sending){.request = request,
                          .arena = arena,
                          .items = items,
                          .count = count,
                          .single = !batch,
                          .permissive = bh_str_eq(text_of(request->body, "mode"), BH_STR("permissive")),
                          .dry = strcmp(handler, "validate") == 0,
                          .key_bytes = bh_buf_make(2048)};
    for (size_t i = 0; i < count; i++)
        items[i].source = batch ? json_array_get(list, i) : request->body;
    return s;
}

void emails_run(struct request *request, const char *handler)
{
    bh_str key = bh_http_header(request->http, "Idempotency-Key");

    if (!request->token.customer_id) {
        request_problem(request, 403, "forbidden", "Use a token of the customer whose mail it is", NULL,
                        "an operator's token does not send");
        return;
    }
    if (key.p && (!key.n || key.n > KEY_MAX)) {
        request_problem(request, 422, "idempotency_key", NULL, NULL, "an Idempotency-Key has 1 to %d characters",
                        KEY_MAX);
        return;
    }
    request->sending = new_sending(request, handler);
    if (!request->sending)
        request_problem(request, 503, "temporary", "Try again", NULL, "out of memory");
    else if (build_all(request->sending))
        ask_gate(request->sending);
}

void emails_forget(struct request *request)
{
    struct sending *s = request->sending;

    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        json_decref(s->items[i].refused);
    bh_buf_free(&s->key_bytes);
    request->sending = NULL;
}
