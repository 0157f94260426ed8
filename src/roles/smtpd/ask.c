/* ask.c: questions of a session to other roles. */
#include "smtpd.h"

enum { CONTROLD_MS = 30 * 1000, QUEUED_MS = 120 * 1000 };

void session_forget_question(struct session *session)
{
    bh_call_cancel(session->call);
    session->call = NULL;
}

/* Each reply that is cached has the version as second field, behind a byte. */
static uint64_t version_of(bh_str reply)
{
    struct bh_cur cur = bh_cur_make(reply);

    (void)bh_cur_u8(&cur);
    return bh_cur_u64(&cur);
}

static void on_reply(void *ctx, bh_err err, struct bh_ipc_message *reply)
{
    struct session *session = ctx;

    session->call = NULL;
    if (!err && reply->body.n && reply->body.p[0]) /* a "no" may be over soon, and guesses must not push out answers */
        bh_cache_put(session->cache, version_of(reply->body), bh_buf_view(&session->key), reply->body);
    session->answered(session, err ? (bh_str){NULL, 0} : reply->body);
    session_resume(session);
}

void session_ask(struct session *session, struct bh_cache *cache, uint16_t type, bh_str key, bh_str body,
                 session_answered *answered)
{
    struct bh_peer *controld = bh_role_any_peer(session->smtpd->role, BH_ROLE_CONTROLD);
    bh_str known = bh_cache_get(cache, key);

    if (known.p) {
        answered(session, known);
        return;
    }
    session->answered = answered;
    session->cache = cache;
    bh_buf_clear(&session->key);
    bh_buf_add(&session->key, key);
    if (bh_buf_err(&session->key) ||
        bh_peer_call(controld, type, body, NULL, 0, CONTROLD_MS, on_reply, session, &session->call)) {
        session->call = NULL;
        answered(session, (bh_str){NULL, 0});
    }
}

void session_ask_queued(struct session *session, uint16_t type, bh_str body, bh_call_done *done)
{
    struct bh_peer *queued = bh_role_any_peer(session->smtpd->role, BH_ROLE_QUEUED);
    bool was_pumping = session->pumping;

    if (!bh_peer_call(queued, type, body, NULL, 0, QUEUED_MS, done, session, &session->call))
        return;
    session->call = NULL;
    session->pumping = true; /* who asked goes on: the answer must not do so, which could free the session */
    done(session, BH_E_CLOSED, NULL);
    session->pumping = was_pumping;
}
