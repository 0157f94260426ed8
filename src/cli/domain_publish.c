/* domain_publish.c: see domain_publish.h. Only what is missing is added, each record under the condition that nothing
 * stands there (RFC 2136 2.4): the server refuses the whole update if something does, so nothing of the customer's is
 * overwritten. What happened is not believed but read back: a check asks every authoritative server. */
#include "domain_publish.h"
#include "base/clock.h"
#include "base/random.h"
#include "control.h"
#include "domain/domain.h"
#include "domain/zone.h"
#include "roles/dnsd/key_file.h"
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { OPCODE_UPDATE = 5 << 11, MESSAGE_MAX = 65000, TIMEOUT_S = 10 };

struct update {
    struct bh_arena *arena;
    struct bh_buf conditions, additions;
    unsigned condition_count, addition_count;
    bh_err err;
};

static void put_rr(struct update *u, struct bh_buf *out, bh_str owner, uint16_t type, uint16_t klass, uint32_t ttl_s,
                   bh_str rdata)
{
    struct bh_dns_name name;

    if (bh_dns_name_parse(owner, NULL, &name)) {
        u->err = BH_E_SYNTAX;
        return;
    }
    bh_buf_add(out, bh_str_of((const char *)name.wire, name.n));
    bh_buf_u16(out, type);
    bh_buf_u16(out, klass);
    bh_buf_u32(out, ttl_s);
    bh_buf_u16(out, (uint16_t)rdata.n);
    bh_buf_add(out, rdata);
}

/* A CNAME may stand beside nothing; of the others no record of the type may be there. */
static void add_record(struct update *u, const json_t *json)
{
    struct bh_zone zone = bh_zone_make(u->arena, BH_STR("x"));
    bh_str name = bh_str_c(bh_json_text(json, "name")), value = bh_str_c(bh_json_text(json, "value"));
    uint32_t ttl_s = (uint32_t)json_integer_value(json_object_get(json, "ttl"));
    uint16_t type;

    if (bh_dns_type_parse(bh_str_c(bh_json_text(json, "type")), &type)) {
        u->err = BH_E_SYNTAX;
        return;
    }
    if (type == BH_DNS_TXT)
        bh_zone_add_txt(&zone, name, ttl_s, value);
    else
        bh_zone_add(&zone, name, ttl_s, type, value);
    if (zone.err || !zone.count) {
        u->err = zone.err ? zone.err : BH_E_SYNTAX;
        return;
    }
    put_rr(u, &u->conditions, name, type == BH_DNS_CNAME ? BH_DNS_ANY : type, BH_DNS_CLASS_NONE, 0, BH_STR(""));
    put_rr(u, &u->additions, name, type, BH_DNS_CLASS_IN, ttl_s, zone.records[0].rdata);
    u->condition_count++;
    u->addition_count++;
}

/* Missing ones are added; what stands there and is not ours is left to people. */
static void take_records(struct update *u, const json_t *records)
{
    for (size_t i = 0; i < json_array_size(records) && !u->err; i++) {
        const json_t *json = json_array_get(records, i);
        const char *what = "add  ", *found = bh_json_text(json, "found");

        if (strcmp(bh_json_text(json, "status"), "verified") == 0)
            what = "there";
        else if (*found)
            what = "leave";
        else
            add_record(u, json);
        (void)printf("%s  %-6s %s%s", what, bh_json_text(json, "type"), bh_json_text(json, "name"),
                     *what == 'l' ? ": to be edited by hand, it has " : "");
        bh_cli_print_text(*what == 'l' ? found : "");
        (void)putchar('\n');
    }
}

/* The signed message; its size, 0 when it does not fit. `ret_tsig` is what the response is checked with. */
static size_t make_message(struct update *u, bh_str zone, const struct bh_dns_tsig_key *key, unsigned char *packet,
                           struct bh_dns_tsig *ret_tsig)
{
    struct bh_buf out = bh_buf_make(MESSAGE_MAX);
    struct bh_dns_name apex;
    uint16_t id;
    size_t n = 0;

    bh_random_fill(&bh_random_os, &id, sizeof(id));
    bh_buf_u16(&out, id);
    bh_buf_u16(&out, OPCODE_UPDATE);
    bh_buf_u16(&out, 1);
    bh_buf_u16(&out, (uint16_t)u->condition_count);
    bh_buf_u16(&out, (uint16_t)u->addition_count);
    bh_buf_u16(&out, 0);
    if (!bh_dns_name_parse(zone, NULL, &apex)) {
        bh_buf_add(&out, bh_str_of((const char *)apex.wire, apex.n));
        bh_buf_u16(&out, BH_DNS_SOA);
        bh_buf_u16(&out, BH_DNS_CLASS_IN);
        bh_buf_add(&out, bh_buf_view(&u->conditions));
        bh_buf_add(&out, bh_buf_view(&u->additions));
        if (!bh_buf_err(&out) && out.n + BH_DNS_TSIG_ROOM <= MESSAGE_MAX) {
            memcpy(packet, out.p, out.n);
            bh_dns_tsig_begin(ret_tsig, key);
            ret_tsig->original_id = id;
            n = bh_dns_tsig_sign(ret_tsig, (uint64_t)(bh_clock_now() / 1000), packet, out.n, MESSAGE_MAX);
        }
    }
    bh_buf_free(&out);
    return n;
}

/* "192.0.2.1", "192.0.2.1:53", "2001:db8::1" or "[2001:db8::1]:53". */
static bool parse_server(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_n)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    bh_str host = bh_str_c(text), port = {NULL, 0};
    uint64_t number = 53;
    char literal[64];

    memset(ret_address, 0, sizeof(*ret_address));
    if (*text == '[') {
        host = bh_str_cut(bh_str_skip(host, 1), ']', &port);
        if (!port.p || (port.n && *port.p != ':'))
            return false;
        port = port.n ? bh_str_skip(port, 1) : (bh_str){NULL, 0};
    } else if (bh_str_find(host, ':') == bh_str_rfind(host, ':')) {
        host = bh_str_cut(host, ':', &port);
    }
    if (bh_str_to_c(host, literal, sizeof(literal)) || (port.p && (bh_str_to_u64(port, 65535, &number) || number == 0)))
        return false;
    if (inet_pton(AF_INET6, literal, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)number);
        *ret_n = sizeof(*v6);
        return true;
    }
    if (inet_pton(AF_INET, literal, &v4->sin_addr) != 1)
        return false;
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)number);
    *ret_n = sizeof(*v4);
    return true;
}

enum { NO_ANSWER = -1, NOT_PROVEN = -2 };

/* Whose answer is it? One that says that our signature is wrong cannot be signed (RFC 8945 5.2). */
static int judge(bh_str response, const struct bh_dns_tsig *sent, const unsigned char *packet)
{
    struct bh_dns_message message;
    int code = response.n >= 12 ? (unsigned char)response.p[3] & 15 : NO_ANSWER;

    if (code == NO_ANSWER || memcmp(response.p, packet, 2) != 0 || !(response.p[2] & 0x80) ||
        bh_dns_message_parse(response, &message) != BH_OK)
        return NO_ANSWER;
    if (code == 9) /* NOTAUTH */
        return code;
    return bh_dns_tsig_verify(&message, sent, (uint64_t)(bh_clock_now() / 1000)) == BH_OK ? code : NOT_PROVEN;
}

static bool send_all(int fd, const unsigned char *packet, size_t size)
{
    unsigned char length[2] = {(unsigned char)(size >> 8), (unsigned char)size};

    return send(fd, length, 2, MSG_NOSIGNAL) == 2 && send(fd, packet, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Its size; 0 when there is none. */
static size_t receive(int fd, unsigned char *room)
{
    unsigned char length[2];
    size_t n;

    if (recv(fd, length, 2, MSG_WAITALL) != 2)
        return 0;
    n = (size_t)length[0] << 8 | length[1];
    return n <= MESSAGE_MAX && recv(fd, room, n, MSG_WAITALL) == (ssize_t)n ? n : 0;
}

/* Sends over TCP; the response's code, or NO_ANSWER, NOT_PROVEN. */
static int exchange(struct update *u, const struct sockaddr_storage *address, socklen_t n, bh_str packet,
                    const struct bh_dns_tsig *sent)
{
    struct timeval limit = {.tv_sec = TIMEOUT_S};
    unsigned char *room = bh_arena_alloc(u->arena, MESSAGE_MAX);
    int fd = room ? socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1, code = NO_ANSWER;

    if (fd < 0)
        return code;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)address, n) == 0 &&
        send_all(fd, (const unsigned char *)packet.p, packet.n))
        code = judge(bh_str_of((const char *)room, receive(fd, room)), sent, (const unsigned char *)packet.p);
    (void)close(fd);
    return code;
}

static int say_result(int code)
{
    switch (code) {
    case 0:
        return BH_EXIT_OK;
    case NOT_PROVEN:
        (void)bh_cli_fail("domain",
                          "the answer is not signed by the key, so it may be anybody's; nothing is known about "
                          "the update");
        return BH_EXIT_TEMPFAIL;
    case NO_ANSWER:
        (void)bh_cli_fail("domain", "the server did not answer; nothing is known about the update");
        return BH_EXIT_TEMPFAIL;
    case 6: /* YXDOMAIN */
    case 7: /* YXRRSET */
        return bh_cli_fail("domain", "something stands at one of the names already, so nothing was changed; look with "
                                     "behalf domain check, and edit by hand");
    case 9: /* NOTAUTH */
        return bh_cli_fail("domain", "the server does not accept the key, or does not serve this zone (--zone)");
    default:
        return bh_cli_fail("domain", "the server refused the update with code %d; does it allow updates by this key?",
                           code);
    }
}

static int send_update(struct update *u, bh_str zone, const struct bh_publish_options *o)
{
    static const size_t keys_max = 1;
    struct bh_dns_tsig_key key;
    struct bh_dns_tsig sent;
    struct bh_buf text = {0};
    struct sockaddr_storage address;
    unsigned char *packet = bh_arena_alloc(u->arena, MESSAGE_MAX);
    socklen_t n;
    size_t count = 0, size;
    int status;

    if (!parse_server(o->server, &address, &n))
        return bh_cli_fail("domain", "--server %s: write 192.0.2.1, 192.0.2.1:53, 2001:db8::1 or [2001:db8::1]:53",
                           o->server);
    if (bh_cli_read(o->tsig_key, 65536, false, &text) ||
        bh_dns_key_file_read(bh_buf_view(&text), &key, keys_max, &count) || count != 1) {
        bh_buf_free(&text);
        return bh_cli_fail("domain", "--tsig-key %s: must be a file with one key, as tsig-keygen writes it",
                           o->tsig_key);
    }
    size = packet ? make_message(u, zone, &key, packet, &sent) : 0;
    status = size ? say_result(exchange(u, &address, n, bh_str_of((const char *)packet, size), &sent))
                  : bh_cli_fail("domain", "the update is too long");
    bh_wipe(&key, sizeof(key));
    bh_wipe(text.p, text.n);
    bh_buf_free(&text);
    return status;
}

/* Never trusted: every authoritative server is asked. */
static int read_back(const struct bh_cli *cli, json_t *args)
{
    int status;
    json_t *domain = bh_control_ask(cli, "domain", "check", args, -1, &status);

    if (!domain)
        return status;
    (void)printf("read back: %s is %s\n", bh_json_text(domain, "name"), bh_json_text(domain, "state"));
    json_decref(domain);
    return BH_EXIT_OK;
}

static int publish(const struct bh_cli *cli, json_t *args, const json_t *domain, const struct bh_publish_options *o)
{
    struct update u = {
        .arena = bh_arena_new(4 << 20), .conditions = bh_buf_make(MESSAGE_MAX), .additions = bh_buf_make(MESSAGE_MAX)};
    bh_str zone = bh_str_c(o->zone ? o->zone : bh_json_text(domain, "zone_apex"));
    int status = BH_EXIT_OK;

    if (!zone.n)
        zone = bh_domain_registrable(bh_str_c(bh_json_text(domain, "name")));
    take_records(&u, json_object_get(domain, "records"));
    if (u.err)
        status = bh_cli_fail("domain", "the records cannot be written: %s", bh_err_text(u.err));
    else if (!u.addition_count)
        (void)printf("nothing to add\n");
    else if (o->dry_run)
        (void)printf("would add %u records to the zone %.*s at %s\n", u.addition_count, BH_FMT(zone), o->server);
    else if ((status = send_update(&u, zone, o)) == BH_EXIT_OK)
        status = read_back(cli, json_incref(args));
    bh_buf_free(&u.conditions);
    bh_buf_free(&u.additions);
    bh_arena_free(u.arena);
    return status;
}

int bh_domain_publish(const struct bh_cli *cli, json_t *args, const struct bh_publish_options *o)
{
    json_t *domain;
    int status = BH_EXIT_USAGE;

    if (!o->server || !o->tsig_key) {
        json_decref(args);
        return bh_cli_fail("domain", "publish needs --server ADDR and --tsig-key FILE");
    }
    domain = bh_control_ask(cli, "domain", "check", json_incref(args), -1, &status);
    if (domain)
        status = publish(cli, args, domain, o);
    json_decref(domain);
    json_decref(args);
    return status;
}
