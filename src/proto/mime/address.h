/* address.h: addresses of RFC 5322 3.4, in two strengths.
 *
 * Strict (bh_author_parse) decides identity: a From field must name exactly one author whose domain every reader
 * of the message sees as the same one. What the grammar allows and readers disagree about (routes, comments inside
 * the address, groups, blanks around dots, domain literals) is refused with a reason of its own.
 * Lenient (bh_address_list_parse) is for showing and for reading bounces and lists: it takes anything and gives what
 * a person would see.
 * Between them bh_addr_spec_parse is the grammar itself (RFC 5322 3.4.1 with the obsolete forms of 4.4, and RFC 6532
 * on request), no more and no less.
 *
 * Input is a field's value as it stands in the message, folding included, the final line end or not. Time is linear
 * in the input; comments are counted, not recursed into. Results are views of the input where its bytes are the
 * value, else of the arena. */
#ifndef BH_PROTO_MIME_ADDRESS_H
#define BH_PROTO_MIME_ADDRESS_H

#include "base/str.h"

enum { BH_ADDR_UTF8 = 1 /* RFC 6532: UTF-8 wherever the grammar has visible characters */ };

struct bh_addr_spec {
    bh_str raw;      /* as written, a view of the input, without comments and blanks around it */
    bh_str local;    /* without quotes, backslashes, comments and blanks around words */
    bh_str domain;   /* without comments and blanks; a literal keeps its brackets */
    bool quoted;     /* the local part was written, in part at least, as a quoted string */
    bool literal;    /* the domain is a domain literal */
    bool cfws;       /* comments, blanks or line breaks stood inside the address */
    bool needs_utf8; /* bytes above 127 */
};

/* The whole of `text` as one addr-spec, comments and folding around it allowed. Lengths are not judged; hyphens at
 * a label's edge are (RFC 1035 2.3.1). BH_E_SYNTAX, BH_E_NOMEM. */
BH_MUST bh_err bh_addr_spec_parse(struct bh_arena *arena, bh_str text, unsigned flags, struct bh_addr_spec *ret_spec);

/* Why a From value gives no certain author. */
enum bh_author_fault {
    BH_AUTHOR_OK,
    BH_AUTHOR_EMPTY,    /* no address at all */
    BH_AUTHOR_SEVERAL,  /* more than one (RFC 5322 3.6.2 allows it, DMARC cannot judge it) */
    BH_AUTHOR_GROUP,    /* a group (RFC 6854) */
    BH_AUTHOR_SYNTAX,   /* breaks the grammar */
    BH_AUTHOR_ENCODING, /* control characters, or bytes that are not UTF-8 */
    BH_AUTHOR_ROUTE,    /* <@a,@b:c@d> (RFC 5322 4.4) */
    BH_AUTHOR_COMMENT,  /* a comment, a blank or a line break inside the address, or < > in a comment */
    BH_AUTHOR_LITERAL,  /* a domain literal or an IP address */
    BH_AUTHOR_DOMAIN,   /* not a domain name that DNS can hold */
    BH_AUTHOR_TOO_LONG, /* local part > 64 octets or domain > 253 (RFC 5321 4.5.3.1) */
    BH_AUTHOR_NOMEM
};

struct bh_author {
    bh_str display;  /* the display name as written (may be empty); bh_phrase_decode reads it */
    bh_str address;  /* the addr-spec as written, a view of the input */
    bh_str local;    /* unquoted */
    bh_str domain;   /* a view of the input, in its case; U-labels as written */
    bool needs_utf8; /* the address (not the display name) holds UTF-8 (RFC 6531) */
};

/* The author of a From value. *ret_author is written only on BH_AUTHOR_OK. */
BH_MUST enum bh_author_fault bh_author_parse(struct bh_arena *arena, bh_str value, struct bh_author *ret_author);
/* "several addresses": a phrase for a reply or a table. Static. */
const char *bh_author_fault_text(enum bh_author_fault fault);

/* True for a domain name as mail uses it: labels of letters, digits, '-', '_' and UTF-8 of 1-63 octets, at most 253
 * in all, no hyphen at a label's edge, the last label not all digits. */
bool bh_mail_domain_ok(bh_str domain);
/* Valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool bh_utf8_valid(bh_str s);

/* Lenient. */
struct bh_address {
    bh_str name;    /* display name, decoded, UTF-8 */
    bh_str comment; /* its comments, decoded, joined by blanks */
    bh_str text;    /* the address as written, without comments and folding; empty where there was none */
    bh_str local;   /* where `text` is an addr-spec (a route before it is skipped), else empty */
    bh_str domain;
    size_t group; /* index into groups, or BH_NO_GROUP */
};
#define BH_NO_GROUP SIZE_MAX

struct bh_address_group {
    bh_str name;
    bh_str comment;
    size_t before; /* it stands before this index of `items` */
};

struct bh_address_list {
    struct bh_address *items;
    size_t count;
    struct bh_address_group *groups;
    size_t group_count;
    bool cut; /* more than `max` addresses or groups: the rest was not read */
};

/* Reads at most `max` addresses and as many groups. BH_E_NOMEM only. */
BH_MUST bh_err bh_address_list_parse(struct bh_arena *arena, bh_str value, size_t max,
                                     struct bh_address_list *ret_list);

#endif
