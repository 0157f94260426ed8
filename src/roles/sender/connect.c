/* connect.c: a connection to one of several addresses, the way of RFC 8305: addresses of one host are tried in turn of
 * their family, the next one when the last has not answered in a quarter of a second, and the first that answers is
 * taken. Another host is tried only when those before it have failed: the order of mail exchangers is the receiver's
 * will (RFC 5321 5.1), a slow line is no failure. */
#include "sender.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONNECT_MS = 30 * 1000, STAGGER_MS = 250, INPUT_MAX = 64 * 1024, TRAIL_MAX = 1000 };

struct lane {
    struct connecting *connecting;
    struct bh_chan *chan; /* NULL: not begun, or failed */
    bool begun;
};

struct connecting {
    struct sender *sender;
    struct site *site;
    struct connect_try tries[BH_SESSION_TRIES_MAX];
    struct lane lanes[BH_SESSION_TRIES_MAX];
    size_t count, next, active;
    struct bh_timer stagger;
    struct bh_buf trail;
    char source4[INET_ADDRSTRLEN], source6[INET6_ADDRSTRLEN];
    connect_done *done;
    void *ctx;
};

void bh_connect_cancel(struct connecting *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++)
        bh_chan_close(c->lanes[i].chan);
    bh_timer_free(&c->stagger);
    bh_buf_free(&c->trail);
    free(c);
}

void bh_address_text(const struct address *address, const char *host, char *text, size_t size)
{
    char literal[INET6_ADDRSTRLEN] = "?";
    bool is4 = address->to.any.sa_family == AF_INET;

    (void)inet_ntop(address->to.any.sa_family,
                    is4 ? (const void *)&address->to.v4.sin_addr : (const void *)&address->to.v6.sin6_addr, literal,
                    sizeof(literal));
    (void)snprintf(text, size, "%s [%s]:%u", host, literal,
                   ntohs(is4 ? address->to.v4.sin_port : address->to.v6.sin6_port));
}

/* ---- where from ---- */

static socklen_t use_source(const char *literal, int family, struct sockaddr_storage *from)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)from;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)from;

    *from = (struct sockaddr_storage){0};
    if (family == AF_INET && inet_pton(AF_INET, literal, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        return sizeof(*v4);
    }
    if (family == AF_INET6 && inet_pton(AF_INET6, literal, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        return sizeof(*v6);
    }
    return 0;
}

/* What the delivery names, else the source addresses of the configuration in turn, of the family that is needed. */
static bool choose_source(struct connecting *c, int family, struct sockaddr_storage *ret_from, socklen_t *ret_bytes)
{
    const struct bh_config *config = c->sender->role->config;
    const char *named = family == AF_INET ? c->source4 : c->source6;

    *ret_bytes = 0;
    if (config->egress_bind && (c->source4[0] || c->source6[0])) {
        *ret_bytes = use_source(named, family, ret_from);
        return *ret_bytes > 0; /* no source of that family: the address is not for us */
    }
    for (size_t i = 0; config->egress_bind && i < config->egress_count && !*ret_bytes; i++) {
        char literal[INET6_ADDRSTRLEN];

        if (bh_str_to_c(config->egress[c->sender->next_source++ % config->egress_count], literal, sizeof(literal)) ==
            BH_OK)
            *ret_bytes = use_source(literal, family, ret_from);
    }
    return true;
}

/* ---- the race ---- */

static void fail_lane(struct connecting *c, size_t i, const char *why)
{
    char remote[320];

    bh_address_text(&c->tries[i].address, c->tries[i].host, remote, sizeof(remote));
    bh_buf_printf(&c->trail, "%s%s: %s", c->trail.n ? "; " : "", remote, why);
    bh_site_address_failed(c->site, c->tries[i].index);
    bh_chan_close(c->lanes[i].chan);
    c->lanes[i].chan = NULL;
}

static const struct bh_chan_ops ops;

/* Begins one more; false when none is left. */
static bool begin_next(struct connecting *c)
{
    while (c->next < c->count) {
        size_t i = c->next++;
        const struct address *to = &c->tries[i].address;
        struct sockaddr_storage from;
        socklen_t from_bytes;

        c->lanes[i] = (struct lane){.connecting = c, .begun = true};
        if (!choose_source(c, to->to.any.sa_family, &from, &from_bytes)) {
            fail_lane(c, i, "no source address of this family");
        } else if (bh_chan_connect(c->sender->role->loop, &to->to.any, to->bytes,
                                   from_bytes ? (struct sockaddr *)&from : NULL, from_bytes, INPUT_MAX, &ops,
                                   &c->lanes[i], &c->lanes[i].chan) != BH_OK) {
            fail_lane(c, i, strerrordesc_np(errno));
        } else {
            bh_chan_set_timeout(c->lanes[i].chan, CONNECT_MS);
            c->active++;
            if (c->next < c->count && strcmp(c->tries[c->next].host, c->tries[i].host) == 0)
                bh_timer_set(&c->stagger, STAGGER_MS);
            else
                bh_timer_clear(&c->stagger);
            return true;
        }
    }
    return false;
}

static void on_stagger(void *ctx)
{
    (void)begin_next(ctx);
}

static void finish(struct connecting *c, struct bh_chan *chan, size_t which)
{
    connect_done *done = c->done;
    void *ctx = c->ctx;
    struct bh_buf trail = c->trail;

    c->trail = bh_buf_make(0);
    bh_connect_cancel(c);
    done(ctx, chan, which, bh_buf_view(&trail));
    bh_buf_free(&trail);
}

static void on_up(void *ctx)
{
    struct lane *lane = ctx;
    struct bh_chan *chan = lane->chan;

    lane->chan = NULL;
    finish(lane->connecting, chan, (size_t)(lane - lane->connecting->lanes));
}

static void on_down(void *ctx, bh_err err, const char *why)
{
    struct lane *lane = ctx;
    struct connecting *c = lane->connecting;

    (void)err;
    c->active--;
    fail_lane(c, (size_t)(lane - c->lanes), why);
    if (!begin_next(c) && !c->active)
        finish(c, NULL, 0);
}

static void on_nothing(void *ctx)
{
    (void)ctx;
}

static const struct bh_chan_ops ops = {on_up, on_nothing, on_nothing, on_down};

struct connecting *bh_connect_begin(struct sender *sender, struct site *site, const struct session_wish *wish,
                                    connect_done *done, void *ctx)
{
    struct connecting *c = calloc(1, sizeof(*c));

    if (!c || bh_str_to_c(wish->source4, c->source4, sizeof(c->source4)) ||
        bh_str_to_c(wish->source6, c->source6, sizeof(c->source6)) ||
        bh_timer_init(sender->role->loop, &c->stagger, on_stagger, c)) {
        free(c);
        return NULL;
    }
    c->sender = sender;
    c->site = site;
    c->done = done;
    c->ctx = ctx;
    c->trail = bh_buf_make(TRAIL_MAX);
    for (; c->count < wish->count && c->count < BH_SESSION_TRIES_MAX; c->count++) {
        struct connect_try *try = &c->tries[c->count];

        try->address = *wish->tries[c->count].address;
        try->index = wish->tries[c->count].index;
        memcpy(try->host, wish->tries[c->count].host->name, sizeof(try->host));
    }
    if (begin_next(c))
        return c;
    bh_connect_cancel(c);
    return NULL;
}
