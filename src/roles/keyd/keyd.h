/* keyd.h: keyd's process: what main.c and requests.c share. */
#ifndef BH_KEYD_KEYD_H
#define BH_KEYD_KEYD_H

#include "base/clock.h"
#include "base/log.h"
#include "io/ipc.h"
#include "io/sandbox.h"
#include "mail/verp.h"
#include "revoked.h"
#include "roles/config.h"
#include "roles/grant.h"
#include "signer.h"

enum {
    MASTER_FD = 3,
    CONNECTIONS_MAX = 256,
    COOKIE_WINDOW_S = 86400,
    IMPORT_MAX = BH_JOB_OBJECT_MAX,
    TICK_MS = 60 * 1000,
    ITEMS_MAX = 8,   /* in one SIGN */
    JOBS_MAX = 65536 /* waiting; a sender never has more than its connections */
};

struct keyd;

struct connection {
    struct keyd *keyd;
    uint64_t number; /* never used twice, so a late signature finds no stranger */
    enum bh_role_kind kind;
    uint32_t instance;
    bool open, said_hello;
    struct bh_ipc ipc;
};

struct keyd {
    struct bh_log log;
    struct connection connections[CONNECTIONS_MAX]; /* [0] is master */
    uint64_t next_number;
    struct bh_config *config;
    struct bh_secrets secrets;
    struct bh_vault vault;
    bh_time_ms forget_old_at; /* dropped from the file; what is under way may need it until then. 0: no such time */
    bool has_secret, started, ending;
    struct bh_signer *signer;
    int wake_fd;
    size_t jobs_waiting;
    uint8_t queued_grant_keys[2][BH_VAULT_KEY_BYTES], controld_grant_keys[2][BH_VAULT_KEY_BYTES]; /* and the old */
    uint16_t told_period;
    uint32_t told_cookies; /* window of cookie secrets */
    struct bh_revoked revoked;
};

void keyd_answer_signature(struct connection *connection, const struct bh_job *job, struct bh_buf *items);
void keyd_reply_signatures(struct connection *connection, uint32_t request, struct bh_buf *items);
bh_err keyd_handle_sign(struct connection *connection, const struct bh_ipc_message *message);
bh_err keyd_handle_revoked(struct connection *connection, const struct bh_ipc_message *message);
bh_err keyd_handle_zone_sign(struct connection *connection, const struct bh_ipc_message *message);
void keyd_answer_zone_sign(struct connection *connection, const struct bh_job *job);
bh_err keyd_handle_key(struct connection *connection, struct bh_ipc_message *message);
bh_err keyd_handle_reseal(struct connection *connection, const struct bh_ipc_message *message);
void keyd_answer_key(struct connection *connection, const struct bh_job *job);
void keyd_send_body(struct connection *connection, uint16_t type, uint32_t id, struct bh_buf *body);

#endif
