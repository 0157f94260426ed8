/* lookup.c: answers that let mail in and out. Each carries the version under which it may be cached.
 *
 * May a customer send in a name? mail/identity.h decides; here the facts are gathered: the customer's domains that open
 * the name, what the last check proved about each, and the DMARC records that it saw. The same for submission and, with
 * the keys, for each departure. */
#include "core.h"
#include "mail/identity.h"
#include "mail/tls_policy.h"
#include "store/tls_level.h"

enum { CANDIDATES_MAX = 16 };

/* ---- who is it ---- */

void bh_lookup_login(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_login *ask,
                     struct bh_msg_login_reply *ret_reply)
{
    struct bh_credential credential;
    bh_err err = bh_credential_by_username(core->store, arena, ask->username, &credential);

    *ret_reply = (struct bh_msg_login_reply){.version = core->version, .customer = BH_STR(""), .why = BH_STR("")};
    if (err == BH_E_NOT_FOUND)
        ret_reply->why = BH_STR("no such user");
    else if (err)
        ret_reply->why = bh_str_c(bh_err_text(err));
    else if (!bh_str_eq_secret(credential.secret_hash, ask->secret_hash))
        ret_reply->why = BH_STR("wrong password");
    else if (credential.revoked_at)
        ret_reply->why = BH_STR("credential is revoked");
    else
        *ret_reply = (struct bh_msg_login_reply){.ok = 1,
                                                 .version = core->version,
                                                 .customer_id = (uint32_t)credential.customer_id,
                                                 .credential_id = (uint64_t)credential.id,
                                                 .customer = credential.customer,
                                                 .why = BH_STR("")};
}

void bh_lookup_token(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_token *ask,
                     struct bh_msg_token_reply *ret_reply)
{
    struct bh_api_token token;
    bh_err err = bh_api_token_by_hash(core->store, arena, ask->secret_hash, &token);

    *ret_reply = (struct bh_msg_token_reply){
        .version = core->version, .customer = BH_STR(""), .addresses = BH_STR(""), .why = BH_STR("")};
    if (err == BH_E_NOT_FOUND)
        ret_reply->why = BH_STR("no such token");
    else if (err)
        ret_reply->why = bh_str_c(bh_err_text(err));
    else if (token.revoked_at)
        ret_reply->why = BH_STR("token is revoked");
    else
        *ret_reply = (struct bh_msg_token_reply){.ok = 1,
                                                 .version = core->version,
                                                 .token_id = (uint64_t)token.id,
                                                 .customer_id = (uint32_t)token.customer_id,
                                                 .customer = token.customer,
                                                 .scopes = token.scopes,
                                                 .addresses = token.addresses,
                                                 .rate = (uint32_t)token.rate,
                                                 .why = BH_STR("")};
}

void bh_lookup_customer(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_customer *ask,
                        struct bh_msg_login_reply *ret_reply)
{
    struct bh_customer customer;
    bh_err err = bh_customer_by_name(core->store, arena, ask->name, &customer);

    *ret_reply = (struct bh_msg_login_reply){.version = core->version, .customer = BH_STR(""), .why = BH_STR("")};
    if (err) {
        ret_reply->why = err == BH_E_NOT_FOUND ? BH_STR("no such customer") : bh_str_c(bh_err_text(err));
        return;
    }
    ret_reply->ok = 1;
    ret_reply->customer_id = (uint32_t)customer.id;
    ret_reply->customer = customer.name;
}

/* A name of the platform, of customer 0, or a delegated zone: their mail comes to us. */
static bool is_ours(struct bh_controld *core, struct bh_arena *arena, bh_str name, int64_t *ret_customer)
{
    struct bh_domain domain;

    *ret_customer = 0;
    if (bh_str_is_at_or_below(name, core->platform.domain))
        return true;
    if (bh_domain_by_name(core->store, arena, name, 0, &domain) || domain.approach != BH_APPROACH_DELEGATION)
        return false;
    *ret_customer = domain.customer_id;
    return true;
}

void bh_lookup_bounce_domain(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_bounce_domain *ask,
                             struct bh_msg_bounce_domain_reply *ret_reply)
{
    int64_t domain, customer;
    bh_str name = bh_str_lower(arena, ask->domain);

    *ret_reply = (struct bh_msg_bounce_domain_reply){.version = core->version};
    if (name.p && !bh_bounce_domain_owner(core->store, name, &domain, &customer)) {
        ret_reply->ours = 1;
        ret_reply->customer_id = (uint32_t)customer;
    } else if (name.p && is_ours(core, arena, name, &customer)) {
        ret_reply->ours = 1;
        ret_reply->customer_id = (uint32_t)customer;
    }
}

/* ---- may it send ---- */

struct gathered {
    struct bh_controld *core;
    struct bh_arena *arena;
    bool with_keys;
    struct bh_send_domain domains[CANDIDATES_MAX];
    struct bh_domain_view views[CANDIDATES_MAX];
    bh_str sources[CANDIDATES_MAX]; /* with keys only: where its mail may leave from */
    size_t count;
};

/* In a delegated zone we publish the records ourselves: no check need have seen them. */
static void add_own_policy(struct gathered *gathered, const struct bh_domain *domain, struct bh_policy_list *policies)
{
    if (bh_domain_has_zone(domain))
        bh_policy_list_add(policies, domain->name, bh_dmarc_record(gathered->arena, &gathered->core->platform, domain));
}

/* From where its mail may leave now. Where the owner's own record decides about SPF and passes none of our addresses,
 * DKIM has to carry it alone, and any address will do. */
static bh_err find_sources(struct gathered *gathered, const struct bh_domain *domain, struct bh_send_domain *sender)
{
    struct bh_controld *core = gathered->core;
    bh_str *sources = &gathered->sources[gathered->count];
    bh_err err = bh_egress_sources(core, gathered->arena, domain, !sender->mail_from_is_ours, sources);

    if (err || sources->n || sender->mail_from_is_ours)
        return err;
    sender->proven &= ~BH_MECH_SPF & BH_MECH_BOTH;
    return bh_egress_sources(core, gathered->arena, domain, false, sources);
}

static bh_err gather_one(struct gathered *gathered, int64_t id)
{
    struct bh_domain_view *view = &gathered->views[gathered->count];
    struct bh_policy_list policies = {.arena = gathered->arena};
    struct bh_planned_identity planned;
    bh_err err = gathered->with_keys ? bh_controld_view(gathered->core, gathered->arena, id, true, view)
                                     : bh_domain_by_id(gathered->core->store, gathered->arena, id, &view->domain);

    if (!err)
        err = bh_planned_identity(gathered->arena, &gathered->core->platform, view, &planned);
    if (err)
        return err;
    add_own_policy(gathered, &view->domain, &policies);
    err = bh_domain_policy_list(gathered->core->store, id, bh_policy_list_add, &policies);
    if (err)
        return err;
    gathered->domains[gathered->count] = bh_send_domain_of(&view->domain, &planned, policies.list, policies.count);
    if (gathered->with_keys)
        err = find_sources(gathered, &view->domain, &gathered->domains[gathered->count]);
    gathered->count++;
    return err;
}

static bh_err gather(struct gathered *gathered, int64_t customer, bh_str from)
{
    int64_t ids[CANDIDATES_MAX];
    size_t count = 0;
    bh_err err = bh_domains_for_from(gathered->core->store, customer, from, CANDIDATES_MAX, ids, &count);

    if (!err && !count) /* none opens it: those below it make the refusal say why */
        err = bh_domains_below(gathered->core->store, customer, from, CANDIDATES_MAX, ids, &count);
    for (size_t i = 0; !err && i < count; i++)
        err = gather_one(gathered, ids[i]);
    return err;
}

static bh_err decide(struct gathered *gathered, int64_t customer, bh_str from, enum bh_identity_moment moment,
                     struct bh_identity *ret_identity)
{
    struct bh_identity_request request = {
        .header_from = from, .domains = gathered->domains, .suffixes = gathered->core->suffixes, .moment = moment};
    bh_err err = gather(gathered, customer, from);

    if (err)
        return err;
    request.domain_count = gathered->count;
    bh_identity_decide(gathered->arena, &request, ret_identity);
    return BH_OK;
}

void bh_lookup_may_send(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_may_send *ask,
                        struct bh_msg_may_send_reply *ret_reply)
{
    struct gathered *gathered = bh_arena_alloc(arena, sizeof(*gathered));
    struct bh_identity identity;
    bh_err err = BH_E_NOMEM;

    *ret_reply = (struct bh_msg_may_send_reply){.version = core->version,
                                                .code = 451,
                                                .enhanced = BH_STR("4.3.0"),
                                                .reason = BH_STR("cannot look up the sending domain"),
                                                .fix = BH_STR("try again")};
    if (gathered) {
        *gathered = (struct gathered){.core = core, .arena = arena};
        err = decide(gathered, ask->customer_id, bh_str_lower(arena, ask->from_domain), BH_AT_SUBMISSION, &identity);
    }
    if (err || identity.rule == BH_IDENTITY_NOMEM)
        return;
    ret_reply->allowed = bh_identity_allows(&identity);
    ret_reply->domain_id = identity.domain ? (uint32_t)identity.domain->id : 0;
    ret_reply->code = identity.code;
    ret_reply->enhanced = bh_str_c(identity.enhanced);
    ret_reply->reason = identity.reason;
    ret_reply->fix = identity.fix;
}

/* ---- under what names and keys does it leave ---- */

/* Every active key signs: RSA always, Ed25519 beside it where there is one. */
static bh_str active_keys(struct bh_arena *arena, const struct bh_domain_view *view, bh_str dkim_domain)
{
    struct bh_buf list = bh_buf_make(1 << 16);
    bh_str copy;

    for (size_t i = 0; i < view->key_count; i++) {
        const struct bh_key *key = &view->keys[i];
        struct bh_rec_sealed_key record = {.key_id = (uint64_t)key->id,
                                           .algorithm = (uint8_t)key->kind,
                                           .selector = key->selector,
                                           .domain = dkim_domain,
                                           .sealed = key->sealed,
                                           .grant = {"", 0}};

        if (key->state == BH_KEY_ACTIVE)
            bh_rec_sealed_key_put(&list, &record);
    }
    copy = bh_buf_err(&list) ? (bh_str){NULL, 0} : bh_arena_dup(arena, bh_buf_view(&list));
    bh_buf_free(&list);
    return copy;
}

static void allow(struct gathered *gathered, const struct bh_identity *identity, struct bh_msg_identity_reply *reply)
{
    size_t at = (size_t)(identity->domain - gathered->domains);
    const struct bh_domain_view *view = &gathered->views[at];
    bh_str keys = active_keys(gathered->arena, view, identity->dkim_domain);

    if (keys.p && view->key_count && !bh_view_active_key(view)) {
        reply->enhanced = BH_STR("4.7.5");
        reply->reason = BH_STR("the DKIM key was revoked, and the next one is not ready yet");
        return;
    }
    if (!keys.p)
        return;
    if (!gathered->sources[at].n) {
        reply->enhanced = BH_STR("4.3.5");
        reply->reason = BH_STR("no egress address of its pool is in SPF everywhere yet");
        return;
    }
    reply->allowed = 1;
    reply->sources = gathered->sources[at];
    reply->bounce_domain = identity->mail_from_domain;
    reply->keys = keys;
    reply->enhanced = BH_STR("");
    reply->reason = BH_STR("");
}

/* A domain that is held waits: the queue's expiry, or the suspension after the grace period, ends it. */
static bool is_permanent(const struct bh_identity *identity)
{
    return identity->code >= 500 && identity->rule != BH_IDENTITY_WAIT && identity->rule != BH_IDENTITY_HELD;
}

/* The domain under which the message was accepted is gone since. */
static void say_removed(struct bh_controld *core, struct bh_arena *arena, int64_t id, struct bh_identity *identity)
{
    struct bh_domain domain;
    bool holds_zone;
    bh_time_ms until;
    bh_str text;

    if (bh_domain_removed_by_id(core->store, arena, id, &domain, &holds_zone, &until))
        return;
    text = bh_arena_printf(arena, "sending domain %.*s was removed while the message waited", BH_FMT(domain.name));
    if (text.p)
        identity->reason = text;
}

/* 0 is ourselves: the platform's own customer. */
static bh_err customer_of(struct bh_controld *core, struct bh_arena *arena, uint32_t asked, int64_t *ret_customer)
{
    struct bh_domain own;
    bh_err err = BH_OK;

    *ret_customer = asked;
    if (!asked)
        err = bh_domain_by_name(core->store, arena, core->platform.domain, 0, &own);
    if (!asked && !err)
        *ret_customer = own.customer_id;
    return err;
}

/* What the customer and the domain ask for, the stricter of both. */
static uint8_t tls_level(struct bh_controld *core, int64_t customer, int64_t domain)
{
    int64_t level = 0;

    if (bh_tls_level_of(core->store, customer, domain, &level)) /* the store fails: mail waits rather than be weaker */
        level = BH_TLS_LEVEL_VERIFIED;
    return (uint8_t)level;
}

void bh_lookup_identity(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_identity *ask,
                        struct bh_msg_identity_reply *ret_reply)
{
    struct gathered *gathered = bh_arena_alloc(arena, sizeof(*gathered));
    struct bh_identity identity;
    int64_t customer = 0;
    bh_err err = BH_E_NOMEM;

    *ret_reply = (struct bh_msg_identity_reply){.version = core->version,
                                                .bounce_domain = BH_STR(""),
                                                .helo = BH_STR(""),
                                                .keys = BH_STR(""),
                                                .sources = BH_STR(""),
                                                .enhanced = BH_STR("4.3.0"),
                                                .reason = BH_STR("cannot look up the sending domain")};
    if (gathered) {
        *gathered = (struct gathered){.core = core, .arena = arena, .with_keys = true};
        err = customer_of(core, arena, ask->customer_id, &customer);
    }
    if (!err)
        err = decide(gathered, customer, bh_str_lower(arena, ask->from_domain), BH_AT_DEPARTURE, &identity);
    if (err || identity.rule == BH_IDENTITY_NOMEM)
        return;
    if (identity.rule == BH_IDENTITY_OK && identity.domain) {
        allow(gathered, &identity, ret_reply);
        ret_reply->customer_id = (uint32_t)customer;
        ret_reply->tls = tls_level(core, customer, identity.domain->id);
        return;
    }
    if (identity.rule == BH_IDENTITY_NO_DOMAIN)
        say_removed(core, arena, ask->domain_id, &identity);
    ret_reply->permanent = is_permanent(&identity);
    ret_reply->held = identity.rule == BH_IDENTITY_WAIT;
    ret_reply->enhanced = bh_str_c(identity.enhanced);
    ret_reply->reason = identity.reason;
}
