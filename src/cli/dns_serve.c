/* dns_serve.c: `behalf dns serve`: zone files served in the foreground, for test worlds and for trying things out. The
 * files are looked at once a second and read again when one has changed, and on SIGHUP; a file that cannot be read as
 * a zone leaves all zones as they were. */
#include "dns_serve.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "commands.h"
#include "proto/dns/transfer.h"
#include "roles/dnsd/dns_server.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { POLL_MS = 1000, BACKLOG = 256 };

struct serve {
    struct bh_loop *loop;
    struct bh_dns_server *server;
    struct bh_dns_zones *zones;
    uint64_t seed;
    const struct bh_dns_serve_options *options;
    struct bh_dns_name catalog; /* n = 0: none */
    struct bh_timer poll;
    uint64_t files_state; /* when they were read */
};

/* ---- zones ---- */

static int each_entry(const char *directory, const char *name, int (*each)(void *ctx, const char *path), void *ctx)
{
    struct bh_buf path = bh_buf_make(8192);
    int status;

    bh_buf_printf(&path, "%s/%s", directory, name);
    bh_buf_char(&path, '\0');
    status = bh_buf_err(&path) ? bh_cli_fail("dns", "the path of %s is too long", name) : each(ctx, path.p);
    bh_buf_free(&path);
    return status;
}

/* Calls `each` for every file: an operand that is a directory stands for all *.zone in it. The first status that is not
 * BH_EXIT_OK ends it. */
static int for_each_file(const struct serve *serve, int (*each)(void *ctx, const char *path), void *ctx)
{
    int status = BH_EXIT_OK;

    for (size_t i = 0; i < serve->options->file_count && status == BH_EXIT_OK; i++) {
        const char *path = serve->options->files[i];
        DIR *directory = opendir(path);
        struct dirent *entry;

        if (!directory) {
            status = each(ctx, path);
            continue;
        }
        while (status == BH_EXIT_OK && (entry = readdir(directory)) != NULL)
            if (bh_str_ends(bh_str_c(entry->d_name), BH_STR(".zone")))
                status = each_entry(path, entry->d_name, each, ctx);
        (void)closedir(directory);
    }
    return status;
}

static int add_state(void *ctx, const char *path)
{
    uint64_t *state = ctx;
    struct stat st;

    /* a sum, since a directory lists its files in any order */
    if (stat(path, &st) == 0)
        *state += ((uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec + (uint64_t)st.st_size) *
                  (st.st_ino * 2 + 1);
    return BH_EXIT_OK;
}

/* A number that changes when a file does. */
static uint64_t files_state(const struct serve *serve)
{
    uint64_t state = 0;

    (void)for_each_file(serve, add_state, &state);
    return state;
}

/* True when both sets hold zones of the same names, the catalog itself left aside. */
static bool same_members(const struct bh_dns_zones *old, const struct bh_dns_zones *new, bh_str catalog)
{
    struct bh_dns_zone *zone;
    size_t place = 0, members = bh_dns_zones_count(old) - (bh_dns_zones_get(old, catalog) ? 1 : 0);

    if (members != bh_dns_zones_count(new))
        return false;
    while ((zone = bh_dns_zones_next(new, &place)) != NULL)
        if (!bh_dns_zones_get(old, bh_dns_zone_name(zone)))
            return false;
    return true;
}

/* The catalog of `zones` goes into them; it gets a new serial when the members are others than before. */
static bh_err add_catalog(struct serve *serve, struct bh_dns_zone_builder *builder, struct bh_dns_zones *zones)
{
    bh_str apex = bh_dns_name_view(&serve->catalog);
    struct bh_dns_zone *old = serve->zones ? bh_dns_zones_get(serve->zones, apex) : NULL, *fresh = NULL;
    uint32_t serial = (uint32_t)(bh_clock_now() / 1000);
    bh_err err;

    if (old && same_members(serve->zones, zones, apex))
        return bh_dns_zones_put(zones, bh_dns_zone_ref(old));
    if (old && serial <= old->serial)
        serial = old->serial + 1;
    err = bh_dns_catalog_build(builder, zones, apex, serial, &fresh);
    return err ? err : bh_dns_zones_put(zones, fresh);
}

static void notify_changes(struct serve *serve, const struct bh_dns_zones *old, const struct bh_dns_zones *new)
{
    struct bh_dns_zone *zone, *before;
    size_t place = 0;

    while ((zone = bh_dns_zones_next(new, &place)) != NULL) {
        before = old ? bh_dns_zones_get(old, bh_dns_zone_name(zone)) : NULL;
        if ((!before || before->serial != zone->serial) && bh_dns_server_notify(serve->server, bh_dns_zone_name(zone)))
            (void)bh_cli_fail("dns", "secondaries cannot be notified: out of memory");
    }
}

struct loading {
    const struct serve *serve;
    struct bh_dns_zone_builder *builder;
    struct bh_dns_zones *zones;
};

static int load_one(void *ctx, const char *path)
{
    struct loading *loading = ctx;

    return bh_dns_load_file(loading->builder, path, loading->serve->options->origin, loading->zones);
}

static int load(struct serve *serve)
{
    struct bh_dns_zones *zones = bh_dns_zones_new(serve->seed);
    struct bh_dns_zone_builder *builder = bh_dns_zone_builder_new(serve->seed);
    int status = zones && builder ? BH_EXIT_OK : bh_cli_fail("dns", "out of memory");

    serve->files_state = files_state(serve);
    if (status == BH_EXIT_OK)
        status = for_each_file(serve, load_one, &(struct loading){serve, builder, zones});
    if (status == BH_EXIT_OK && serve->catalog.n && add_catalog(serve, builder, zones))
        status = bh_cli_fail("dns", "the catalog cannot be made");
    bh_dns_zone_builder_free(builder);
    if (status != BH_EXIT_OK) {
        bh_dns_zones_free(zones);
        return status;
    }
    bh_dns_server_use(serve->server, zones);
    notify_changes(serve, serve->zones, zones);
    bh_dns_zones_free(serve->zones);
    serve->zones = zones;
    return BH_EXIT_OK;
}

static void on_hangup(void *ctx)
{
    (void)load(ctx);
}

static void on_poll(void *ctx)
{
    struct serve *serve = ctx;

    if (files_state(serve) != serve->files_state)
        (void)load(serve);
    bh_timer_set(&serve->poll, POLL_MS);
}

static void on_end(void *ctx)
{
    struct serve *serve = ctx;

    bh_loop_stop(serve->loop);
}

/* ---- sockets ---- */

/* "192.0.2.1:53" or "[2001:db8::1]:53". */
static bh_err parse_address(bh_str text, struct sockaddr_storage *ret_address, socklen_t *ret_n)
{
    size_t colon = bh_str_rfind(text, ':');
    bh_str host = bh_str_sub(text, 0, colon);
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    char buffer[INET6_ADDRSTRLEN];
    uint64_t port = 0;

    if (bh_str_starts(host, BH_STR("[")) && bh_str_ends(host, BH_STR("]")))
        host = bh_str_sub(host, 1, host.n - 2);
    if (colon == text.n || bh_str_to_u64(bh_str_skip(text, colon + 1), UINT16_MAX, &port) ||
        bh_str_to_c(host, buffer, sizeof buffer))
        return BH_E_SYNTAX;
    *ret_address = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, buffer, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *ret_n = sizeof *v4;
        return BH_OK;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    *ret_n = sizeof *v6;
    return inet_pton(AF_INET6, buffer, &v6->sin6_addr) == 1 ? BH_OK : BH_E_SYNTAX;
}

static int open_socket(const struct sockaddr_storage *address, socklen_t n, int type)
{
    int fd = socket(address->ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, saved;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)address, n) == 0 && (type == SOCK_DGRAM || listen(fd, BACKLOG) == 0))
        return fd;
    saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

static int listen_on(struct serve *serve, const char *text)
{
    struct sockaddr_storage address;
    socklen_t n = 0;
    int fd;

    if (parse_address(bh_str_c(text), &address, &n))
        return bh_cli_fail("dns", "--listen %s is not ADDRESS:PORT", text);
    fd = open_socket(&address, n, SOCK_DGRAM);
    if (fd < 0)
        return bh_cli_fail("dns", "cannot listen on %s (UDP): %s", text, strerror(errno));
    if (bh_dns_server_add_udp(serve->server, fd))
        return bh_cli_fail("dns", "out of memory");
    fd = open_socket(&address, n, SOCK_STREAM);
    if (fd < 0)
        return bh_cli_fail("dns", "cannot listen on %s (TCP): %s", text, strerror(errno));
    if (bh_dns_server_add_tcp(serve->server, fd))
        return bh_cli_fail("dns", "out of memory");
    return BH_EXIT_OK;
}

/* NAME:BASE64 */
static int add_key(struct serve *serve, const char *text)
{
    struct bh_buf secret = bh_buf_make(BH_DNS_TSIG_SECRET_MAX + 16);
    struct bh_dns_tsig_key key = {0};
    bh_str encoded, name = bh_str_cut(bh_str_c(text), ':', &encoded);
    bh_err err = bh_dns_name_parse(name, NULL, &key.name);

    if (!err)
        err = bh_base64_decode(&secret, encoded);
    if (!err && (secret.n == 0 || secret.n > BH_DNS_TSIG_SECRET_MAX))
        err = BH_E_LIMIT;
    if (!err) {
        memcpy(key.secret, secret.p, secret.n);
        key.secret_n = secret.n;
        err = bh_dns_server_add_key(serve->server, &key);
    }
    bh_buf_free(&secret);
    return err ? bh_cli_fail("dns", "--tsig wants NAME:BASE64 with at most 64 bytes of secret, 16 keys at most")
               : BH_EXIT_OK;
}

static int add_secondary(struct serve *serve, const char *text)
{
    struct sockaddr_storage address;
    socklen_t n;

    if (parse_address(bh_str_c(text), &address, &n) || bh_dns_server_add_secondary(serve->server, &address))
        return bh_cli_fail("dns", "--notify %s is not ADDRESS:PORT, or there are more than 16", text);
    return BH_EXIT_OK;
}

static int add_secondaries(struct serve *serve)
{
    const struct bh_dns_serve_options *options = serve->options;
    int status = BH_EXIT_OK;

    if (options->catalog && bh_dns_name_parse(bh_str_c(options->catalog), NULL, &serve->catalog))
        return bh_cli_fail("dns", "--catalog %s is no domain name", options->catalog);
    for (size_t i = 0; i < options->tsig->count && status == BH_EXIT_OK; i++)
        status = add_key(serve, options->tsig->values[i]);
    for (size_t i = 0; i < options->notify->count && status == BH_EXIT_OK; i++)
        status = add_secondary(serve, options->notify->values[i]);
    return status;
}

static int open_all(struct serve *serve)
{
    struct bh_dns_server_options options = bh_dns_server_defaults();
    int status = BH_EXIT_OK;

    serve->loop = bh_loop_new();
    if (serve->loop)
        serve->server = bh_dns_server_new(serve->loop, &options, &bh_random_os);
    if (!serve->server || bh_timer_init(serve->loop, &serve->poll, on_poll, serve) ||
        bh_loop_on_signal(serve->loop, SIGHUP, on_hangup, serve) ||
        bh_loop_on_signal(serve->loop, SIGTERM, on_end, serve) || bh_loop_on_signal(serve->loop, SIGINT, on_end, serve))
        return bh_cli_fail("dns", "the event loop cannot be made");
    status = add_secondaries(serve);
    if (status == BH_EXIT_OK)
        status = load(serve);
    for (size_t i = 0; i < serve->options->listen->count && status == BH_EXIT_OK; i++)
        status = listen_on(serve, serve->options->listen->values[i]);
    bh_timer_set(&serve->poll, POLL_MS);
    return status;
}

int bh_dns_serve(const struct bh_dns_serve_options *options)
{
    struct serve serve = {.options = options};
    int status;

    bh_random_fill(&bh_random_os, &serve.seed, sizeof serve.seed);
    status = open_all(&serve);
    if (status == BH_EXIT_OK) {
        (void)fprintf(stderr, "behalf dns: serving %zu zones on %s\n", bh_dns_zones_count(serve.zones),
                      options->listen->values[0]);
        if (bh_loop_run(serve.loop))
            status = bh_cli_fail("dns", "the event loop failed");
    }
    bh_dns_server_free(serve.server);
    bh_timer_free(&serve.poll);
    if (serve.loop)
        bh_loop_free(serve.loop);
    bh_dns_zones_free(serve.zones);
    return status;
}
