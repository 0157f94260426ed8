/* spf_internal.h: the running check, shared by the files that make it up:
 *
 *   spf_check.c    life cycle: start, questions and answers, the end
 *   spf_eval.c     records and their terms: selection, mechanisms, include, redirect
 *   spf_ptr.c      validated names of the client, for ptr and %{p}
 *   spf_explain.c  exp=
 *
 * A check is a stack of frames (one per include in progress) and a `step` function. The loop in spf_check.c calls the
 * step until the check waits for an answer or is over; an answer is handed to `on_answer` at once, since it lives only
 * then, and what follows from it happens in the loop again. So an answer from memory and one from the network take
 * the same way, and nothing recurses. */
#ifndef BH_AUTH_SPF_INTERNAL_H
#define BH_AUTH_SPF_INTERNAL_H

#include "domain.h"
#include "spf_macro.h"
#include <behalf/spf.h>

struct bh_spf_frame {
    struct bh_spf_frame *parent; /* waits for this one: its current term is the include; NULL at the bottom */
    char *record;                /* the record's text, ours; NULL until it is there */
    struct bh_spf_terms terms;
    struct bh_spf_term term; /* at hand */
    struct bh_spf_term redirect;
    struct bh_spf_term exp; /* kind tells whether there is one: BH_SPF_ALL = none */
    bool is_redirected;
    size_t domain_bytes;
    char domain[]; /* raw, no final dot */
};

struct bh_spf_check {
    struct bh_resolver *resolver;
    struct bh_spf_request request; /* views point into `texts` */
    struct bh_buf texts;
    bh_str local_part;
    bh_str sender_domain;
    bh_spf_done *done;
    void *ctx;

    struct bh_dns_query *query;
    void (*on_answer)(struct bh_spf_check *check, const struct bh_dns_answer *answer);
    void (*step)(struct bh_spf_check *check);
    bool in_loop;
    bool is_waiting;
    bool is_over;
    bool has_result;  /* what is left is the explanation */
    bool wants_names; /* the explanation uses %{p} */

    struct bh_spf_frame *frame;
    unsigned terms;
    unsigned voids;
    unsigned queries;

    struct bh_buf names; /* of an mx, or of the client's PTR: NUL behind each */
    size_t names_at;
    size_t name_at;          /* of the name that was asked for last */
    struct bh_buf validated; /* names of the client that lead back to it, NUL behind each */
    bool validated_known;
    void (*after_validation)(struct bh_spf_check *check);

    enum bh_spf_result result;
    struct bh_buf explanation;
    struct bh_buf reason;
    bh_str mechanism; /* the bottom record's term that matched */
    struct bh_buf trace;
};

/* spf_check.c */

/* Asks; `on_answer` gets exactly one answer, of status TEMPFAIL or BADNAME where no question could be asked. */
void bh_spf_ask(struct bh_spf_check *check, bh_str domain, uint16_t type,
                void (*on_answer)(struct bh_spf_check *check, const struct bh_dns_answer *answer));
/* Adds to the sentence that says why. Texts are cleaned of what could hurt a log or a terminal. */
void bh_spf_add(struct bh_spf_check *check, bh_str text);
void bh_spf_add_number(struct bh_spf_check *check, unsigned number);
/* The verdict is there, and this is why; the check is over. An earlier verdict stays. */
void bh_spf_conclude(struct bh_spf_check *check, enum bh_spf_result result, const char *format, ...) BH_PRINTF(3, 4);
/* One line of the trace. */
void bh_spf_trace(struct bh_spf_check *check, const char *format, ...) BH_PRINTF(2, 3);
/* Counts an answer without records; true when that was one too many and the check is over (RFC 7208 4.6.4). */
bool bh_spf_count_void(struct bh_spf_check *check, const struct bh_dns_answer *answer, bh_str name);
/* Expands a term's target into the name to ask, cut to 253 characters (RFC 7208 7.3). {NULL, 0} when it is too long
 * to be handled at all. The view is valid until `scratch` changes. */
bh_str bh_spf_target(struct bh_spf_check *check, const struct bh_spf_term *term, struct bh_buf *scratch);
void bh_spf_values(const struct bh_spf_check *check, struct bh_spf_macro_values *ret_values);
/* A, or AAAA for an IPv6 client. */
static inline uint16_t bh_spf_address_type(const struct bh_spf_check *check)
{
    return check->request.ip.n == 16 ? BH_DNS_AAAA : BH_DNS_A;
}
/* The next name of `names`, or {NULL, 0}. */
bh_str bh_spf_next_name(struct bh_spf_check *check);
/* TXT rdata (length-prefixed strings) as one text (RFC 7208 3.3), appended. */
void bh_spf_join_txt(bh_str rdata, struct bh_buf *out);

/* spf_eval.c */

/* Puts a new frame on the stack, or in the place of the top one, and goes on with fetching its record. */
void bh_spf_push(struct bh_spf_check *check, bh_str domain, bool is_redirect);
void bh_spf_pop(struct bh_spf_check *check);

/* spf_ptr.c */

/* Finds the validated names (RFC 7208 5.5), once per check, then goes on with `after`. With `count`, a PTR question
 * without answer is a void lookup. */
void bh_spf_validate(struct bh_spf_check *check, void (*after)(struct bh_spf_check *check), bool count);
/* A validated name at or below `domain` exists; for ptr. */
bool bh_spf_has_validated(const struct bh_spf_check *check, bh_str domain);
/* The value of %{p} (RFC 7208 7.3). */
bh_str bh_spf_validated_name(const struct bh_spf_check *check, bh_str domain);

/* spf_explain.c */

/* The step after a fail of the bottom frame that has an exp=. */
void bh_spf_step_explain(struct bh_spf_check *check);

#endif
