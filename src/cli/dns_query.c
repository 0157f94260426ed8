/* dns_query.c: see dns_query.h. */
#include "dns_query.h"
#include "base/random.h"
#include "commands.h"
#include "control.h"
#include "proto/dns/message.h"
#include "roles/master/config_file.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum { WAIT_S = 5, EXPORT_MAX = 1 << 30 };

/* ---- query ---- */

/* Who listens on all addresses is asked on loopback. */
static bool listener_address(const struct bh_listener *listener, struct sockaddr_storage *ret_address, socklen_t *ret_n)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    char literal[INET6_ADDRSTRLEN];

    *ret_address = (struct sockaddr_storage){0};
    if (bh_str_to_c(listener->address, literal, sizeof(literal)))
        return false;
    if (inet_pton(AF_INET, literal, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(listener->port);
        if (v4->sin_addr.s_addr == htonl(INADDR_ANY))
            v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        *ret_n = sizeof(*v4);
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(listener->port);
    *ret_n = sizeof(*v6);
    if (inet_pton(AF_INET6, literal, &v6->sin6_addr) != 1)
        return false;
    if (IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
        v6->sin6_addr = in6addr_loopback;
    return true;
}

static int find_server(const struct bh_cli *cli, struct sockaddr_storage *ret_address, socklen_t *ret_n)
{
    struct bh_buf problems = bh_buf_make(1 << 16);
    struct bh_config *config = NULL;
    int status = BH_EXIT_USAGE;

    if (bh_config_file_read(cli->config_path, &config, &problems)) {
        (void)bh_cli_fail("dns", "%.*s", BH_FMT(bh_str_trim(bh_buf_view(&problems))));
    } else {
        for (size_t i = 0; i < config->listener_count && status != BH_EXIT_OK; i++)
            if (config->listeners[i].protocol == BH_LISTEN_DNS &&
                listener_address(&config->listeners[i], ret_address, ret_n))
                status = BH_EXIT_OK;
        if (status != BH_EXIT_OK)
            (void)bh_cli_fail("dns", "%s has no listener with protocol = dns", cli->config_path);
    }
    bh_buf_free(&problems);
    bh_config_free(config);
    return status;
}

static bool receive_all(int fd, char *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = recv(fd, to + done, n - done, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

static bool exchange_tcp(int fd, bh_str query, struct bh_buf *response)
{
    struct bh_buf framed = bh_buf_make(BH_DNS_MESSAGE_MAX + 2);
    unsigned char head[2];
    char *room;
    size_t n;
    bool good;

    bh_buf_u16(&framed, (uint16_t)query.n);
    bh_buf_add(&framed, query);
    good = !bh_buf_err(&framed) && send(fd, framed.p, framed.n, MSG_NOSIGNAL) == (ssize_t)framed.n &&
           receive_all(fd, (char *)head, 2);
    bh_buf_free(&framed);
    n = good ? (size_t)head[0] << 8 | head[1] : 0;
    room = good ? bh_buf_reserve(response, n) : NULL;
    if (!room || !receive_all(fd, room, n))
        return false;
    bh_buf_commit(response, n);
    return true;
}

static bool exchange_udp(int fd, bh_str query, struct bh_buf *response)
{
    char *room = bh_buf_reserve(response, BH_DNS_MESSAGE_MAX);
    ssize_t n = room && send(fd, query.p, query.n, 0) == (ssize_t)query.n ? recv(fd, room, BH_DNS_MESSAGE_MAX, 0) : -1;

    if (n < BH_DNS_HEADER_BYTES || memcmp(room, query.p, 2) != 0)
        return false;
    bh_buf_commit(response, (size_t)n);
    return true;
}

static int exchange(const struct sockaddr_storage *address, socklen_t n, bh_str query, bool tcp,
                    struct bh_buf *response)
{
    const struct timeval wait = {.tv_sec = WAIT_S};
    int fd = socket(address->ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
    bool good = false;

    bh_buf_clear(response);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0 &&
        connect(fd, (const struct sockaddr *)address, n) == 0)
        good = tcp ? exchange_tcp(fd, query, response) : exchange_udp(fd, query, response);
    if (fd >= 0)
        (void)close(fd);
    if (good)
        return BH_EXIT_OK;
    (void)bh_cli_fail("dns", "our name server does not answer; does behalf run here?");
    return BH_EXIT_UNAVAILABLE;
}

int bh_dns_query_own(const struct bh_cli *cli, const struct bh_dns_name *name, uint16_t type, bool dnssec, bool tcp,
                     struct bh_buf *response)
{
    struct bh_buf query = bh_buf_make(512);
    struct sockaddr_storage address;
    socklen_t n = 0;
    uint16_t id;
    int status = find_server(cli, &address, &n);

    bh_random_fill(&bh_random_os, &id, sizeof(id));
    if (status == BH_EXIT_OK &&
        bh_dns_query_write(&query, id, 0, bh_dns_name_view(name), type, BH_DNS_UDP_SAFE_MAX, dnssec))
        status = bh_cli_fail("dns", "out of memory");
    if (status == BH_EXIT_OK)
        status = exchange(&address, n, bh_buf_view(&query), tcp, response);
    if (status == BH_EXIT_OK && !tcp && ((unsigned char)response->p[2] & BH_DNS_TC >> 8))
        status = exchange(&address, n, bh_buf_view(&query), true, response);
    bh_buf_free(&query);
    return status;
}

/* ---- stats ---- */

static void print_signing(const json_t *signing)
{
    const json_t *left = json_object_get(signing, "days_left");

    (void)printf("\nsigned zones     %lld", (long long)json_integer_value(json_object_get(signing, "zones")));
    if (json_is_integer(left))
        (void)printf(", signatures last %lld days at least", (long long)json_integer_value(left));
    (void)printf("\nsince the start  %lld signatures made, %lld zones signed, %lld under way\n",
                 (long long)json_integer_value(json_object_get(signing, "signatures_made")),
                 (long long)json_integer_value(json_object_get(signing, "zones_signed")),
                 (long long)json_integer_value(json_object_get(signing, "under_way")));
}

static void print_stats(const json_t *stats)
{
    static const char *const headings[] = {"ZONE", "POSITIVE", "WILDCARD", "NODATA", "NXDOMAIN", "REFERRAL"};
    static const char *const members[] = {"zone", "positive", "wildcard", "nodata", "nxdomain", "referral"};
    const json_t *value, *zones = json_object_get(stats, "zones");
    struct bh_cli_table *table = bh_cli_table_new(headings, 6);
    const char *name;

    json_object_foreach((json_t *)(uintptr_t)json_object_get(stats, "total"), name, value)(void)
        printf("%-16s %lld\n", name, (long long)json_integer_value(value));
    print_signing(json_object_get(stats, "signing"));
    (void)putchar('\n');
    for (size_t i = 0; i < json_array_size(zones); i++)
        for (size_t k = 0; k < 6; k++)
            bh_table_member(table, json_array_get(zones, i), members[k]);
    bh_cli_table_print(table);
}

int bh_dns_stats(const struct bh_cli *cli, const char *limit)
{
    json_t *args = json_object(), *stats;
    int status = BH_EXIT_USAGE;

    if (!bh_cli_limit("dns", limit, args))
        return BH_EXIT_USAGE;
    stats = bh_control_ask(cli, "dns", "stats", args, -1, &status);
    if (!stats)
        return status;
    if (cli->json) {
        bh_cli_print_json(stats);
        return BH_EXIT_OK;
    }
    print_stats(stats);
    json_decref(stats);
    return BH_EXIT_OK;
}

/* ---- keys ---- */

void bh_dns_print_keys(const json_t *result)
{
    static const char *const headings[] = {"TAG", "STATE", "SINCE", "AT PARENT", "DS"};
    static const char *const members[] = {"tag", "state", "since", "at_parent", "ds"};
    const json_t *keys = json_object_get(result, "keys");
    struct bh_cli_table *table = bh_cli_table_new(headings, 5);

    (void)printf("%s: %s\n\n", bh_json_text(result, "domain"), bh_json_text(result, "standing"));
    for (size_t i = 0; i < json_array_size(keys); i++)
        for (size_t k = 0; k < 5; k++)
            bh_table_member(table, json_array_get(keys, i), members[k]);
    bh_cli_table_print(table);
}

int bh_dns_keys(const struct bh_cli *cli, const char *verb, const char *name)
{
    int status = BH_EXIT_USAGE;
    json_t *result = bh_control_ask(cli, "dns", verb, json_pack("{s:s}", "domain", name), -1, &status);

    if (!result)
        return status;
    if (cli->json) {
        bh_cli_print_json(result);
        return BH_EXIT_OK;
    }
    bh_dns_print_keys(result);
    json_decref(result);
    return BH_EXIT_OK;
}

/* ---- export ---- */

/* Zone names have no character that means something in a path but the dot; others are not written. */
static bool is_file_name(bh_str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!bh_is_alnum(name.p[i]) && name.p[i] != '-' && name.p[i] != '.' && name.p[i] != '_')
            return false;
    return name.n > 0 && name.p[0] != '.';
}

static int write_zone(int directory, bh_str name, bh_str text)
{
    char path[300];
    int fd;
    bool good;

    if (!is_file_name(name) || name.n > 255)
        return bh_cli_fail("dns", "the zone %.*s has no name for a file", BH_FMT(name));
    (void)snprintf(path, sizeof(path), "%.*s.zone", BH_FMT(name));
    fd = openat(directory, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return bh_cli_fail("dns", "%s: %s", path, strerror(errno));
    good = write(fd, text.p, text.n) == (ssize_t)text.n;
    good = close(fd) == 0 && good;
    return good ? BH_EXIT_OK : bh_cli_fail("dns", "%s: %s", path, strerror(errno));
}

/* The daemon writes all zones one after the other, each below a line "; zone NAME". */
static int write_zones(int directory, bh_str text, size_t *ret_count)
{
    static const char mark[] = "; zone ";
    int status = BH_EXIT_OK;

    *ret_count = 0;
    while (text.n && status == BH_EXIT_OK) {
        bh_str body, head = bh_str_cut(text, '\n', &body);
        size_t n = 0;

        if (!bh_str_starts(head, bh_str_c(mark)))
            return bh_cli_fail("dns", "the daemon's answer makes no sense");
        while (n < body.n && !bh_str_starts(bh_str_skip(body, n), bh_str_c(mark))) {
            size_t line = bh_str_find(bh_str_skip(body, n), '\n');

            n += line < body.n - n ? line + 1 : body.n - n;
        }
        status = write_zone(directory, bh_str_skip(head, sizeof(mark) - 1), bh_str_sub(body, 0, n));
        text = bh_str_skip(body, n);
        ++*ret_count;
    }
    return status;
}

static int read_back(int fd, int directory, size_t *ret_count)
{
    struct stat st;
    void *bytes;
    int status;

    *ret_count = 0;
    if (fstat(fd, &st) != 0 || st.st_size == 0 || st.st_size > EXPORT_MAX)
        return bh_cli_fail("dns", "the daemon wrote nothing");
    bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return bh_cli_fail("dns", "the zones cannot be read: %s", strerror(errno));
    status = write_zones(directory, bh_str_of(bytes, (size_t)st.st_size), ret_count);
    (void)munmap(bytes, (size_t)st.st_size);
    return status;
}

int bh_dns_export(const struct bh_cli *cli, const char *path)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), status = BH_EXIT_OK;
    int fd = memfd_create("zones", MFD_CLOEXEC);
    json_t *result = NULL;
    size_t count = 0;

    if (directory < 0 || fd < 0)
        status = bh_cli_fail("dns", "%s: %s", path, strerror(errno));
    else
        result = bh_control_ask(cli, "dns", "export", NULL, fd, &status);
    if (result)
        status = read_back(fd, directory, &count);
    if (result && status == BH_EXIT_OK && cli->json)
        bh_cli_print_json(json_pack("{s:I}", "zones", (json_int_t)count));
    else if (result && status == BH_EXIT_OK)
        (void)printf("%zu zones written to %s\n", count, path);
    json_decref(result);
    if (directory >= 0)
        (void)close(directory);
    if (fd >= 0)
        (void)close(fd);
    return status;
}
