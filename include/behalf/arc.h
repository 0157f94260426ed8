/* behalf/arc.h: Authenticated Received Chain, RFC 8617 (Experimental): what each forwarder saw, sealed in sets.
 *
 * A chain that passes says that nobody changed the sets since their sealers wrote them; whether those sealers are
 * to be believed it does not say. Receivers still use it for forwarded mail while the IETF is retiring it, so seal
 * what is forwarded, and never let a chain decide about trust.
 *
 * Works like behalf/dkim.h and on the same engine: header, body in pieces, resolver, call-back. A set is three fields:
 * ARC-Authentication-Results, ARC-Message-Signature (like a DKIM signature), ARC-Seal (over all sets). */
#ifndef BEHALF_ARC_H
#define BEHALF_ARC_H

#include <behalf/dkim.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BH_ARC_MAX_SETS = 50 };

enum bh_arc_result { BH_ARC_NONE, BH_ARC_PASS, BH_ARC_FAIL };

/* "none", "pass", "fail": the words of cv= and of arc= in Authentication-Results. Static. */
BH_API const char *bh_arc_result_text(enum bh_arc_result result);

/* ---- validate (RFC 8617 5.2) ---- */

struct bh_arc_verify;
typedef void bh_arc_verify_done(void *ctx, const struct bh_arc_verify *verify);

/* As bh_dkim_verify_new: the header must outlive it; NULL only when the arena is exhausted. */
BH_API struct bh_arc_verify *bh_arc_verify_new(struct bh_dkim *dkim, struct bh_arena *arena, bh_str header,
                                               bh_time_ms now);
BH_API void bh_arc_verify_body(struct bh_arc_verify *verify, bh_str piece);
/* Asks for at most 51 keys (the last message signature's and each seal's); `done` once, perhaps before it returns. */
BH_API void bh_arc_verify_end(struct bh_arc_verify *verify, struct bh_resolver *resolver, bh_arc_verify_done *done,
                              void *ctx);
BH_API void bh_arc_verify_free(struct bh_arc_verify *verify);

/* The chain's status and, where ret_reason is not NULL, why in words. */
BH_API enum bh_arc_result bh_arc_verify_result(const struct bh_arc_verify *verify, bh_str *ret_reason);
/* The highest instance found, 0 without ARC fields. */
BH_API unsigned bh_arc_verify_sets(const struct bh_arc_verify *verify);
/* True when fail is due to DNS giving no answer: a later attempt may pass. */
BH_API bool bh_arc_verify_temporary(const struct bh_arc_verify *verify);
/* d= of the seal of set `instance` (from 1); empty where there is none. */
BH_API bh_str bh_arc_verify_sealer(const struct bh_arc_verify *verify, unsigned instance);

/* ---- seal (RFC 8617 5.1): prepare_message, sign, prepare_seal, sign ---- */

struct bh_arc_sealing {
    enum bh_arc_result status;      /* of the chain as it arrived */
    bh_str auth_results;            /* "authserv-id; method=result …": what goes behind "i=N;" */
    struct bh_dkim_signing message; /* for the message signature; the seal takes its domain, selector, key, time */
};

/* The names to sign: bh_dkim_default_names and the DKIM-Signature fields. */
BH_API BH_MUST bh_err bh_arc_default_names(bh_str header, bh_str *names, size_t max, size_t *ret_count);

/* The first field (with CRLF), and the message signature to be signed. BH_E_INVALID when the last seal says cv=fail
 * (such a chain ends) or the request is none that verifiers accept, BH_E_LIMIT for 50 sets, BH_E_NOMEM. */
BH_API BH_MUST bh_err bh_arc_prepare_message(struct bh_dkim *dkim, struct bh_arena *arena, bh_str header,
                                             const struct bh_arc_sealing *sealing, bh_str *ret_results_field,
                                             struct bh_dkim_unsigned *ret_message);
/* The seal to be signed, given the two finished fields. With status fail it covers its own set alone (5.1.2). Finish
 * with bh_dkim_finish; then seal, message signature, results go before the message in this order. */
BH_API BH_MUST bh_err bh_arc_prepare_seal(struct bh_dkim *dkim, struct bh_arena *arena, bh_str header,
                                          const struct bh_arc_sealing *sealing, bh_str results_field,
                                          bh_str message_field, struct bh_dkim_unsigned *ret_seal);

#ifdef __cplusplus
}
#endif
#endif
