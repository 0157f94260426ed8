/* The tokens of master-file text. One pass, no copies. */
#include "lexer.h"

static char peek(const struct bh_dns_lexer *lexer)
{
    return lexer->text.p[lexer->at];
}

static bool at_end(const struct bh_dns_lexer *lexer)
{
    return lexer->at >= lexer->text.n;
}

static void skip_comment(struct bh_dns_lexer *lexer)
{
    while (!at_end(lexer) && peek(lexer) != '\n')
        lexer->at++;
}

/* Moves to the first byte of a token. BH_DONE at the end of the entry. */
static bh_err skip_blanks(struct bh_dns_lexer *lexer)
{
    while (!at_end(lexer)) {
        char c = peek(lexer);

        if (c == ';') {
            skip_comment(lexer);
            continue;
        }
        if (c == '\n') {
            if (lexer->depth == 0)
                return BH_DONE;
            lexer->line++;
        } else if (c == '(') {
            lexer->depth++;
        } else if (c == ')') {
            if (lexer->depth == 0)
                return BH_E_SYNTAX;
            lexer->depth--;
        } else if (!bh_is_wsp(c) && c != '\r') {
            return BH_OK;
        }
        lexer->at++;
    }
    return lexer->depth ? BH_E_SYNTAX : BH_DONE;
}

/* From behind an opening quote to behind the closing one. */
static bh_err skip_quoted(struct bh_dns_lexer *lexer)
{
    for (; !at_end(lexer) && peek(lexer) != '\n'; lexer->at++) {
        if (peek(lexer) == '"') {
            lexer->at++;
            return BH_OK;
        }
        if (peek(lexer) == '\\' && lexer->at + 1 < lexer->text.n && lexer->text.p[lexer->at + 1] != '\n')
            lexer->at++;
    }
    return BH_E_SYNTAX;
}

static bool ends_word(char c)
{
    return bh_is_wsp(c) || c == '\r' || c == '\n' || c == ';' || c == '(' || c == ')';
}

/* A word; `key="a b"` (RFC 9460) is one. */
static bh_err skip_word(struct bh_dns_lexer *lexer)
{
    size_t from = lexer->at;

    while (!at_end(lexer) && !ends_word(peek(lexer))) {
        char c = peek(lexer);

        if (c == '"') {
            if (lexer->at == from || lexer->text.p[lexer->at - 1] != '=')
                return BH_OK;
            lexer->at++;
            return skip_quoted(lexer);
        }
        if (c == '\\' && lexer->at + 1 < lexer->text.n && lexer->text.p[lexer->at + 1] != '\n')
            lexer->at++;
        lexer->at++;
    }
    return BH_OK;
}

bh_err bh_dns_lexer_next(struct bh_dns_lexer *lexer, struct bh_dns_token *ret_token)
{
    bh_err err = skip_blanks(lexer);
    size_t from = lexer->at;
    bool quoted;

    if (err)
        return err;
    quoted = peek(lexer) == '"';
    if (quoted) {
        lexer->at++;
        err = skip_quoted(lexer);
        from++;
    } else {
        err = skip_word(lexer);
    }
    if (err)
        return err;
    *ret_token = (struct bh_dns_token){bh_str_sub(lexer->text, from, lexer->at - from - quoted), quoted};
    return BH_MORE;
}

bool bh_dns_lexer_next_entry(struct bh_dns_lexer *lexer)
{
    skip_comment(lexer); /* whatever is left of the line goes */
    lexer->depth = 0;
    if (at_end(lexer))
        return false;
    lexer->at++;
    lexer->line++;
    return !at_end(lexer);
}

bh_err bh_dns_token_bytes(const struct bh_dns_token *token, struct bh_buf *out)
{
    const char *p = token->text.p, *end = p + token->text.n;

    while (p < end) {
        unsigned v = 0;

        if (*p != '\\') {
            bh_buf_char(out, *p++);
            continue;
        }
        if (++p == end)
            return BH_E_SYNTAX;
        if (!bh_is_digit(*p)) {
            bh_buf_char(out, *p++);
            continue;
        }
        if (end - p < 3 || !bh_is_digit(p[1]) || !bh_is_digit(p[2]))
            return BH_E_SYNTAX;
        v = (unsigned)(p[0] - '0') * 100 + (unsigned)(p[1] - '0') * 10 + (unsigned)(p[2] - '0');
        if (v > 255)
            return BH_E_SYNTAX;
        bh_buf_char(out, (char)v);
        p += 3;
    }
    return bh_buf_err(out);
}
