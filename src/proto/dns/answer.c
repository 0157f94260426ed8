/* From a query to its response. The order of things is that of RFC 1034 4.3.2 with the wildcard rules of RFC 4592:
 *
 *   parse ─▶ header checks ─▶ zone of the name ─▶ node ─▶ ┬ at or below a cut: referral
 *                              ▲                          ├ CNAME: add it, take its target as the name, again ┐
 *                              └──────────────────────────┴──────────────────────────────────────────────────┘
 *                                                         ├ RRset: add it         ─▶ additional addresses ─▶ OPT
 *                                                         ├ no such type: NODATA, SOA
 *                                                         └ no such name: NXDOMAIN, SOA
 *
 * An RRset is written whole or not at all. When one that the client needs does not fit, all sections are emptied and TC
 * is set; an optional one is left out. Room for OPT is reserved from the start. */
#include "answer.h"
#include "denial.h"
#include "respond.h"

/* ---- writing RRsets ---- */

static bool put_records(struct bh_dns_respond *respond, enum bh_dns_section section, bh_str owner,
                        const struct bh_dns_zone *zone, const struct bh_dns_rrset *rrset, uint32_t ttl_s)
{
    uint32_t at = rrset->at;

    for (unsigned i = 0; i < rrset->count && !respond->writer.full; i++)
        bh_dns_writer_record(&respond->writer, section, owner, rrset->type, BH_DNS_CLASS_IN, ttl_s,
                             bh_dns_rrset_next(zone, &at));
    return !respond->writer.full;
}

/* The signatures that cover `type` (the first two bytes of an RRSIG). */
static bool put_signatures(struct bh_dns_respond *respond, enum bh_dns_section section, bh_str owner,
                           const struct bh_dns_zone *zone, const struct bh_dns_node *node, uint16_t type,
                           uint32_t ttl_s)
{
    const struct bh_dns_rrset *rrset = bh_dns_node_rrset(zone, node, BH_DNS_RRSIG);
    uint32_t at = rrset ? rrset->at : 0;

    for (unsigned i = 0; rrset && i < rrset->count && !respond->writer.full; i++) {
        bh_str rdata = bh_dns_rrset_next(zone, &at);
        unsigned covered = (unsigned)(unsigned char)rdata.p[0] << 8 | (unsigned char)rdata.p[1];

        if (covered == type)
            bh_dns_writer_record(&respond->writer, section, owner, BH_DNS_RRSIG, BH_DNS_CLASS_IN, ttl_s, rdata);
    }
    return !respond->writer.full;
}

bool bh_dns_respond_rrset(struct bh_dns_respond *respond, enum bh_dns_section section, bh_str owner,
                          const struct bh_dns_zone *zone, const struct bh_dns_node *node,
                          const struct bh_dns_rrset *rrset, uint32_t ttl_max_s)
{
    struct bh_dns_writer_mark mark = bh_dns_writer_mark(&respond->writer);
    uint32_t ttl_s = rrset->ttl_s < ttl_max_s ? rrset->ttl_s : ttl_max_s;

    if (put_records(respond, section, owner, zone, rrset, ttl_s) &&
        (!respond->dnssec || rrset->type == BH_DNS_RRSIG ||
         put_signatures(respond, section, owner, zone, node, rrset->type, ttl_s)))
        return true;
    bh_dns_writer_rewind(&respond->writer, &mark);
    if (section != BH_DNS_ADDITIONAL)
        respond->truncated = true;
    return false;
}

/* ---- additional section ---- */

/* Remembers an RRset whose targets' addresses go into the additional section. */
static void want_additional(struct bh_dns_respond *respond, const struct bh_dns_zone *zone,
                            const struct bh_dns_rrset *rrset, bh_str cut)
{
    if (rrset->type != BH_DNS_NS && rrset->type != BH_DNS_MX && rrset->type != BH_DNS_SRV)
        return;
    if (respond->wanted < BH_DNS_WANTED_MAX)
        respond->want[respond->wanted++] = (struct bh_dns_want){zone, rrset, cut};
}

static bh_str target_of(uint16_t type, bh_str rdata)
{
    return bh_str_skip(rdata, type == BH_DNS_MX ? 2 : type == BH_DNS_SRV ? 6 : 0);
}

static bool was_added(struct bh_dns_respond *respond, bh_str target)
{
    for (unsigned i = 0; i < respond->targets; i++)
        if (bh_dns_name_eq(respond->target[i], target))
            return true;
    if (respond->targets == BH_DNS_TARGETS_MAX)
        return true;
    respond->target[respond->targets++] = target;
    return false;
}

/* The addresses of one target. Glue of a delegation that lies below that delegation is not optional (RFC 9471). */
static void add_target(struct bh_dns_respond *respond, const struct bh_dns_want *want, bh_str target)
{
    static const uint16_t types[] = {BH_DNS_A, BH_DNS_AAAA};
    struct bh_dns_zone_match match;

    if (!bh_dns_name_is_at_or_below(target, bh_dns_zone_name(want->zone)) || was_added(respond, target))
        return;
    bh_dns_zone_find(want->zone, target, &match);
    if (!match.node)
        return;
    for (size_t i = 0; i < 2; i++) {
        const struct bh_dns_rrset *rrset = bh_dns_node_rrset(want->zone, match.node, types[i]);

        if (!rrset ||
            bh_dns_respond_rrset(respond, BH_DNS_ADDITIONAL, target, want->zone, match.node, rrset, UINT32_MAX))
            continue;
        if (want->cut.n && bh_dns_name_is_at_or_below(target, want->cut))
            respond->truncated = true;
    }
}

static void add_additional(struct bh_dns_respond *respond)
{
    for (unsigned i = 0; i < respond->wanted && !respond->truncated; i++) {
        const struct bh_dns_want *want = &respond->want[i];
        uint32_t at = want->rrset->at;

        if (respond->options->minimal && !want->cut.n)
            continue;
        for (unsigned j = 0; j < want->rrset->count; j++)
            add_target(respond, want, target_of(want->rrset->type, bh_dns_rrset_next(want->zone, &at)));
    }
}

/* ---- the kinds of answer ---- */

static void add_soa(struct bh_dns_respond *respond, const struct bh_dns_zone *zone)
{
    const struct bh_dns_rrset *soa = bh_dns_node_rrset(zone, zone->node, BH_DNS_SOA);

    (void)bh_dns_respond_rrset(respond, BH_DNS_AUTHORITY, bh_dns_zone_name(zone), zone, zone->node, soa,
                               zone->negative_ttl_s);
}

static void answer_referral(struct bh_dns_respond *respond, const struct bh_dns_zone *zone,
                            const struct bh_dns_node *cut)
{
    const struct bh_dns_rrset *ns = bh_dns_node_rrset(zone, cut, BH_DNS_NS);
    bh_str owner = bh_dns_node_name(zone, cut);

    respond->outcome->class = BH_DNS_OUTCOME_REFERRAL;
    if (respond->chain == 0)
        respond->flags &= (uint16_t)~BH_DNS_AA;
    (void)bh_dns_respond_rrset(respond, BH_DNS_AUTHORITY, owner, zone, cut, ns, UINT32_MAX);
    want_additional(respond, zone, ns, owner);
    if (respond->dnssec)
        bh_dns_denial_referral(respond, zone, cut);
}

static void answer_nxdomain(struct bh_dns_respond *respond, const struct bh_dns_zone *zone, bh_str name,
                            const struct bh_dns_zone_match *match)
{
    respond->outcome->class = BH_DNS_OUTCOME_NXDOMAIN;
    respond->rcode = BH_DNS_RCODE_NXDOMAIN;
    add_soa(respond, zone);
    if (respond->dnssec)
        bh_dns_denial_nxdomain(respond, zone, name, match);
}

static void answer_nodata(struct bh_dns_respond *respond, const struct bh_dns_zone *zone, bh_str name,
                          const struct bh_dns_zone_match *match)
{
    respond->outcome->class = BH_DNS_OUTCOME_NODATA;
    add_soa(respond, zone);
    if (respond->dnssec)
        bh_dns_denial_nodata(respond, zone, name, match);
}

static void answer_rrset(struct bh_dns_respond *respond, const struct bh_dns_zone *zone, bh_str name,
                         const struct bh_dns_zone_match *match, const struct bh_dns_rrset *rrset)
{
    respond->outcome->class = match->wildcard ? BH_DNS_OUTCOME_WILDCARD : BH_DNS_OUTCOME_POSITIVE;
    (void)bh_dns_respond_rrset(respond, BH_DNS_ANSWER, name, zone, match->node, rrset, UINT32_MAX);
    want_additional(respond, zone, rrset, (bh_str){NULL, 0});
    if (respond->dnssec && match->wildcard)
        bh_dns_denial_wildcard(respond, zone, name);
}

/* ---- the walk ---- */

static bool follows_cname(uint16_t type)
{
    return type != BH_DNS_CNAME && type != BH_DNS_ANY && type != BH_DNS_RRSIG && type != BH_DNS_NSEC;
}

/* The RRset for the question's type. ANY gets one RRset (RFC 8482 4.1): the first that is not a signature. */
static const struct bh_dns_rrset *rrset_for(const struct bh_dns_zone *zone, const struct bh_dns_node *node,
                                            uint16_t type)
{
    if (type != BH_DNS_ANY)
        return bh_dns_node_rrset(zone, node, type);
    for (unsigned i = 0; i < node->rrsets; i++) {
        const struct bh_dns_rrset *rrset = &zone->rrset[node->rrsets_at + i];

        if (rrset->type != BH_DNS_RRSIG && rrset->type != BH_DNS_NSEC)
            return rrset;
    }
    return NULL;
}

static bool seen_before(struct bh_dns_respond *respond, bh_str name)
{
    for (unsigned i = 0; i < respond->chain; i++)
        if (bh_dns_name_eq(respond->link[i], name))
            return true;
    return false;
}

/* Adds the CNAME of `name` and returns its target; empty when the walk ends here. */
static bh_str answer_cname(struct bh_dns_respond *respond, const struct bh_dns_zone *zone, bh_str name,
                           const struct bh_dns_zone_match *match, const struct bh_dns_rrset *cname)
{
    uint32_t at = cname->at;
    bh_str target = bh_dns_rrset_next(zone, &at);

    answer_rrset(respond, zone, name, match, cname);
    respond->link[respond->chain++] = name;
    if (respond->truncated || respond->chain == BH_DNS_CHAIN_MAX || seen_before(respond, target))
        return (bh_str){NULL, 0};
    return target;
}

/* The zone that answers: for DS at an apex it is the parent's, if we have it (RFC 4035 3.1.4.1). */
static const struct bh_dns_zone *zone_for(const struct bh_dns_respond *respond, bh_str name,
                                          const struct bh_dns_name_hashes *hashes)
{
    const struct bh_dns_zone *zone = bh_dns_zones_find(respond->zones, name, hashes, 0), *above;

    if (!zone || respond->query.type != BH_DNS_DS || bh_dns_zone_name(zone).n != name.n || hashes->labels == 0)
        return zone;
    above = bh_dns_zones_find(respond->zones, name, hashes, 1);
    return above ? above : zone;
}

/* One step: answers for `name`, or returns the name to go on with. */
static bh_str answer_name(struct bh_dns_respond *respond, bh_str name)
{
    const bh_str none = {NULL, 0};
    uint16_t type = respond->query.type;
    const struct bh_dns_rrset *rrset;
    struct bh_dns_name_hashes hashes;
    struct bh_dns_zone_match match;
    const struct bh_dns_zone *zone;

    bh_dns_name_hashes(name, bh_dns_zones_seed(respond->zones), &hashes);
    zone = zone_for(respond, name, &hashes);
    if (respond->chain == 0) {
        respond->outcome->zone = zone;
        respond->outcome->name_hash = hashes.hash[0];
    }
    if (!zone) { /* outside of all our zones: the client goes on alone */
        respond->rcode = respond->chain ? BH_DNS_RCODE_NOERROR : BH_DNS_RCODE_REFUSED;
        return none;
    }
    respond->flags |= BH_DNS_AA;
    bh_dns_zone_find_hashed(zone, name, &hashes, &match);
    if (match.cut && !(type == BH_DNS_DS && match.cut == match.node))
        answer_referral(respond, zone, match.cut);
    else if (!match.node)
        answer_nxdomain(respond, zone, name, &match);
    else if (follows_cname(type) && (rrset = bh_dns_node_rrset(zone, match.node, BH_DNS_CNAME)) != NULL)
        return answer_cname(respond, zone, name, &match, rrset);
    else if ((rrset = rrset_for(zone, match.node, type)) != NULL)
        answer_rrset(respond, zone, name, &match, rrset);
    else
        answer_nodata(respond, zone, name, &match);
    return none;
}

static void answer_question(struct bh_dns_respond *respond)
{
    bh_str name = bh_dns_name_view(&respond->query.name);

    respond->outcome->class = BH_DNS_OUTCOME_REFUSED;
    while (name.n && !respond->truncated)
        name = answer_name(respond, name);
    if (!respond->truncated)
        add_additional(respond);
}

/* ---- the frame ---- */

/* The rcode that a query gets before its name is looked at; NOERROR: go on. */
static unsigned check_query(const struct bh_dns_respond *respond, bh_err parsed)
{
    const struct bh_dns_message *query = &respond->query;

    if (bh_dns_message_opcode(query) != BH_DNS_OPCODE_QUERY)
        return BH_DNS_RCODE_NOTIMP;
    if (parsed || respond->outcome->cookie == BH_DNS_COOKIE_MALFORMED)
        return BH_DNS_RCODE_FORMERR;
    if (query->edns.present && query->edns.version > 0)
        return BH_DNS_RCODE_BADVERS;
    if (query->counts[BH_DNS_QUESTION] == 0 && respond->options_n)
        return BH_DNS_RCODE_NOERROR; /* only a cookie is wanted (RFC 7873 5.4) */
    if (query->counts[BH_DNS_QUESTION] != 1)
        return BH_DNS_RCODE_FORMERR;
    if (query->klass != BH_DNS_CLASS_IN && query->klass != BH_DNS_CLASS_ANY)
        return BH_DNS_RCODE_REFUSED;
    if (query->type == BH_DNS_AXFR && respond->client->transport == BH_DNS_UDP) /* RFC 5936 4.2 */
        return BH_DNS_RCODE_NOTIMP;
    if (query->type == BH_DNS_AXFR || query->type == BH_DNS_IXFR)
        return BH_DNS_RCODE_REFUSED;
    if (query->type == 0 || query->type == BH_DNS_OPT || query->type == BH_DNS_TSIG)
        return BH_DNS_RCODE_FORMERR;
    return BH_DNS_RCODE_NOERROR;
}

/* The client's cookie and our answer to it. */
static void take_cookie(struct bh_dns_respond *respond)
{
    const struct bh_dns_cookie_secrets *secrets = respond->options->cookies;
    bh_str option = bh_dns_edns_option(&respond->query.edns, BH_DNS_OPTION_COOKIE);
    enum bh_dns_cookie_state state;

    if (!secrets || !secrets->count || !option.p)
        return;
    state = bh_dns_cookie_check(secrets, option, respond->client->address, respond->client->now_s,
                                respond->options_out + 4);
    respond->outcome->cookie = state;
    if (state != BH_DNS_COOKIE_UNKNOWN && state != BH_DNS_COOKIE_VALID)
        return;
    memcpy(respond->options_out, "\0\x0a\0\x18", 4);
    respond->options_n = sizeof respond->options_out;
}

static size_t opt_bytes(const struct bh_dns_respond *respond)
{
    return respond->query.edns.present ? BH_DNS_OPT_BYTES + respond->options_n : 0;
}

static size_t response_limit(const struct bh_dns_respond *respond, size_t cap)
{
    size_t limit = BH_DNS_UDP_PLAIN_MAX;

    if (respond->client->transport == BH_DNS_TCP)
        limit = BH_DNS_MESSAGE_MAX;
    else if (respond->query.edns.present && respond->query.edns.udp_size > limit)
        limit = respond->query.edns.udp_size < respond->options->udp_max ? respond->query.edns.udp_size
                                                                         : respond->options->udp_max;
    limit = limit < cap ? limit : cap;
    return limit - opt_bytes(respond);
}

/* The question goes back as it came, letter case included; not where it could not be read. */
static void echo_question(struct bh_dns_respond *respond, bh_err parsed)
{
    if (respond->query.counts[BH_DNS_QUESTION] == 1 && (!parsed || respond->query.records_at > BH_DNS_HEADER_BYTES))
        bh_dns_writer_question(&respond->writer, bh_dns_name_view(&respond->query.name), respond->query.type,
                               respond->query.klass);
}

static size_t finish(struct bh_dns_respond *respond, const struct bh_dns_writer_mark *empty)
{
    const struct bh_dns_message *query = &respond->query;

    if (respond->truncated) {
        bh_dns_writer_rewind(&respond->writer, empty);
        respond->flags |= BH_DNS_TC;
    }
    if (query->edns.present) {
        respond->writer.max += opt_bytes(respond);
        bh_dns_writer_opt(&respond->writer, respond->options->udp_max, respond->rcode, query->edns.dnssec_ok,
                          (bh_str){(const char *)respond->options_out, respond->options_n});
    }
    respond->outcome->rcode = respond->rcode;
    respond->outcome->truncated = respond->truncated;
    return bh_dns_writer_end(&respond->writer, query->id,
                             (uint16_t)(respond->flags | BH_DNS_QR | (query->flags & (BH_DNS_OPCODE | BH_DNS_RD)) |
                                        (respond->rcode & BH_DNS_RCODE)));
}

static enum bh_dns_special special_of(const struct bh_dns_message *query, bh_err parsed)
{
    if (parsed || query->counts[BH_DNS_QUESTION] != 1)
        return BH_DNS_SPECIAL_NONE;
    if (query->tsig_at)
        return BH_DNS_SPECIAL_TSIG;
    if (bh_dns_message_opcode(query) == BH_DNS_OPCODE_QUERY &&
        (query->type == BH_DNS_AXFR || query->type == BH_DNS_IXFR))
        return BH_DNS_SPECIAL_TRANSFER;
    return BH_DNS_SPECIAL_NONE;
}

size_t bh_dns_answer(const struct bh_dns_zones *zones, const struct bh_dns_answer_options *options,
                     const struct bh_dns_client *client, bh_str query, void *out, size_t cap,
                     struct bh_dns_outcome *ret_outcome)
{
    struct bh_dns_respond respond;
    struct bh_dns_writer_mark empty;
    bh_err parsed = bh_dns_message_parse(query, &respond.query);

    *ret_outcome = (struct bh_dns_outcome){.class = BH_DNS_OUTCOME_DROPPED};
    if (query.n < BH_DNS_HEADER_BYTES)
        return 0;
    if (respond.query.flags & BH_DNS_QR) {
        ret_outcome->special = parsed ? BH_DNS_SPECIAL_NONE : BH_DNS_SPECIAL_RESPONSE;
        return 0;
    }
    ret_outcome->special = special_of(&respond.query, parsed);
    bh_dns_respond_begin(&respond, zones, options, client, ret_outcome);
    if (!parsed)
        take_cookie(&respond);
    bh_dns_writer_begin(&respond.writer, out, response_limit(&respond, cap));
    echo_question(&respond, parsed);
    empty = bh_dns_writer_mark(&respond.writer);
    respond.rcode = check_query(&respond, parsed);
    if (respond.rcode == BH_DNS_RCODE_NOERROR && respond.query.counts[BH_DNS_QUESTION])
        answer_question(&respond);
    else
        ret_outcome->class = respond.rcode == BH_DNS_RCODE_REFUSED ? BH_DNS_OUTCOME_REFUSED : BH_DNS_OUTCOME_ERROR;
    return finish(&respond, &empty);
}
