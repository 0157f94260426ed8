/* zone.c: building a zone's records. See zone.h. */
#include "zone.h"

struct bh_zone bh_zone_make(struct bh_arena *arena, bh_str apex)
{
    struct bh_zone zone = {.arena = arena, .apex = bh_arena_dup(arena, apex)};

    if (!zone.apex.p)
        zone.err = BH_E_NOMEM;
    return zone;
}

static bool make_room(struct bh_zone *zone)
{
    size_t cap = zone->cap ? zone->cap * 2 : 32;
    struct bh_zone_record *wider;

    if (zone->count < zone->cap)
        return true;
    if (!(wider = bh_arena_array(zone->arena, cap, sizeof(*wider)))) {
        zone->err = BH_E_NOMEM;
        return false;
    }
    if (zone->count)
        memcpy(wider, zone->records, zone->count * sizeof(*wider));
    zone->records = wider;
    zone->cap = cap;
    return true;
}

/* Equal records meet only when they are written one after the other (the SPF of one host for each of its addresses,
 * say), so looking back a little is enough and keeps this linear. */
static bool is_repeated(const struct bh_zone *zone, bh_str owner, uint16_t type, bh_str rdata)
{
    size_t from = zone->count > 16 ? zone->count - 16 : 0;

    for (size_t i = from; i < zone->count; i++)
        if (zone->records[i].type == type && bh_str_eq_ci(zone->records[i].owner, owner) &&
            bh_str_eq(zone->records[i].rdata, rdata))
            return true;
    return false;
}

void bh_zone_add_wire(struct bh_zone *zone, bh_str owner, uint32_t ttl_s, uint16_t type, bh_str rdata)
{
    struct bh_zone_record record = {.type = type, .ttl_s = ttl_s};

    if (zone->err || is_repeated(zone, owner, type, rdata) || !make_room(zone))
        return;
    record.owner = bh_arena_dup(zone->arena, owner);
    record.rdata = bh_arena_dup(zone->arena, rdata);
    if (!record.owner.p || !record.rdata.p) {
        zone->err = BH_E_NOMEM;
        return;
    }
    zone->records[zone->count++] = record;
}

void bh_zone_add(struct bh_zone *zone, bh_str owner, uint32_t ttl_s, uint16_t type, bh_str rdata_text)
{
    struct bh_buf rdata = bh_buf_make(BH_DNS_RDATA_MAX);

    if (!zone->err)
        zone->err = bh_dns_rdata_parse_text(type, rdata_text, NULL, &rdata);
    if (!zone->err)
        bh_zone_add_wire(zone, owner, ttl_s, type, bh_buf_view(&rdata));
    bh_buf_free(&rdata);
}

void bh_zone_addf(struct bh_zone *zone, bh_str owner, uint32_t ttl_s, uint16_t type, const char *format, ...)
{
    struct bh_buf text = bh_buf_make(4096);
    va_list args;

    va_start(args, format);
    bh_buf_vprintf(&text, format, args);
    va_end(args);
    if (!zone->err)
        zone->err = bh_buf_err(&text);
    bh_zone_add(zone, owner, ttl_s, type, bh_buf_view(&text));
    bh_buf_free(&text);
}

void bh_zone_add_txt(struct bh_zone *zone, bh_str owner, uint32_t ttl_s, bh_str text)
{
    struct bh_buf rdata = bh_buf_make(BH_DNS_RDATA_MAX);

    do {
        bh_str part = bh_str_sub(text, 0, 255);

        bh_buf_u8(&rdata, (uint8_t)part.n);
        bh_buf_add(&rdata, part);
        text = bh_str_skip(text, part.n);
    } while (text.n);
    if (!zone->err)
        zone->err = bh_buf_err(&rdata);
    bh_zone_add_wire(zone, owner, ttl_s, BH_DNS_TXT, bh_buf_view(&rdata));
    bh_buf_free(&rdata);
}

void bh_zone_add_address(struct bh_zone *zone, bh_str owner, uint32_t ttl_s, bh_str address)
{
    bool is_v6 = bh_str_find(address, ':') < address.n;

    bh_zone_add(zone, owner, ttl_s, is_v6 ? BH_DNS_AAAA : BH_DNS_A, address);
}

bh_str bh_zone_name(struct bh_zone *zone, bh_str prefix, bh_str suffix)
{
    bh_str name = prefix.n ? bh_arena_printf(zone->arena, "%.*s.%.*s", BH_FMT(prefix), BH_FMT(suffix))
                           : bh_arena_dup(zone->arena, suffix);

    if (!name.p && !zone->err)
        zone->err = BH_E_NOMEM;
    return name;
}

void bh_zone_print(const struct bh_zone *zone, struct bh_buf *out)
{
    for (size_t i = 0; i < zone->count; i++) {
        const struct bh_zone_record *record = &zone->records[i];

        bh_buf_printf(out, "%.*s. %u IN ", BH_FMT(record->owner), record->ttl_s);
        bh_dns_type_print(out, record->type);
        bh_buf_char(out, ' ');
        bh_dns_rdata_print(out, record->type, record->rdata);
        bh_buf_char(out, '\n');
    }
}

bh_str bh_txt_joined(struct bh_arena *arena, bh_str rdata)
{
    struct bh_cur cur = bh_cur_make(rdata);
    char *text = bh_arena_alloc(arena, rdata.n + 1);
    size_t n = 0;

    if (!text)
        return (bh_str){NULL, 0};
    while (bh_cur_left(&cur)) {
        bh_str part = bh_cur_bytes(&cur, bh_cur_u8(&cur));

        if (part.n)
            memcpy(text + n, part.p, part.n);
        n += part.n;
    }
    return bh_cur_ok(&cur) ? bh_str_of(text, n) : (bh_str){NULL, 0};
}
