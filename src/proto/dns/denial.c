/* Proofs by NSEC. A zone's nodes are in canonical order, so the NSEC that covers a name is that of the last
 * authoritative node at or before it, found by bisection. Nodes below a cut and empty non-terminals have no NSEC. */
#include "denial.h"

static void put_nsec(struct bh_dns_respond *respond, const struct bh_dns_zone *zone, const struct bh_dns_node *node)
{
    const struct bh_dns_rrset *nsec = bh_dns_node_rrset(zone, node, BH_DNS_NSEC);
    uint32_t index = (uint32_t)(node - zone->node);

    for (unsigned i = 0; i < respond->denials; i++)
        if (respond->denial[i] == index)
            return;
    if (!nsec || respond->denials == sizeof respond->denial / sizeof respond->denial[0])
        return;
    respond->denial[respond->denials++] = index;
    (void)bh_dns_respond_rrset(respond, BH_DNS_AUTHORITY, bh_dns_node_name(zone, node), zone, node, nsec,
                               zone->negative_ttl_s);
}

/* The last node at or before `name` that has an NSEC. */
static void put_covering(struct bh_dns_respond *respond, const struct bh_dns_zone *zone, bh_str name)
{
    uint32_t low = 0, high = zone->nodes; /* node[low] <= name < node[high] */

    if (!bh_dns_node_rrset(zone, zone->node, BH_DNS_NSEC))
        return;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (bh_dns_name_cmp(bh_dns_node_name(zone, &zone->node[middle]), name) <= 0)
            low = middle;
        else
            high = middle;
    }
    while (low > 0 && !bh_dns_node_rrset(zone, &zone->node[low], BH_DNS_NSEC))
        low--;
    put_nsec(respond, zone, &zone->node[low]);
}

void bh_dns_denial_referral(struct bh_dns_respond *respond, const struct bh_dns_zone *zone,
                            const struct bh_dns_node *cut)
{
    const struct bh_dns_rrset *ds = bh_dns_node_rrset(zone, cut, BH_DNS_DS);

    if (ds)
        (void)bh_dns_respond_rrset(respond, BH_DNS_AUTHORITY, bh_dns_node_name(zone, cut), zone, cut, ds, UINT32_MAX);
    else
        put_nsec(respond, zone, cut);
}

void bh_dns_denial_nxdomain(struct bh_dns_respond *respond, const struct bh_dns_zone *zone, bh_str name,
                            const struct bh_dns_zone_match *match)
{
    struct bh_dns_name wildcard;

    put_covering(respond, zone, name);
    if (bh_dns_name_wildcard(bh_dns_node_name(zone, match->closest), &wildcard) == BH_OK)
        put_covering(respond, zone, bh_dns_name_view(&wildcard));
}

void bh_dns_denial_nodata(struct bh_dns_respond *respond, const struct bh_dns_zone *zone, bh_str name,
                          const struct bh_dns_zone_match *match)
{
    if (match->wildcard)
        put_covering(respond, zone, name);
    if (match->node->rrsets)
        put_nsec(respond, zone, match->node);
    else
        put_covering(respond, zone, bh_dns_node_name(zone, match->node)); /* an empty non-terminal */
}

void bh_dns_denial_wildcard(struct bh_dns_respond *respond, const struct bh_dns_zone *zone, bh_str name)
{
    put_covering(respond, zone, name);
}
