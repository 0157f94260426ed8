/* content.c: messages that were accepted and not yet given out to all their recipients' deliveries stay in memory, so
 * that the usual way, in and straight out again, does not read the store. Bounded; the oldest goes first and is read
 * from the store when its time comes. */
#include "internal.h"
#include <stdlib.h>

static bh_str place(char **at, bh_str s)
{
    bh_str copy = {*at, s.n};

    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

static size_t text_bytes(const struct bh_message_row *row, const struct content_recipient *recipients, uint32_t count)
{
    size_t n = row->header_from.n + row->from_domain.n + row->mail_from.n + row->envid.n + row->client.n + row->helo.n +
               row->protocol.n + row->body_hash.n + row->campaign.n + row->stream.n;

    for (uint32_t i = 0; i < count; i++)
        n += recipients[i].address.n + recipients[i].notify.n + recipients[i].orcpt.n;
    return n;
}

struct content *content_new(const struct bh_message_row *row, bh_str body, uint32_t first_idx,
                            const struct content_recipient *recipients, uint32_t recipient_count)
{
    size_t bytes = sizeof(struct content) + recipient_count * sizeof(*recipients) +
                   text_bytes(row, recipients, recipient_count) + body.n;
    struct content *c = malloc(bytes);
    char *at;

    if (!c)
        return NULL;
    *c = (struct content){.row = *row,
                          .first_idx = first_idx,
                          .recipient_count = recipient_count,
                          .not_given_out = recipient_count,
                          .bytes = bytes};
    bh_list_init(&c->lru);
    c->recipients = (struct content_recipient *)(void *)(c + 1);
    at = (char *)(c->recipients + recipient_count);
    c->row.header_from = place(&at, row->header_from);
    c->row.from_domain = place(&at, row->from_domain);
    c->row.mail_from = place(&at, row->mail_from);
    c->row.envid = place(&at, row->envid);
    c->row.client = place(&at, row->client);
    c->row.helo = place(&at, row->helo);
    c->row.protocol = place(&at, row->protocol);
    c->row.body_hash = place(&at, row->body_hash);
    c->row.campaign = place(&at, row->campaign);
    c->row.stream = place(&at, row->stream);
    for (uint32_t i = 0; i < recipient_count; i++) {
        c->recipients[i].address = place(&at, recipients[i].address);
        c->recipients[i].notify = place(&at, recipients[i].notify);
        c->recipients[i].orcpt = place(&at, recipients[i].orcpt);
    }
    c->body = body.p ? place(&at, body) : body;
    return c;
}

void content_free(struct content *content)
{
    free(content);
}

static void take_out(struct contents *contents, struct content *content)
{
    bh_map_remove(&contents->by_id, &content->node);
    bh_list_remove(&content->lru);
    contents->bytes -= content->bytes;
    content->loose = true;
    if (!content->users)
        content_free(content);
}

void contents_keep(struct contents *contents, struct content *content)
{
    if (content->bytes > contents->max_bytes / 4 ||
        bh_map_add(&contents->by_id, id_key(&content->row.id), &content->node) != BH_OK) {
        content_free(content); /* the store has it */
        return;
    }
    bh_list_push(&contents->lru, &content->lru);
    contents->bytes += content->bytes;
    while (contents->bytes > contents->max_bytes)
        take_out(contents, BH_LIST_HEAD(&contents->lru, struct content, lru));
}

struct content *contents_find(struct contents *contents, uint64_t id)
{
    struct bh_map_node *node = bh_map_get(&contents->by_id, id_key(&id));

    return node ? BH_CONTAINER_OF(node, struct content, node) : NULL;
}

void content_use(struct content *content)
{
    content->users++;
}

void contents_unuse(struct contents *contents, struct content *content, bool given_out)
{
    content->users--;
    if (given_out && content->not_given_out)
        content->not_given_out--;
    if (content->loose) {
        if (!content->users)
            content_free(content);
    } else if (!content->not_given_out) {
        take_out(contents, content);
    }
}

void contents_forget(struct contents *contents, uint64_t id)
{
    struct content *content = contents_find(contents, id);

    if (content)
        take_out(contents, content);
}

void contents_free(struct contents *contents)
{
    while (!bh_list_empty(&contents->lru))
        take_out(contents, BH_LIST_HEAD(&contents->lru, struct content, lru));
    bh_map_free(&contents->by_id);
}
