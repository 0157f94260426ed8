/* received.c: see received.h. Words come one by one with what surrounds them (comment depth, brackets); the clause
 * that is open says what a word means. Comments belong to the clause before them. */
#include "received.h"
#include <arpa/inet.h>

enum clause { NONE, FROM, BY, VIA, WITH, ID, FOR, OTHER };
enum wanted { NOTHING, WANT_HELO, WANT_IDENT };

struct reader {
    struct bh_received *out;
    enum clause clause;
    bool first; /* the next word is the clause's value */
    enum wanted wanted;
    unsigned depth;        /* of comments */
    unsigned clause_depth; /* where the clause's keyword stood: its value stands there too */
    unsigned brackets;
};

bool bh_is_ip_text(bh_str s)
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char address[16];

    if (s.n < 2 || bh_str_to_c(s, text, sizeof text))
        return false;
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* A host name with a dot, whose last label begins with a letter. */
static bool is_host_name(bh_str s)
{
    bh_str name = s.n && s.p[s.n - 1] == '.' ? bh_str_sub(s, 0, s.n - 1) : s;
    size_t dot = bh_str_rfind(name, '.');

    for (size_t i = 0; i < name.n; i++)
        if (!bh_is_alnum(name.p[i]) && name.p[i] != '-' && name.p[i] != '.' && name.p[i] != '_')
            return false;
    return dot > 0 && dot + 1 < name.n && bh_is_alpha(name.p[dot + 1]);
}

/* "TLSv1.3", "TLS1_2", "TLS-1.0", "TLSv1". */
static bool is_tls_version(bh_str s)
{
    if (!bh_str_starts_ci(s, BH_STR("TLS")) && !bh_str_starts_ci(s, BH_STR("SSL")))
        return false;
    s = bh_str_skip(s, 3);
    if (s.n && (bh_to_lower(s.p[0]) == 'v' || s.p[0] == '-'))
        s = bh_str_skip(s, 1);
    if (s.n == 1)
        return bh_is_digit(s.p[0]);
    return s.n == 3 && bh_is_digit(s.p[0]) && (s.p[1] == '.' || s.p[1] == '_') && bh_is_digit(s.p[2]);
}

/* "ECDHE-RSA-AES256-GCM-SHA384": all names of cipher suites in use have SHA and a separator in them. */
static bool is_cipher(bh_str s)
{
    return s.n <= 60 && bh_str_search(s, BH_STR("SHA")) < s.n &&
           (bh_str_find(s, '-') < s.n || bh_str_find(s, '_') < s.n);
}

static void set_once(bh_str *to, bh_str word)
{
    if (to->n == 0)
        *to = word;
}

static enum clause keyword(bh_str word)
{
    static const char *const names[] = {"", "from", "by", "via", "with", "id", "for"};

    for (enum clause clause = FROM; clause <= FOR; clause++)
        if (bh_str_eq_ci(word, bh_str_c(names[clause])))
            return clause;
    return NONE;
}

/* The registered type (RFC 3848 and the IANA list) that a word stands for; what is glued to it ("local-bsmtp",
 * "SMTPSVC", "HTTPREST") is how some servers call it. */
static bh_str transmission_type(bh_str word)
{
    static const char *const types[][2] = {{"esmtpsa", "ESMTPSA"},
                                           {"esmtps", "ESMTPS"},
                                           {"esmtpa", "ESMTPA"},
                                           {"esmtp-tls", "ESMTPS"},
                                           {"esmtp", "ESMTP"},
                                           {"smtp", "SMTP"},
                                           {"smtpsvc", "SMTP"},
                                           {"bsmtp", "SMTP"},
                                           {"lmtpsa", "LMTPSA"},
                                           {"lmtps", "LMTPS"},
                                           {"lmtpa", "LMTPA"},
                                           {"lmtp", "LMTP"},
                                           {"utf8smtp", "UTF8SMTP"},
                                           {"utf8smtpa", "UTF8SMTPA"},
                                           {"utf8smtps", "UTF8SMTPS"},
                                           {"utf8smtpsa", "UTF8SMTPSA"},
                                           {"local", "LOCAL"},
                                           {"http", "HTTP"},
                                           {"https", "HTTP"},
                                           {"httprest", "HTTP"},
                                           {"imap", "IMAP"},
                                           {"pop3", "POP3"},
                                           {"mms", "MMS"}};

    if (bh_str_starts_ci(word, BH_STR("local-")))
        word = bh_str_skip(word, 6);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (bh_str_eq_ci(word, bh_str_c(types[i][0])))
            return bh_str_c(types[i][1]);
    return (bh_str){NULL, 0};
}

static bh_str before_slash(bh_str word)
{
    return bh_str_sub(word, 0, bh_str_find(word, '/'));
}

/* A word of the "from" clause behind its first: who the client is. */
static void take_client_word(struct reader *r, bh_str word)
{
    struct bh_received *out = r->out;
    bh_str rest, head = bh_str_cut(word, ':', &rest);

    if (bh_is_ip_text(word)) {
        set_once(&out->from_address, word);
    } else if (bh_str_eq_ci(word, BH_STR("HELO")) || bh_str_eq_ci(word, BH_STR("EHLO")) ||
               bh_str_eq_ci(word, BH_STR("LHLO"))) {
        out->helo_command = word;
        r->wanted = WANT_HELO;
    } else if (bh_str_eq_ci(word, BH_STR("ident"))) {
        r->wanted = WANT_IDENT;
    } else if (rest.p && head.n) { /* "IPv6:…", "192.0.2.1:25", "IDENT:user@host" */
        take_client_word(r, bh_str_eq_ci(head, BH_STR("IPv6")) || bh_str_eq_ci(head, BH_STR("IDENT")) ? rest : head);
    } else if (bh_str_find(word, '@') < word.n) {
        out->ident = word.p[word.n - 1] == '@' ? bh_str_sub(word, 0, word.n - 1) : word;
    } else if (r->depth && is_host_name(word)) {
        set_once(&out->from_name, word);
    }
}

static void take_value(struct reader *r, bh_str word)
{
    struct bh_received *out = r->out;

    r->first = false;
    switch (r->clause) {
    case FROM:
        if (r->brackets && !bh_is_ip_text(word))
            take_client_word(r, word);
        else
            set_once(&out->from, before_slash(word));
        break;
    case BY:
        out->by = before_slash(word);
        break;
    case VIA:
        set_once(&out->via, word);
        break;
    case ID:
        set_once(&out->id, word);
        break;
    case FOR:
        if (bh_str_find(word, '@') < word.n)
            set_once(&out->recipient, word);
        break;
    case WITH:
    case OTHER:
    case NONE:
        break;
    }
}

/* TLS is told in comments of any clause, and glued with '/' or ':' to other words. */
static void take_tls(struct reader *r, bh_str word)
{
    if (r->clause == ID && r->depth == 0) /* an id may look like anything */
        return;
    while (word.p) {
        size_t n = 0;
        while (n < word.n && word.p[n] != '/' && word.p[n] != ':')
            n++;
        bh_str piece = bh_str_sub(word, 0, n);
        if (is_tls_version(piece))
            set_once(&r->out->tls_version, piece);
        else if (is_cipher(piece))
            set_once(&r->out->tls_cipher, piece);
        word = n < word.n ? bh_str_skip(word, n + 1) : (bh_str){NULL, 0};
    }
}

static void take_word(struct reader *r, bh_str word)
{
    enum clause clause = keyword(word);

    if (r->wanted) {
        *(r->wanted == WANT_HELO ? &r->out->helo : &r->out->ident) = word;
        r->wanted = NOTHING;
        return;
    }
    /* in comments only "from" is a keyword, and only where no client is known yet */
    if (clause != NONE && r->brackets == 0 &&
        (r->depth == 0 || (clause == FROM && !r->out->from.n && r->clause != FROM))) {
        r->clause = clause == FROM && r->out->from.n ? OTHER : clause;
        r->clause_depth = r->depth;
        r->first = true;
        return;
    }
    take_tls(r, word);
    if (r->first && r->depth == r->clause_depth)
        take_value(r, word);
    else if (r->clause == FROM)
        take_client_word(r, word);
    if (r->clause == WITH && r->depth == 0)
        set_once(&r->out->with, transmission_type(before_slash(word)));
}

/* What ends a word besides blanks. */
static bool is_break(char c)
{
    return bh_is_wsp(c) || c == '\r' || c == '\n' || (c && strchr("()[]<>;,=\"", c));
}

static void take_break(struct reader *r, char c)
{
    if (c == '(') {
        r->depth++;
    } else if (c == ')') {
        r->depth -= r->depth > 0;
        r->wanted = NOTHING;
    } else if (c == '[') {
        r->brackets++;
    } else if (c == ']') {
        r->brackets -= r->brackets > 0;
    }
}

void bh_received_parse(bh_str value, struct bh_received *ret_received)
{
    struct reader r = {.out = ret_received};

    *ret_received = (struct bh_received){0};
    for (size_t i = 0; i < value.n;) {
        size_t start = i;
        while (i < value.n && !is_break(value.p[i]))
            i++;
        if (i > start)
            take_word(&r, bh_str_sub(value, start, i - start));
        else
            take_break(&r, value.p[i++]);
    }
    ret_received->has_date = bh_str_find(value, ';') < value.n && bh_date_parse(value, &ret_received->date) == BH_OK;
}
