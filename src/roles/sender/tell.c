/* tell.c: queued learns who takes the mail of a domain, so that all domains of one provider share a site there. */
#include "sender.h"

void bh_tell_site(struct sender *sender, const char *domain, const struct exchange_result *result)
{
    struct bh_peer *queued = bh_role_any_peer(sender->role, BH_ROLE_QUEUED);
    struct bh_buf hosts = bh_buf_make(16384);

    for (size_t i = 0; i < result->count; i++) {
        if (i && result->addresses[i].host == result->addresses[i - 1].host)
            continue;
        if (hosts.n)
            bh_buf_char(&hosts, ' ');
        bh_buf_add(&hosts, bh_str_c(result->hosts[result->addresses[i].host].name));
    }
    if (queued && bh_buf_err(&hosts) == BH_OK)
        (void)!BH_PEER_SEND(queued, SITE, 0, site, &((struct bh_msg_site){bh_str_c(domain), bh_buf_view(&hosts)}));
    bh_buf_free(&hosts);
}
