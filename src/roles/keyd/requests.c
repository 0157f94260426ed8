/* requests.c: what keyd is asked: to sign, to make, take over or seal again a key. A request is checked against its
 * grant here and becomes a job of the workers (signer.h); what they made is answered from here. */
#include "keyd.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- signing ---- */

/* Under the current key, or that of the secret before, which may have granted what is under way. */
static bh_err check_grant(const struct keyd *keyd, bh_str grant, const uint8_t keys[2][BH_VAULT_KEY_BYTES],
                          struct bh_grant *ret_grant)
{
    bh_time_ms now = bh_clock_now();
    bh_err err = bh_grant_get(grant, keys[0], now, ret_grant);

    return err == BH_E_DENIED && keyd->vault.has_old ? bh_grant_get(grant, keys[1], now, ret_grant) : err;
}

static uint8_t check_item(struct keyd *keyd, const struct bh_rec_sign_item *item, struct bh_grant *ret_grant)
{
    bh_err err = check_grant(keyd, item->grant, keyd->queued_grant_keys, ret_grant);

    if (err)
        return err == BH_E_TIMEOUT ? 4 : 1;
    if (ret_grant->kind != BH_GRANT_DKIM || ret_grant->granter != BH_ROLE_QUEUED)
        return 1;
    if (bh_revoked_has(&keyd->revoked, ret_grant->key_id))
        return 6;
    return item->digest.n == BH_DKIM_HASH_BYTES ? 0 : 3;
}

static struct bh_job *make_sign_job(struct keyd *keyd, const struct bh_rec_sign_item *item)
{
    struct bh_grant grant;
    struct bh_buf associated = bh_buf_make(BH_GRANT_BYTES_MAX);
    uint8_t refused = check_item(keyd, item, &grant);
    struct bh_job *job;

    if (!refused)
        bh_grant_associated_data(&associated, grant.kind, grant.customer_id, grant.domain, grant.selector,
                                 grant.key_id);
    job = bh_job_new(BH_JOB_SIGN, bh_buf_view(&associated), refused ? (bh_str){NULL, 0} : item->sealed);
    bh_buf_free(&associated);
    if (!job)
        return NULL;
    job->item = item->item;
    job->key_id = refused ? 0 : grant.key_id;
    job->refused = refused;
    if (!refused)
        memcpy(job->digest, item->digest.p, BH_DKIM_HASH_BYTES);
    return job;
}

/* A key that was revoked while a worker had the job: its signature does not leave. */
void keyd_answer_signature(struct connection *connection, const struct bh_job *job, struct bh_buf *items)
{
    uint8_t refused = bh_revoked_has(&connection->keyd->revoked, job->key_id) ? 6 : job->refused;
    struct bh_rec_signature record = {job->item, refused,
                                      bh_str_of((const char *)job->signature, refused ? 0 : job->signature_bytes)};

    bh_rec_signature_put(items, &record);
}

void keyd_reply_signatures(struct connection *connection, uint32_t request, struct bh_buf *items)
{
    struct bh_buf body = bh_buf_make(BH_IPC_BODY_MAX);

    bh_msg_signatures_put(&body, &(struct bh_msg_signatures){bh_buf_view(items)});
    bh_buf_clear(items);
    keyd_send_body(connection, BH_MSG_SIGNATURES, request, &body);
}

bh_err keyd_handle_sign(struct connection *connection, const struct bh_ipc_message *message)
{
    struct keyd *keyd = connection->keyd;
    struct bh_msg_sign sign;
    struct bh_rec_sign_item item;
    struct bh_cur list;
    struct bh_job *jobs = NULL, **end = &jobs;
    struct bh_buf refused = bh_buf_make(1 << 16);
    size_t count = 0, items = 0;
    bh_err err = bh_msg_sign_get(message->body, &sign);

    if (err)
        return err;
    list = bh_cur_make(sign.items);
    while ((err = bh_rec_sign_item_next(&list, &item)) == BH_MORE && ++items <= ITEMS_MAX) {
        struct bh_job *job = keyd->jobs_waiting + count < JOBS_MAX ? make_sign_job(keyd, &item) : NULL;

        if (job && !job->refused) {
            job->connection = connection->number;
            job->request = message->id;
            *end = job;
            end = &job->next;
            count++;
            continue;
        }
        bh_rec_signature_put(&refused, &(struct bh_rec_signature){item.item, job ? job->refused : 5, {NULL, 0}});
        if (job)
            bh_job_free(job);
    }
    keyd->jobs_waiting += count;
    bh_signer_submit(keyd->signer, jobs, count);
    if (refused.n)
        keyd_reply_signatures(connection, message->id, &refused);
    bh_buf_free(&refused);
    return err == BH_DONE ? BH_OK : err == BH_MORE ? BH_E_LIMIT : err;
}

/* From the reply on no signature by these keys leaves. */
bh_err keyd_handle_revoked(struct connection *connection, const struct bh_ipc_message *message)
{
    struct bh_msg_keys_revoked list;
    struct bh_buf body = bh_buf_make(64);
    bh_err err = bh_msg_keys_revoked_get(message->body, &list);

    if (!err)
        err = bh_revoked_set(&connection->keyd->revoked, list.keys);
    if (err)
        return err;
    bh_msg_keys_revoked_put(&body, &(struct bh_msg_keys_revoked){{"", 0}});
    keyd_send_body(connection, BH_MSG_KEYS_REVOKED_REPLY, message->id, &body);
    return BH_OK;
}

/* ---- signing zones, and links of Domain Connect: digests against controld's grant ---- */

static void refuse_zone_signatures(struct connection *connection, uint32_t request, uint8_t refused)
{
    struct bh_buf body = bh_buf_make(64);

    bh_msg_zone_signatures_put(&body, &(struct bh_msg_zone_signatures){refused, {"", 0}});
    keyd_send_body(connection, BH_MSG_ZONE_SIGN_REPLY, request, &body);
}

static uint8_t check_zone_sign(struct keyd *keyd, const struct bh_msg_zone_sign *sign, struct bh_grant *ret_grant)
{
    bh_err err = check_grant(keyd, sign->grant, keyd->controld_grant_keys, ret_grant);

    if (err)
        return err == BH_E_TIMEOUT ? 4 : 1;
    if (ret_grant->granter != BH_ROLE_CONTROLD)
        return 1;
    if (ret_grant->kind == BH_GRANT_DOMAIN_CONNECT)
        return sign->digests.n == BH_DKIM_HASH_BYTES ? 0 : 3;
    if (ret_grant->kind != BH_GRANT_DNSSEC)
        return 1;
    return sign->digests.n && sign->digests.n % BH_DKIM_HASH_BYTES == 0 &&
                   sign->digests.n <= (size_t)BH_ZONE_SIGN_MAX * BH_DKIM_HASH_BYTES
               ? 0
               : 3;
}

bh_err keyd_handle_zone_sign(struct connection *connection, const struct bh_ipc_message *message)
{
    struct keyd *keyd = connection->keyd;
    struct bh_buf associated = bh_buf_make(BH_GRANT_BYTES_MAX);
    struct bh_msg_zone_sign sign;
    struct bh_grant grant;
    struct bh_job *job = NULL;
    uint8_t refused;
    bh_err err = bh_msg_zone_sign_get(message->body, &sign);

    if (err)
        return err;
    refused = check_zone_sign(keyd, &sign, &grant);
    if (!refused && keyd->jobs_waiting < JOBS_MAX) {
        bh_grant_associated_data(&associated, grant.kind, grant.customer_id, grant.domain, grant.selector,
                                 grant.key_id);
        job = bh_job_new(grant.kind == BH_GRANT_DOMAIN_CONNECT ? BH_JOB_CONNECT_SIGN : BH_JOB_ZONE_SIGN,
                         bh_buf_view(&associated), sign.sealed);
    }
    bh_buf_free(&associated);
    if (!job) {
        refuse_zone_signatures(connection, message->id, refused ? refused : 5);
        return BH_OK;
    }
    bh_buf_add(&job->digests, sign.digests);
    job->connection = connection->number;
    job->request = message->id;
    keyd->jobs_waiting++;
    bh_signer_submit(keyd->signer, job, 1);
    return BH_OK;
}

void keyd_answer_zone_sign(struct connection *connection, const struct bh_job *job)
{
    struct bh_buf body = bh_buf_make(BH_JOB_OBJECT_MAX * 2);

    if (job->refused) {
        refuse_zone_signatures(connection, job->request, job->refused);
        return;
    }
    bh_msg_zone_signatures_put(&body, &(struct bh_msg_zone_signatures){0, bh_buf_view(&job->record)});
    keyd_send_body(connection, BH_MSG_ZONE_SIGN_REPLY, job->request, &body);
}

/* ---- keys ---- */

static enum bh_grant_kind kind_of(uint8_t algorithm)
{
    return algorithm == BH_KEY_P256      ? BH_GRANT_DNSSEC
           : algorithm == BH_KEY_CONNECT ? BH_GRANT_DOMAIN_CONNECT
                                         : BH_GRANT_DKIM;
}

/* The text of a key file, handed on unread by controld. It must be a file: nothing here waits for a writer. */
static bh_err read_import(int fd, struct bh_buf *out)
{
    char *room = bh_buf_reserve(out, IMPORT_MAX);
    ssize_t n = room ? pread(fd, room, IMPORT_MAX, 0) : -1;

    if (n <= 0)
        return BH_E_IO;
    bh_buf_commit(out, (size_t)n);
    return BH_OK;
}

static void refuse_key(struct connection *connection, const struct bh_ipc_message *message, const char *why)
{
    struct bh_buf body = bh_buf_make(1024);

    bh_msg_key_reply_put(&body, &(struct bh_msg_key_reply){.why = bh_str_c(why)});
    keyd_send_body(connection, message->type | BH_REPLY, message->id, &body);
}

bh_err keyd_handle_key(struct connection *connection, struct bh_ipc_message *message)
{
    struct keyd *keyd = connection->keyd;
    bool import = message->type == BH_MSG_KEY_IMPORT;
    struct bh_msg_key_generate request;
    struct bh_buf associated = bh_buf_make(BH_GRANT_BYTES_MAX), text = bh_buf_make(IMPORT_MAX);
    struct bh_job *job = NULL;
    bh_err err = bh_msg_key_generate_get(message->body, &request);

    if (err)
        return err;
    if (import && (message->fd_count != 1 || read_import(message->fds[0], &text) != BH_OK)) {
        refuse_key(connection, message, "the key file cannot be read");
    } else {
        bh_grant_associated_data(&associated, (uint8_t)kind_of(request.algorithm), request.customer_id, request.domain,
                                 request.selector, request.key_id);
        job = bh_job_new(import ? BH_JOB_IMPORT : BH_JOB_GENERATE, bh_buf_view(&associated), bh_buf_view(&text));
        if (!job)
            refuse_key(connection, message, "out of memory");
    }
    if (job) {
        job->connection = connection->number;
        job->request = message->id;
        job->algorithm = request.algorithm;
        keyd->jobs_waiting++;
        bh_signer_submit(keyd->signer, job, 1);
    }
    if (text.p)
        bh_wipe(text.p, text.cap);
    bh_buf_free(&text);
    bh_buf_free(&associated);
    return BH_OK;
}

/* ---- sealing again, under another secret ---- */

static bool may_reseal(const struct keyd *keyd, bh_str bytes, struct bh_grant *ret_grant)
{
    return check_grant(keyd, bytes, keyd->controld_grant_keys, ret_grant) == BH_OK &&
           ret_grant->kind == BH_GRANT_SEAL && ret_grant->granter == BH_ROLE_CONTROLD &&
           (ret_grant->delivery_id == BH_GRANT_DKIM || ret_grant->delivery_id == BH_GRANT_DNSSEC);
}

bh_err keyd_handle_reseal(struct connection *connection, const struct bh_ipc_message *message)
{
    struct keyd *keyd = connection->keyd;
    struct bh_buf associated = bh_buf_make(BH_GRANT_BYTES_MAX);
    struct bh_msg_key_reseal reseal;
    struct bh_grant grant;
    struct bh_job *job = NULL;
    bh_err err = bh_msg_key_reseal_get(message->body, &reseal);

    if (err)
        return err;
    if (keyd->jobs_waiting < JOBS_MAX && may_reseal(keyd, reseal.grant, &grant)) {
        bh_grant_associated_data(&associated, (uint8_t)grant.delivery_id, grant.customer_id, grant.domain,
                                 grant.selector, grant.key_id);
        job = bh_job_new(BH_JOB_RESEAL, bh_buf_view(&associated), reseal.sealed);
    }
    bh_buf_free(&associated);
    if (!job) {
        refuse_key(connection, message, "it may not be sealed again");
        return BH_OK;
    }
    job->algorithm = grant.delivery_id == BH_GRANT_DNSSEC ? BH_KEY_P256 : BH_KEY_RSA_OTHER;
    job->connection = connection->number;
    job->request = message->id;
    keyd->jobs_waiting++;
    bh_signer_submit(keyd->signer, job, 1);
    return BH_OK;
}

static uint16_t reply_type(enum bh_job_kind kind)
{
    return kind == BH_JOB_RESEAL   ? BH_MSG_KEY_RESEAL_REPLY
           : kind == BH_JOB_IMPORT ? BH_MSG_KEY_IMPORT_REPLY
                                   : BH_MSG_KEY_GENERATE_REPLY;
}

void keyd_answer_key(struct connection *connection, const struct bh_job *job)
{
    struct bh_buf body = bh_buf_make(1 << 15);
    struct bh_msg_key_reply reply = {
        .ok = job->refused == 0,
        .algorithm = job->algorithm,
        .sealed = bh_buf_view(&job->sealed),
        .public_record = bh_buf_view(&job->record),
        .why = job->refused && job->kind == BH_JOB_RESEAL ? BH_STR("neither secret opens it")
               : job->refused == 2                        ? BH_STR("not a private key that DKIM can use: PEM or DER, "
                                                                                          "RSA of 1024 to 4096 bits or Ed25519, no passphrase")
               : job->refused != 0                        ? BH_STR("the key could not be made")
                                                          : (bh_str){NULL, 0}};

    bh_msg_key_reply_put(&body, &reply);
    keyd_send_body(connection, reply_type(job->kind), job->request, &body);
}
