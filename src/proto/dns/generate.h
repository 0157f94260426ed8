/* generate.h: BIND's $GENERATE, the part without records: ranges, and texts in which `$` stands for a number; private
 * to this folder.
 *
 *   $          the number
 *   ${offset[,width[,base]]}  the number plus offset, in at least `width` digits; base d, o, x, X, or n, N: nibbles in
 *              reverse order with dots between them, as ip6.arpa has them (width counts the dots, too)
 *   $$         a dollar sign; after a backslash everything stands for itself */
#ifndef BH_PROTO_DNS_GENERATE_H
#define BH_PROTO_DNS_GENERATE_H

#include "zonefile.h"

enum { BH_DNS_GENERATE_TEXT_MAX = 65536 };

/* "1-10", "0-100/5". BH_E_SYNTAX. */
BH_MUST bh_err bh_dns_generate_range(struct bh_dns_generate *generate, bh_str range);
/* Takes the data of the entry that `lexer` stands in. One token in quotes gives what the quotes hold, as in BIND; else
 * the rest of the entry. BH_E_SYNTAX: there are none. */
BH_MUST bh_err bh_dns_generate_data(struct bh_dns_generate *generate, struct bh_dns_lexer *lexer);
/* Writes `text` with the current number into generate->text. BH_E_SYNTAX, BH_E_LIMIT. */
BH_MUST bh_err bh_dns_generate_expand(struct bh_dns_generate *generate, bh_str text);
/* On to the next number; clears `running` behind the last one. */
void bh_dns_generate_advance(struct bh_dns_generate *generate);

#endif
