/* signing.c: digests to keyd and signatures back. What is asked for within one turn of the loop goes in packets of up
 * to eight digests: keyd's wake-ups, not its arithmetic, are what this costs. */
#include "sender.h"

enum { ITEMS_PER_PACKET = 8 };

static void put_items(struct bh_buf *items, const struct delivery *delivery)
{
    for (size_t i = 0; i < delivery->key_count; i++) {
        if (delivery->signed_fields[i].p)
            continue;
        bh_rec_sign_item_put(items,
                             &(struct bh_rec_sign_item){
                                 delivery->first_item + (uint32_t)i, delivery->keys[i].grant, delivery->keys[i].sealed,
                                 bh_str_of((const char *)delivery->unsigned_fields[i].hash, BH_DKIM_HASH_BYTES)});
    }
}

static void send_packet(struct sender *sender, struct bh_buf *items)
{
    struct bh_peer *keyd = bh_role_any_peer(sender->role, BH_ROLE_KEYD);

    /* without keyd they wait in `signing` and are asked for again when it is back */
    if (keyd && items->n)
        (void)!BH_PEER_SEND(keyd, SIGN, 0, sign, &((struct bh_msg_sign){bh_buf_view(items)}));
    bh_buf_clear(items);
}

void bh_signing_write(void *ctx)
{
    struct sender *sender = ctx;
    struct bh_buf items = bh_buf_make(BH_IPC_BODY_MAX / 2);
    size_t count = 0;

    for (struct bh_list *link; (link = bh_list_pop(&sender->to_sign));) {
        struct delivery *delivery = BH_CONTAINER_OF(link, struct delivery, list);

        bh_list_push(&sender->signing, &delivery->list);
        put_items(&items, delivery);
        count += delivery->key_count;
        if (count >= ITEMS_PER_PACKET) {
            send_packet(sender, &items);
            count = 0;
        }
    }
    send_packet(sender, &items);
    bh_buf_free(&items);
}

void bh_signing_ask(struct delivery *delivery)
{
    struct sender *sender = delivery->sender;

    delivery->first_item = sender->next_item;
    sender->next_item += BH_DELIVERY_KEYS_MAX;
    delivery->signatures_missing = delivery->key_count;
    bh_list_push(&sender->to_sign, &delivery->list);
    bh_loop_defer(sender->role->loop, &sender->write_sign);
}

void bh_signing_again(struct sender *sender)
{
    for (struct bh_list *link; (link = bh_list_pop(&sender->signing));)
        bh_list_push(&sender->to_sign, link);
    bh_loop_defer(sender->role->loop, &sender->write_sign);
}

/* Signatures come back roughly in the order of asking, so the search from the front is short. */
static struct delivery *find_item(struct sender *sender, uint32_t item, size_t *ret_key)
{
    BH_LIST_EACH (link, &sender->signing) {
        struct delivery *delivery = BH_CONTAINER_OF(link, struct delivery, list);

        if (item - delivery->first_item < delivery->key_count) {
            *ret_key = item - delivery->first_item;
            return delivery;
        }
    }
    return NULL;
}

static void refuse(struct delivery *delivery, uint8_t refused)
{
    static const char *const reasons[] = {"",
                                          "keyd does not accept the grant",
                                          "the sealed key does not open",
                                          "keyd did not get a hash",
                                          "the grant is too old",
                                          "keyd could not sign",
                                          "the key was revoked meanwhile: the next one signs"};

    bh_list_remove(&delivery->list);
    bh_delivery_end(delivery, &(struct delivery_end){.verdict = BH_DEFERRED,
                                                     .code = 451,
                                                     .enhanced = "4.3.0",
                                                     .text = bh_str_c(refused < sizeof(reasons) / sizeof(reasons[0])
                                                                          ? reasons[refused]
                                                                          : "keyd could not sign"),
                                                     .phase = "sign"});
}

static void take_signature(struct sender *sender, const struct bh_rec_signature *record)
{
    size_t key;
    struct delivery *delivery = find_item(sender, record->item, &key);

    if (!delivery || delivery->signed_fields[key].p)
        return;
    if (record->refused) {
        bh_logf(&sender->role->log, record->refused == 6 ? BH_LOG_INFO : BH_LOG_ERROR,
                "no signature for %.*s: reason %u", BH_FMT(delivery->keys[key].domain), record->refused);
        refuse(delivery, record->refused);
        return;
    }
    if (bh_dkim_finish(delivery->arena, &delivery->unsigned_fields[key], (const uint8_t *)record->signature.p,
                       record->signature.n, &delivery->signed_fields[key]) != BH_OK) {
        refuse(delivery, 5);
        return;
    }
    if (--delivery->signatures_missing == 0) {
        bh_list_remove(&delivery->list);
        bh_delivery_signed(delivery);
    }
}

bh_err bh_signing_answer(struct sender *sender, bh_str body)
{
    struct bh_msg_signatures message;
    struct bh_rec_signature record;
    struct bh_cur list;
    bh_err err = bh_msg_signatures_get(body, &message);

    if (err)
        return err;
    list = bh_cur_make(message.items);
    while ((err = bh_rec_signature_next(&list, &record)) == BH_MORE)
        take_signature(sender, &record);
    return err == BH_DONE ? BH_OK : err;
}
