/* delivery.c: one delivery from DELIVER to its result: bounce address, departing header, signatures, bytes to send. */
#include "mail/downgrade.h"
#include "mail/prepare.h"
#include "mail/wishes.h"
#include "proto/mime/header.h"
#include "proto/smtp/path.h"
#include "queue/message_id.h"
#include "sender.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { REST_PIECE = 256 * 1024, FIELDS_MAX = 20000, NAMES_MAX = 500 };

struct delivery *bh_delivery_find(struct sender *sender, uint64_t delivery_id)
{
    struct bh_map_node *node =
        bh_map_get(&sender->deliveries, bh_str_of((const char *)&delivery_id, sizeof(delivery_id)));

    return node ? BH_CONTAINER_OF(node, struct delivery, node) : NULL;
}

void bh_delivery_free(struct delivery *delivery)
{
    bh_map_remove(&delivery->sender->deliveries, &delivery->node);
    bh_list_remove(&delivery->list);
    if (delivery->body_fd >= 0)
        (void)close(delivery->body_fd);
    free(delivery->rest);
    bh_arena_free(delivery->arena);
    bh_buf_free(&delivery->frame);
    bh_buf_free(&delivery->converted);
    free(delivery);
}

static bh_str signed_by(struct delivery *delivery)
{
    struct bh_buf names = bh_buf_make(4096);
    bh_str copy;

    for (size_t i = 0; i < delivery->key_count; i++)
        if (delivery->signed_fields[i].p)
            bh_buf_printf(&names, "%s%.*s._domainkey.%.*s", names.n ? " " : "", BH_FMT(delivery->keys[i].selector),
                          BH_FMT(delivery->keys[i].domain));
    copy = bh_arena_dup(delivery->arena, bh_buf_view(&names));
    bh_buf_free(&names);
    return copy;
}

static bh_str signed_keys(struct delivery *delivery)
{
    struct bh_buf ids = bh_buf_make(1024);
    bh_str copy;

    for (size_t i = 0; i < delivery->key_count; i++)
        if (delivery->signed_fields[i].p)
            bh_buf_printf(&ids, "%s%llu", ids.n ? " " : "", (unsigned long long)delivery->keys[i].key_id);
    copy = bh_arena_dup(delivery->arena, bh_buf_view(&ids));
    bh_buf_free(&ids);
    return copy;
}

/* What a refusal means, by who said it, the code and the words; the same rules read bounces. Our own words are none. */
static void classify(struct sender *sender, const struct delivery_end *end, struct bh_msg_result *result)
{
    bh_str host, rest;
    struct bh_refusal refusal = {.code = end->code, .text = end->text};
    struct bh_verdict verdict;

    if (end->verdict == BH_DELIVERED || end->code < 400 || !end->remote.n)
        return;
    host = bh_str_cut(end->remote, ' ', &rest);
    refusal.host = host;
    refusal.status = bh_smtp_status_parse(end->enhanced ? bh_str_c(end->enhanced) : BH_STR(""), &rest);
    bh_refusal_classify(sender->classifier, &refusal, &verdict);
    result->refusal_class = bh_str_c(bh_refusal_class_text(verdict.class));
    result->refusal_reason = verdict.reason;
}

void bh_delivery_end(struct delivery *delivery, const struct delivery_end *end)
{
    struct sender *sender = delivery->sender;
    struct bh_msg_result result = {.delivery_id = delivery->message.delivery_id,
                                   .message_id = delivery->message.message_id,
                                   .recipient_index = delivery->message.recipient_index,
                                   .verdict = (uint8_t)end->verdict,
                                   .code = end->code,
                                   .enhanced = bh_str_c(end->enhanced),
                                   .text = bh_str_sub(end->text, 0, 2000),
                                   .remote = end->remote,
                                   .tls = bh_str_c(end->tls),
                                   .phase = bh_str_c(end->phase),
                                   .signed_by = signed_by(delivery),
                                   .signed_keys = signed_keys(delivery),
                                   .mail_from = delivery->mail_from,
                                   .policy = bh_str_c(end->policy),
                                   .local = end->local,
                                   .trail = bh_str_sub(end->trail, 0, 2000),
                                   .took_ms = (uint32_t)(bh_loop_monotonic(sender->role->loop) - delivery->started_at)};

    classify(sender, end, &result);
    bh_result_send(sender, &result);
    bh_delivery_free(delivery);
    sender->finished++;
    bh_loop_defer(sender->role->loop, &sender->tell_slots);
}

static void defer(struct delivery *delivery, const char *why)
{
    bh_delivery_end(
        delivery,
        &(struct delivery_end){
            .verdict = BH_DEFERRED, .code = 451, .enhanced = "4.3.0", .text = bh_str_c(why), .phase = "prepare"});
}

/* ---- the body ---- */

/* The header of a message that is in a file: read on until the empty line is in. */
static bh_err read_head(struct delivery *delivery, bh_str *ret_head)
{
    struct bh_buf head = bh_buf_make(BH_PREPARE_HEADER_MAX);
    bh_err err = BH_OK;

    for (;;) {
        char *room = bh_buf_reserve(&head, 64 * 1024);
        ssize_t n = room ? pread(delivery->body_fd, room, 64 * 1024, (off_t)head.n) : -1;
        size_t from = head.n > 3 ? head.n - 3 : 0;

        if (n < 0 && room && errno == EINTR)
            continue;
        if (n <= 0) {
            err = n == 0 && head.n ? BH_OK : room ? BH_E_IO : bh_buf_err(&head);
            break;
        }
        bh_buf_commit(&head, (size_t)n);
        if (bh_str_search(bh_str_skip(bh_buf_view(&head), from), BH_STR("\r\n\r\n")) < head.n - from)
            break;
    }
    if (!err) {
        *ret_head = bh_arena_dup(delivery->arena, bh_buf_view(&head));
        if (!ret_head->p)
            err = BH_E_NOMEM;
    }
    bh_buf_free(&head);
    return err;
}

bool bh_delivery_next_rest(struct delivery *delivery, bh_str *ret_piece, bool *ret_last)
{
    size_t want = delivery->rest_bytes < REST_PIECE ? (size_t)delivery->rest_bytes : REST_PIECE;
    ssize_t n;

    if (!delivery->rest)
        delivery->rest = malloc(REST_PIECE);
    do
        n = delivery->rest ? pread(delivery->body_fd, delivery->rest, want, (off_t)delivery->rest_at) : -1;
    while (n < 0 && delivery->rest && errno == EINTR);
    if (n <= 0)
        return false;
    delivery->rest_at += (uint64_t)n;
    delivery->rest_bytes -= (uint64_t)n;
    *ret_piece = bh_str_of(delivery->rest, (size_t)n);
    *ret_last = delivery->rest_bytes == 0;
    return true;
}

static bh_err hash_rest(struct delivery *delivery, struct bh_dkim_body *body)
{
    uint64_t at = delivery->rest_at, bytes = delivery->rest_bytes;

    while (delivery->rest_bytes) {
        bh_str piece;
        bool last;

        if (!bh_delivery_next_rest(delivery, &piece, &last))
            return BH_E_IO;
        bh_dkim_body_add(body, piece);
    }
    delivery->rest_at = at;
    delivery->rest_bytes = bytes;
    return BH_OK;
}

/* The hash that was computed at accept, else our own. */
static bh_err body_hash(struct delivery *delivery, bh_str body, uint8_t ret_hash[BH_DKIM_HASH_BYTES])
{
    struct bh_dkim_body *hashing;
    bh_err err;

    if (delivery->message.body_hash.n == BH_DKIM_HASH_BYTES && !delivery->seven_bit) {
        memcpy(ret_hash, delivery->message.body_hash.p, BH_DKIM_HASH_BYTES);
        return BH_OK;
    }
    hashing = bh_dkim_body_new(delivery->sender->dkim, BH_DKIM_RELAXED);
    if (!hashing)
        return BH_E_NOMEM;
    bh_dkim_body_add(hashing, body);
    err = hash_rest(delivery, hashing);
    if (!err)
        err = bh_dkim_body_end(hashing, ret_hash, NULL);
    bh_dkim_body_free(hashing);
    return err;
}

/* ---- header and signatures ---- */

static bh_err make_mail_from(struct delivery *delivery)
{
    struct sender *sender = delivery->sender;
    const struct bh_verp_key *key = bh_verp_key_find(&sender->ring, bh_verp_period(bh_loop_now(sender->role->loop)));
    struct bh_verp address = {.kind = BH_VERP_BOUNCE,
                              .customer = delivery->message.customer_id,
                              .message = delivery->message.message_id,
                              .recipient = delivery->message.recipient_index};
    bh_err err;

    delivery->null_sender = delivery->message.null_sender != 0;
    if (delivery->null_sender) {
        delivery->mail_from = BH_STR("");
        return BH_OK;
    }
    err = key ? bh_verp_encode(&address, delivery->message.bounce_domain, key, delivery->mail_from_local)
              : BH_E_NOT_FOUND;

    if (err)
        return err;
    delivery->mail_from = bh_arena_printf(delivery->arena, "%.*s@%.*s", BH_VERP_CHARS, delivery->mail_from_local,
                                          BH_FMT(delivery->message.bounce_domain));
    return delivery->mail_from.p ? BH_OK : BH_E_NOMEM;
}

/* An address for what comes back about this departure, in the bounce domain; empty where it cannot be made. */
static bh_str own_address(struct delivery *delivery, enum bh_verp_kind kind)
{
    struct sender *sender = delivery->sender;
    const struct bh_verp_key *key = bh_verp_key_find(&sender->ring, bh_verp_period(bh_loop_now(sender->role->loop)));
    struct bh_verp address = {.kind = kind,
                              .customer = delivery->message.customer_id,
                              .message = delivery->message.message_id,
                              .recipient = delivery->message.recipient_index};
    char local[BH_VERP_CHARS];

    if (!key || bh_verp_encode(&address, delivery->message.bounce_domain, key, local))
        return BH_STR("");
    return bh_arena_printf(delivery->arena, "%.*s@%.*s", BH_VERP_CHARS, local, BH_FMT(delivery->message.bounce_domain));
}

/* "STREAM:c7:d9:ESP": Gmail counts complaints by each word; the last one is ours for all mail, of 5 to 15 characters.
 */
static bh_str stream_id(struct delivery *delivery, bh_str stream)
{
    bh_str platform = delivery->sender->role->config->platform;
    char word[16] = "behalf";
    size_t n = 6;

    for (size_t i = 0; i < platform.n && n < 15; i++)
        if (bh_is_alnum(platform.p[i]))
            word[n++] = bh_to_lower(platform.p[i]);
    return bh_arena_printf(delivery->arena, "%.*s:c%u:d%u:%.*s", BH_FMT(stream), delivery->message.customer_id,
                           delivery->message.domain_id, (int)n, word);
}

/* Of signed mail in a customer's name alone: nobody heeds these fields without a signature over them. */
static void ask_for_feedback(struct delivery *delivery, bh_str header, bh_str id, struct bh_feedback_facts *facts)
{
    const struct bh_msg_deliver *m = &delivery->message;
    struct bh_wishes wishes = {.stream = BH_STR("")};

    if (delivery->null_sender || !m->customer_id || !m->domain_id || !m->bounce_domain.n || !delivery->key_count)
        return;
    if (bh_wishes_read(header, &wishes))
        wishes = (struct bh_wishes){.stream = BH_STR("")};
    facts->complaints = own_address(delivery, BH_VERP_FEEDBACK);
    facts->id = id;
    facts->stream_id = stream_id(delivery, wishes.stream);
    if (wishes.unsubscribe)
        facts->unsubscribe = own_address(delivery, BH_VERP_UNSUBSCRIBE);
}

static bh_err read_keys(struct delivery *delivery)
{
    struct bh_cur list = bh_cur_make(delivery->message.keys);
    bh_err err = BH_DONE;

    while (delivery->key_count < BH_DELIVERY_KEYS_MAX &&
           (err = bh_rec_sealed_key_next(&list, &delivery->keys[delivery->key_count])) == BH_MORE)
        delivery->key_count++;
    return err == BH_DONE || err == BH_MORE ? BH_OK : err;
}

static bh_err prepare_header(struct delivery *delivery, bh_str header, struct bh_prepared *ret_prepared)
{
    const struct bh_msg_deliver *m = &delivery->message;
    char id[BH_MESSAGE_ID_CHARS + 1];
    struct bh_prepare prepare = {.header = header, .accepted_at = m->accepted_at};

    bh_message_id_text(m->message_id, id);
    prepare.received = (struct bh_received_facts){.helo = m->client_helo,
                                                  .by = delivery->sender->role->config->hostname,
                                                  .with = m->protocol,
                                                  .id = bh_str_c(id),
                                                  .recipient = m->recipient};
    ask_for_feedback(delivery, header, bh_str_c(id), &prepare.feedback);
    prepare.message_id_left = bh_arena_dup(delivery->arena, bh_str_c(id + 4));
    prepare.message_id_domain = m->from_domain;
    prepare.authserv_id = delivery->sender->role->config->hostname;
    for (size_t i = 0; i < delivery->key_count && i < BH_PREPARE_OWN_MAX; i++)
        prepare.own[prepare.own_count++] = (struct bh_own_signature){.domain = delivery->keys[i].domain};
    return bh_prepare_header(delivery->arena, &prepare, ret_prepared);
}

static bh_err prepare_signature(struct delivery *delivery, size_t key, bh_str header, const uint8_t *hash,
                                const bh_str *names, size_t name_count)
{
    struct bh_dkim_signing signing = {.key_type = delivery->keys[key].algorithm == BH_KEY_ED25519 ? BH_DKIM_KEY_ED25519
                                                                                                  : BH_DKIM_KEY_RSA,
                                      .domain = delivery->keys[key].domain,
                                      .selector = delivery->keys[key].selector,
                                      .header_canon = BH_DKIM_RELAXED,
                                      .body_canon = BH_DKIM_RELAXED,
                                      .signed_at_s = bh_loop_now(delivery->sender->role->loop) / 1000,
                                      .expires_at_s = -1,
                                      .body_length = -1,
                                      .names = names,
                                      .name_count = name_count};

    memcpy(signing.body_hash, hash, BH_DKIM_HASH_BYTES);
    return bh_dkim_prepare(delivery->sender->dkim, delivery->arena, header, &signing, &delivery->unsigned_fields[key]);
}

/* Splits the message, makes the departing header, and computes what is to be signed. */
static bh_err prepare(struct delivery *delivery)
{
    bool in_file = delivery->body_fd >= 0 && !delivery->seven_bit;
    bh_str head = delivery->seven_bit ? bh_buf_view(&delivery->converted) : delivery->message.body;
    bh_str names[NAMES_MAX];
    size_t name_count = 0;
    uint8_t hash[BH_DKIM_HASH_BYTES];
    struct bh_prepared prepared;
    struct bh_header_iter it;
    struct bh_header_field field;
    bh_str rest;
    bh_err err = in_file ? read_head(delivery, &head) : BH_OK;

    if (err)
        return err;
    it = bh_header_iter_make(head, FIELDS_MAX, BH_PREPARE_HEADER_MAX);
    while ((err = bh_header_next(&it, &field)) == BH_MORE)
        ;
    if (err != BH_DONE)
        return err;
    rest = bh_header_body(&it);
    delivery->rest_bytes = 0;
    if (in_file) {
        delivery->rest_at = head.n;
        delivery->rest_bytes = delivery->message.size > head.n ? delivery->message.size - head.n : 0;
    }
    err = prepare_header(delivery, bh_header_block(&it), &prepared);
    if (!err)
        err = body_hash(delivery, rest, hash);
    if (!err && delivery->key_count)
        err = bh_dkim_default_names(prepared.header, names, NAMES_MAX, &name_count);
    for (size_t i = 0; i < delivery->key_count && !err; i++)
        err = prepare_signature(delivery, i, prepared.header, hash, names, name_count);
    delivery->pieces[0] = prepared.header;
    delivery->pieces[1] = BH_STR("\r\n");
    delivery->pieces[2] = rest;
    return err;
}

/* Prepared: to keyd, or at once to its site. */
static void depart(struct delivery *delivery)
{
    if (delivery->key_count)
        bh_signing_ask(delivery);
    else
        bh_delivery_signed(delivery);
}

/* ENVID and ORCPT for the next server: what it tells our bounce address is then easy to place. */
static void prepare_notices(struct delivery *delivery)
{
    const struct bh_msg_deliver *m = &delivery->message;
    struct bh_buf orcpt = bh_buf_make(600);

    bh_message_id_text(m->message_id, delivery->envid);
    delivery->orcpt = m->orcpt;
    if (m->orcpt.n || m->smtputf8)
        return;
    bh_buf_add(&orcpt, BH_STR("rfc822;"));
    bh_xtext_encode(&orcpt, m->recipient);
    if (!bh_buf_err(&orcpt))
        delivery->orcpt = bh_arena_dup(delivery->arena, bh_buf_view(&orcpt));
    bh_buf_free(&orcpt);
}

void bh_delivery_signed(struct delivery *delivery)
{
    bh_str last[3] = {delivery->pieces[0], delivery->pieces[1], delivery->pieces[2]};

    delivery->piece_count = 0;
    for (size_t i = 0; i < delivery->key_count; i++)
        delivery->pieces[delivery->piece_count++] = delivery->signed_fields[i];
    for (size_t i = 0; i < 3; i++)
        if (last[i].n)
            delivery->pieces[delivery->piece_count++] = last[i];
    delivery->size = delivery->rest_bytes;
    for (size_t i = 0; i < delivery->piece_count; i++)
        delivery->size += delivery->pieces[i].n;
    bh_site_add(delivery);
}

/* ---- 7 bits ---- */

/* The whole message in memory. */
static bh_err read_whole(struct delivery *delivery, struct bh_buf *whole)
{
    char *room = bh_buf_reserve(whole, (size_t)delivery->message.size);
    size_t got = 0;

    while (room && got < delivery->message.size) {
        ssize_t n = pread(delivery->body_fd, room + got, (size_t)delivery->message.size - got, (off_t)got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return BH_E_IO;
        got += (size_t)n;
    }
    bh_buf_commit(whole, got);
    return room ? BH_OK : BH_E_NOMEM;
}

static bh_err convert(struct delivery *delivery, const char **ret_why)
{
    struct bh_buf whole = bh_buf_make((size_t)delivery->message.size + 1);
    struct bh_arena *tree = bh_arena_new(BH_DELIVERY_ARENA_MAX);
    bh_str message = delivery->message.body;
    bh_err err = tree ? BH_OK : BH_E_NOMEM;

    delivery->converted = bh_buf_make(3 * (size_t)delivery->message.size + 64 * 1024);
    if (!err && delivery->body_fd >= 0) {
        err = read_whole(delivery, &whole);
        message = bh_buf_view(&whole);
    }
    if (!err)
        err = bh_downgrade(tree, message, &delivery->converted, ret_why);
    bh_arena_free(tree);
    bh_buf_free(&whole);
    return err;
}

void bh_delivery_downgrade(struct delivery *delivery)
{
    const char *why = NULL;
    bh_err err = convert(delivery, &why);

    delivery->seven_bit = true;
    if (!err) {
        memset(delivery->signed_fields, 0, sizeof(delivery->signed_fields));
        err = prepare(delivery);
    }
    if (err == BH_E_INVALID) {
        bh_str text = bh_arena_printf(
            delivery->arena, "the receiving server takes no 8-bit text, and this message cannot be converted: %s", why);

        bh_delivery_end(delivery, &(struct delivery_end){
                                      .verdict = BH_BOUNCED, .enhanced = "5.6.3", .text = text, .phase = "prepare"});
    } else if (err) {
        defer(delivery, bh_err_text(err));
    } else {
        depart(delivery);
    }
}

/* ---- from queued ---- */

static struct delivery *make(struct sender *sender, struct bh_ipc_message *message)
{
    struct delivery *delivery = calloc(1, sizeof(*delivery));

    if (!delivery)
        return NULL;
    delivery->sender = sender;
    delivery->body_fd = -1;
    bh_list_init(&delivery->list);
    delivery->frame = bh_buf_make(BH_IPC_BODY_MAX);
    delivery->converted = bh_buf_make(0);
    delivery->arena = bh_arena_new(BH_DELIVERY_ARENA_MAX);
    bh_buf_add(&delivery->frame, message->body);
    delivery->started_at = bh_loop_monotonic(sender->role->loop);
    if (!delivery->arena || bh_buf_err(&delivery->frame) ||
        bh_msg_deliver_get(bh_buf_view(&delivery->frame), &delivery->message) != BH_OK ||
        bh_map_add(&sender->deliveries,
                   bh_str_of((const char *)&delivery->message.delivery_id, sizeof(delivery->message.delivery_id)),
                   &delivery->node) != BH_OK) {
        bh_arena_free(delivery->arena);
        bh_buf_free(&delivery->frame);
        free(delivery);
        return NULL;
    }
    if (message->fd_count == 1) {
        delivery->body_fd = message->fds[0];
        message->fds[0] = -1;
    }
    return delivery;
}

bh_err bh_delivery_begin(struct sender *sender, struct bh_ipc_message *message)
{
    struct bh_msg_deliver probe;
    struct delivery *delivery;
    bh_err err = bh_msg_deliver_get(message->body, &probe);

    if (err)
        return err;
    if (bh_delivery_find(sender, probe.delivery_id)) /* queued was restarted and had not heard of it yet */
        return BH_OK;
    delivery = make(sender, message);
    if (!delivery)
        return BH_E_NOMEM;
    err = read_keys(delivery);
    if (!err)
        err = make_mail_from(delivery);
    if (!err)
        err = prepare(delivery);
    if (err) {
        defer(delivery, err == BH_E_NOT_FOUND ? "no key for bounce addresses yet" : bh_err_text(err));
        return BH_OK;
    }
    prepare_notices(delivery);
    depart(delivery);
    return BH_OK;
}
