/* lexer.h: the tokens of master-file text (RFC 1035 5.1): blanks separate, `;` starts a comment, parentheses join
 * lines, quotes keep blanks, a backslash escapes. Tokens are views of the text with their escapes still in them. */
#ifndef BH_PROTO_DNS_LEXER_H
#define BH_PROTO_DNS_LEXER_H

#include "base/buf.h"

struct bh_dns_lexer {
    bh_str text;
    size_t at;
    unsigned line;  /* 1-based, of the place where reading stands */
    unsigned depth; /* open parentheses */
};

struct bh_dns_token {
    bh_str text; /* without the quotes of a quoted token */
    bool quoted;
};

static inline struct bh_dns_lexer bh_dns_lexer_make(bh_str text)
{
    return (struct bh_dns_lexer){.text = text, .line = 1};
}

/* The next token of this entry. BH_DONE at the end of the entry (a line end outside parentheses, consumed by
 * bh_dns_lexer_next_entry, or the end of the text). BH_E_SYNTAX: a quote or parenthesis left open, `)` too many. */
BH_MUST bh_err bh_dns_lexer_next(struct bh_dns_lexer *lexer, struct bh_dns_token *ret_token);
/* Leaves the current entry, whatever is left of it, and moves to the start of the next line. False at the end. */
bool bh_dns_lexer_next_entry(struct bh_dns_lexer *lexer);
/* Appends the bytes of a token with its escapes undone. BH_E_SYNTAX. */
BH_MUST bh_err bh_dns_token_bytes(const struct bh_dns_token *token, struct bh_buf *out);

#endif
