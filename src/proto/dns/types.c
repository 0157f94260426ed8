/* The table of record types and the mnemonics of types, classes and times. */
#include "types.h"
#include "rdata.h"

/* In the order of the numbers. */
static const struct bh_dns_type_row rows[] = {
    {1, "A", "a"},           {2, "NS", "n"},           {5, "CNAME", "n"},      {6, "SOA", "nn4pppp"},
    {7, "MB", "n"},          {8, "MG", "n"},           {9, "MR", "n"},         {12, "PTR", "n"},
    {13, "HINFO", "ss"},     {14, "MINFO", "nn"},      {15, "MX", "2n"},       {16, "TXT", "S"},
    {17, "RP", "mm"},        {18, "AFSDB", "2m"},      {19, "X25", "s"},       {20, "ISDN", "S"},
    {21, "RT", "2m"},        {24, "SIG", "Tg14tt2mb"}, {25, "KEY", "21gb"},    {26, "PX", "2mm"},
    {27, "GPOS", "sss"},     {28, "AAAA", "6"},        {29, "LOC", "L"},       {33, "SRV", "222m"},
    {35, "NAPTR", "22sssm"}, {36, "KX", "2m"},         {37, "CERT", "C2gb"},   {39, "DNAME", "m"},
    {42, "APL", "P"},        {43, "DS", "2g1x"},       {44, "SSHFP", "11x"},   {46, "RRSIG", "Tg14tt2mb"},
    {47, "NSEC", "mB"},      {48, "DNSKEY", "21gb"},   {49, "DHCID", "b"},     {52, "TLSA", "111x"},
    {53, "SMIMEA", "111x"},  {56, "NINFO", "S"},       {59, "CDS", "2g1x"},    {60, "CDNSKEY", "21gb"},
    {61, "OPENPGPKEY", "b"}, {62, "CSYNC", "42B"},     {63, "ZONEMD", "411x"}, {64, "SVCB", "2mw"},
    {65, "HTTPS", "2mw"},    {99, "SPF", "S"},         {104, "NID", "2i"},     {105, "L32", "2a"},
    {106, "L64", "2i"},      {107, "LP", "2m"},        {108, "EUI48", "e"},    {109, "EUI64", "E"},
    {256, "URI", "22v"},     {257, "CAA", "1cv"},      {258, "AVC", "S"},      {32769, "DLV", "2g1x"},
};

/* Meta types have a name in queries and bitmaps, no rdata of ours. */
static const struct bh_dns_type_row meta_rows[] = {
    {41, "OPT", ""},    {250, "TSIG", ""}, {251, "IXFR", ""}, {252, "AXFR", ""},      {253, "MAILB", ""},
    {254, "MAILA", ""}, {255, "ANY", ""},  {50, "NSEC3", ""}, {51, "NSEC3PARAM", ""},
};

enum { ROWS = sizeof rows / sizeof rows[0], META_ROWS = sizeof meta_rows / sizeof meta_rows[0] };

const struct bh_dns_type_row *bh_dns_type_row(uint16_t type)
{
    size_t low = 0, high = ROWS;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (rows[middle].type < type)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ROWS && rows[low].type == type ? &rows[low] : NULL;
}

static const char *type_name(uint16_t type)
{
    const struct bh_dns_type_row *row = bh_dns_type_row(type);

    for (size_t i = 0; !row && i < META_ROWS; i++)
        if (meta_rows[i].type == type)
            row = &meta_rows[i];
    return row ? row->name : NULL;
}

/* "TYPE123", "CLASS3" (RFC 3597 5). */
static bh_err parse_numbered(bh_str text, bh_str prefix, uint16_t *ret_number)
{
    uint64_t number = 0;

    if (!bh_str_starts_ci(text, prefix) || bh_str_to_u64(bh_str_skip(text, prefix.n), UINT16_MAX, &number))
        return BH_E_SYNTAX;
    *ret_number = (uint16_t)number;
    return BH_OK;
}

bh_err bh_dns_type_parse(bh_str text, uint16_t *ret_type)
{
    for (size_t i = 0; i < ROWS + META_ROWS; i++) {
        const struct bh_dns_type_row *row = i < ROWS ? &rows[i] : &meta_rows[i - ROWS];

        if (bh_str_eq_ci(text, bh_str_c(row->name))) {
            *ret_type = row->type;
            return BH_OK;
        }
    }
    return parse_numbered(text, BH_STR("TYPE"), ret_type);
}

void bh_dns_type_print(struct bh_buf *out, uint16_t type)
{
    const char *name = type_name(type);

    if (name)
        bh_buf_add(out, bh_str_c(name));
    else
        bh_buf_printf(out, "TYPE%u", type);
}

bh_err bh_dns_class_parse(bh_str text, uint16_t *ret_class)
{
    if (bh_str_eq_ci(text, BH_STR("IN")))
        *ret_class = BH_DNS_CLASS_IN;
    else if (bh_str_eq_ci(text, BH_STR("CH")))
        *ret_class = BH_DNS_CLASS_CH;
    else if (bh_str_eq_ci(text, BH_STR("HS")))
        *ret_class = 4;
    else
        return parse_numbered(text, BH_STR("CLASS"), ret_class);
    return BH_OK;
}

void bh_dns_class_print(struct bh_buf *out, uint16_t klass)
{
    if (klass == BH_DNS_CLASS_IN)
        bh_buf_add(out, BH_STR("IN"));
    else if (klass == BH_DNS_CLASS_CH)
        bh_buf_add(out, BH_STR("CH"));
    else
        bh_buf_printf(out, "CLASS%u", klass);
}

static uint32_t unit_seconds(char c)
{
    switch (bh_to_lower(c)) {
    case 'w':
        return 604800;
    case 'd':
        return 86400;
    case 'h':
        return 3600;
    case 'm':
        return 60;
    case 's':
        return 1;
    default:
        return 0;
    }
}

bh_err bh_dns_ttl_parse(bh_str text, uint32_t *ret_ttl_s)
{
    uint64_t total = 0, number = 0;
    bool digits = false;

    if (text.n == 0 || !bh_is_digit(text.p[0]))
        return BH_E_SYNTAX;
    for (size_t i = 0; i < text.n; i++) {
        uint32_t unit = unit_seconds(text.p[i]);

        if (bh_is_digit(text.p[i])) {
            number = number * 10 + (uint64_t)(text.p[i] - '0');
            digits = true;
        } else if (unit && digits) {
            total += number * unit;
            number = 0;
            digits = false;
        } else {
            return BH_E_SYNTAX;
        }
        if (number > UINT32_MAX || total > UINT32_MAX)
            return BH_E_RANGE;
    }
    total += number;
    if (total > UINT32_MAX)
        return BH_E_RANGE;
    *ret_ttl_s = total > INT32_MAX ? 0 : (uint32_t)total; /* RFC 2181 8: with the highest bit set it is as if zero */
    return BH_OK;
}
