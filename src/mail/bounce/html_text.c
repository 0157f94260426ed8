/* html_text.c: see html_text.h. */
#include "html_text.h"

static bool is_tag(bh_str tag, const char *name)
{
    size_t n = strlen(name);

    return bh_str_starts_ci(tag, bh_str_of(name, n)) && (tag.n == n || !bh_is_alnum(tag.p[n]));
}

static bool breaks_line(bh_str tag)
{
    static const char *const names[] = {"br",  "p",    "div",    "tr",  "li",    "td",        "h1",
                                        "h2",  "h3",   "h4",     "pre", "table", "/p",        "/div",
                                        "/tr", "/pre", "/table", "/li", "hr",    "blockquote"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (is_tag(tag, names[i]))
            return true;
    return false;
}

/* What follows the end of an element whose content is no text. */
static bh_str skip_element(bh_str rest, const char *end_tag)
{
    return bh_str_skip(rest, bh_str_search_ci(rest, bh_str_c(end_tag)));
}

static size_t entity(struct bh_buf *out, bh_str s)
{
    static const struct {
        const char *name;
        char c;
    } known[] = {{"&lt;", '<'},   {"&gt;", '>'},    {"&amp;", '&'}, {"&quot;", '"'}, {"&nbsp;", ' '},
                 {"&#39;", '\''}, {"&apos;", '\''}, {"&#64;", '@'}, {"&#58;", ':'},  {"&#160;", ' '}};

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (bh_str_starts_ci(s, bh_str_c(known[i].name))) {
            bh_buf_char(out, known[i].c);
            return strlen(known[i].name);
        }
    }
    bh_buf_char(out, '&');
    return 1;
}

bh_err bh_html_text(struct bh_buf *out, bh_str html)
{
    while (html.n && out->err == BH_OK) {
        size_t plain = 0;

        while (plain < html.n && html.p[plain] != '<' && html.p[plain] != '&')
            plain++;
        bh_buf_add(out, bh_str_sub(html, 0, plain));
        html = bh_str_skip(html, plain);
        if (html.n && html.p[0] == '&') {
            html = bh_str_skip(html, entity(out, html));
        } else if (html.n) {
            bh_str tag = bh_str_cut(bh_str_skip(html, 1), '>', &html);

            if (breaks_line(tag))
                bh_buf_char(out, '\n');
            if (is_tag(tag, "style"))
                html = skip_element(html, "</style");
            else if (is_tag(tag, "script"))
                html = skip_element(html, "</script");
        }
    }
    if (out->err == BH_E_LIMIT)
        out->err = BH_OK;
    return bh_buf_err(out);
}
