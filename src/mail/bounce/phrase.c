/* phrase.c: phrases as one automaton. See phrase.h.
 *
 * A phrase is a chain of *slots*; a slot is found where one of its literals is, the *elements*. The trie of all
 * literals becomes a complete automaton over byte classes (bytes that occur in no literal share class 0 and lead to the
 * root). A state's `out` lists the elements that end there, `suffix` the next shorter state with any. An element counts
 * when the slot before it ended right before, or at most a gap earlier; the latest ends of each slot are kept, so
 * nothing needs to be tried twice. Choices cost the sum of their lengths, not the product.
 *
 * A literal carries its word edges as blanks of its own, and the text is read as if a blank stood before and behind;
 * neighbours share the blank between them. */
#include "phrase.h"
#include "base/buf.h"
#include <stdlib.h>

enum {
    NONE = UINT32_MAX,
    LITERAL_MAX = 200,
    GROUPS_MAX = 12,
    PHRASE_MAX = 4000,
    WORD_REST = 16,
    TEXT_MAX = 32 * 1024 * 1024
};

struct element {
    uint32_t literal_at; /* in `bytes` */
    uint32_t next;       /* another element that ends in the same state, or NONE */
    uint32_t slot;
    uint16_t length;
    bool open_start;
    bool open_end;
};

struct slot {
    uint16_t value;
    bool first; /* of its phrase */
    bool last;
    bool gap;      /* a gap stands before it */
    bool optional; /* may be left out */
};

struct bh_phrases {
    struct bh_buf bytes;    /* all literals */
    struct bh_buf elements; /* struct element */
    struct bh_buf slots;    /* struct slot, those of a phrase in order */
    uint16_t value_count;   /* highest value + 1 */
    uint8_t classes[256];
    size_t class_count;
    size_t state_count;
    uint16_t *next;   /* [state][class] */
    uint32_t *out;    /* [state]: first element, or NONE */
    uint16_t *suffix; /* [state]: the longest proper suffix with an `out`, or 0 */
};

/* Where a slot's literals ended last, the latest first. More than two matter only to phrases that overlap themselves.
 */
struct ends {
    uint32_t run;
    uint32_t end[2];
    bool open[2];
};

struct bh_phrase_search {
    const struct bh_phrases *phrases;
    uint32_t run;        /* stamps of older runs are void */
    struct ends *ends;   /* [slot] */
    uint32_t *value_run; /* [value] */
    uint16_t *values;
    size_t count;
    uint32_t at; /* words read */
    uint16_t state;
};

/* ---- words ---- */

/* Bytes of `s` from *at on as words, one call one piece: up to two bytes in out[], a blank as ' '. */
struct words {
    const unsigned char *p;
    const unsigned char *end;
    bool blank; /* the last piece was a blank */
};

/* The lower case of a two-byte letter, in place. */
static void fold_pair(unsigned char pair[2])
{
    unsigned char b = pair[1];

    if (pair[0] == 0xc3 && b >= 0x80 && b <= 0x9e && b != 0x97) { /* Latin-1 */
        pair[1] = (unsigned char)(b + 0x20);
    } else if (pair[0] == 0xce && b >= 0x91 && b <= 0x9f) { /* Greek */
        pair[1] = (unsigned char)(b + 0x20);
    } else if (pair[0] == 0xce && b >= 0xa0 && b <= 0xa9) {
        pair[0] = 0xcf;
        pair[1] = (unsigned char)(b - 0x20);
    } else if (pair[0] == 0xd0 && b >= 0x90 && b <= 0x9f) { /* Cyrillic */
        pair[1] = (unsigned char)(b + 0x20);
    } else if (pair[0] == 0xd0 && b >= 0xa0 && b <= 0xaf) {
        pair[0] = 0xd1;
        pair[1] = (unsigned char)(b - 0x20);
    } else if (pair[0] == 0xd0 && b >= 0x80 && b <= 0x8f) {
        pair[0] = 0xd1;
        pair[1] = (unsigned char)(b + 0x10);
    }
}

/* How many bytes at `p` are punctuation outside ASCII: no-break space, quotes and dashes, ideographic stops. */
static size_t wide_blank(const unsigned char *p, size_t left)
{
    if (left >= 2 && p[0] == 0xc2 && p[1] < 0xc0)
        return 2;
    if (left >= 3 && p[0] == 0xe2 && p[1] == 0x80)
        return 3;
    if (left >= 3 && p[0] == 0xe3 && p[1] == 0x80 && p[2] <= 0x91)
        return 3;
    return 0;
}

/* The next piece; 0 at the end. */
static size_t words_next(struct words *words, unsigned char piece[2])
{
    while (words->p < words->end) {
        unsigned char c = *words->p;
        size_t left = (size_t)(words->end - words->p), wide = c < 0x80 ? 0 : wide_blank(words->p, left);

        piece[0] = (unsigned char)bh_to_lower((char)c);
        if (!wide && (c >= 0x80 || bh_is_alnum((char)c))) {
            words->blank = false;
            words->p++;
            if ((c != 0xc3 && c != 0xce && c != 0xd0) || left < 2)
                return 1;
            piece[1] = *words->p++;
            fold_pair(piece);
            return 2;
        }
        words->p += wide ? wide : 1;
        if (!words->blank) {
            words->blank = true;
            piece[0] = ' ';
            return 1;
        }
    }
    return 0;
}

static struct words words_of(bh_str s)
{
    const unsigned char *p = (const unsigned char *)(s.n ? s.p : "");

    return (struct words){p, p + s.n, true};
}

/* ---- phrases ---- */

struct bh_phrases *bh_phrases_new(void)
{
    struct bh_phrases *phrases = calloc(1, sizeof(*phrases));

    if (phrases) {
        phrases->bytes = bh_buf_make(8 * 1024 * 1024);
        phrases->elements = bh_buf_make(8 * 1024 * 1024);
        phrases->slots = bh_buf_make(2 * 1024 * 1024);
    }
    return phrases;
}

void bh_phrases_free(struct bh_phrases *phrases)
{
    if (!phrases)
        return;
    bh_buf_free(&phrases->bytes);
    bh_buf_free(&phrases->elements);
    bh_buf_free(&phrases->slots);
    free(phrases->next);
    free(phrases->out);
    free(phrases->suffix);
    free(phrases);
}

static struct element *element_at(const struct bh_phrases *phrases, size_t i)
{
    return (struct element *)(void *)(phrases->elements.p + i * sizeof(struct element));
}

static size_t element_count(const struct bh_phrases *phrases)
{
    return phrases->elements.n / sizeof(struct element);
}

static struct slot *slot_at(const struct bh_phrases *phrases, size_t i)
{
    return (struct slot *)(void *)(phrases->slots.p + i * sizeof(struct slot));
}

static size_t slot_count(const struct bh_phrases *phrases)
{
    return phrases->slots.n / sizeof(struct slot);
}

/* One literal of the last slot. A word's edge is asked for at both ends, unless `~` stands there or the letters are not
 * ASCII: many scripts write no blanks. Without any word the slot may be left out. */
static bh_err add_literal(struct bh_phrases *phrases, bh_str piece)
{
    struct element element = {.literal_at = (uint32_t)phrases->bytes.n, .next = NONE};
    struct words words;
    unsigned char bytes[2];
    size_t at = phrases->bytes.n, n;

    piece = bh_str_trim(piece);
    words = words_of(piece);
    element.slot = (uint32_t)slot_count(phrases) - 1;
    bh_buf_char(&phrases->bytes, ' ');
    while ((n = words_next(&words, bytes)) != 0)
        bh_buf_add(&phrases->bytes, bh_str_of((const char *)bytes, n));
    if (bh_buf_err(&phrases->bytes))
        return bh_buf_err(&phrases->bytes);
    if (phrases->bytes.n == at + 1) {
        bh_buf_truncate(&phrases->bytes, at);
        slot_at(phrases, element.slot)->optional = true;
        return BH_OK;
    }
    if (phrases->bytes.p[phrases->bytes.n - 1] == ' ')
        phrases->bytes.n--;
    element.open_end = piece.p[piece.n - 1] == '~';
    element.open_start = piece.p[0] == '~';
    if (!element.open_end && bh_is_alnum(phrases->bytes.p[phrases->bytes.n - 1]))
        bh_buf_char(&phrases->bytes, ' ');
    if (element.open_start || !bh_is_alnum(phrases->bytes.p[at + 1]))
        element.literal_at++;
    if (phrases->bytes.n - element.literal_at > LITERAL_MAX)
        return BH_E_LIMIT;
    element.length = (uint16_t)(phrases->bytes.n - element.literal_at);
    bh_buf_add(&phrases->elements, bh_str_of((const char *)&element, sizeof(element)));
    return bh_buf_err(&phrases->elements);
}

/* What is under way: one phrase, or one way to read it. */
struct adding {
    struct bh_phrases *phrases;
    uint16_t value;
    size_t left; /* more ways than this are too many */
};

static bh_err new_slot(struct adding *adding, bool first, bool gap)
{
    struct slot slot = {.value = adding->value, .first = first, .gap = gap};

    bh_buf_add(&adding->phrases->slots, bh_str_of((const char *)&slot, sizeof(slot)));
    return bh_buf_err(&adding->phrases->slots);
}

/* Where the group that opens at `open` closes; groups are known to be balanced. */
static size_t group_end(bh_str text, size_t open)
{
    size_t depth = 0;

    for (size_t i = open; i < text.n; i++) {
        depth += text.p[i] == '(';
        depth -= text.p[i] == ')';
        if (depth == 0)
            return i;
    }
    return text.n;
}

/* Cuts the choices of a group's inside at its own level. */
static bh_str next_choice(bh_str *rest)
{
    bh_str all = *rest;
    size_t i = 0;

    while (i < all.n && all.p[i] != '|')
        i = all.p[i] == '(' ? group_end(all, i) + 1 : i + 1;
    *rest = i < all.n ? bh_str_skip(all, i + 1) : (bh_str){NULL, 0};
    return bh_str_sub(all, 0, i);
}

/* `text` with its groups written out, as literals of the last slot. */
static bh_err add_literals(struct adding *adding, bh_str text, unsigned depth)
{
    struct bh_buf one = bh_buf_make(PHRASE_MAX);
    size_t open = bh_str_find(text, '('), close;
    bh_str choices;
    bh_err err = BH_OK;

    if (open == text.n)
        return adding->left && adding->left-- ? add_literal(adding->phrases, text) : BH_E_LIMIT;
    close = group_end(text, open);
    choices = bh_str_sub(text, open + 1, close - open - 1);
    if (depth == GROUPS_MAX || adding->left == 0)
        return BH_E_LIMIT;
    do {
        bh_str choice = next_choice(&choices);

        bh_buf_clear(&one);
        bh_buf_add(&one, bh_str_sub(text, 0, open));
        bh_buf_add(&one, choice);
        bh_buf_add(&one, bh_str_skip(text, close + 1));
        err = bh_buf_err(&one);
        if (!err)
            err = add_literals(adding, bh_buf_view(&one), depth + 1);
    } while (choices.p && !err);
    bh_buf_free(&one);
    return err;
}

/* True where every choice is empty or ends with a blank: "(is |was |)": what follows stands apart. */
static bool stands_apart(bh_str inside)
{
    while (inside.p) {
        bh_str choice = next_choice(&inside);

        if (choice.n && choice.p[choice.n - 1] != ' ')
            return false;
    }
    return true;
}

/* The length of the next piece that makes one slot: words up to a group, a group, or what is glued together. */
static size_t piece_length(bh_str text)
{
    size_t i = 0;

    while (i < text.n && text.p[i] != '*') {
        size_t end;

        if (text.p[i] != '(') {
            i++;
            continue;
        }
        if (i > 0 && text.p[i - 1] == ' ')
            return i;
        end = group_end(text, i);
        if (i == 0 && (end + 1 >= text.n || text.p[end + 1] == ' ' || text.p[end + 1] == '*' ||
                       stands_apart(bh_str_sub(text, 1, end - 1))))
            return end + 1;
        i = end + 1;
        if (i < text.n && text.p[i] == ' ')
            return i;
    }
    return i;
}

/* A phrase whose groups hold no gaps: a chain of slots. */
static bh_err add_chain(struct adding *adding, bh_str text)
{
    size_t elements = element_count(adding->phrases);
    bool first = true, gap = false;
    bh_err err = BH_OK;

    for (text = bh_str_trim(text); text.n && !err; text = bh_str_trim(text)) {
        size_t n = piece_length(text);

        if (n == 0) { /* a gap */
            gap = true;
            text = bh_str_skip(text, 1);
            continue;
        }
        err = new_slot(adding, first, gap);
        if (!err)
            err = add_literals(adding, bh_str_sub(text, 0, n), 0);
        first = gap = false;
        text = bh_str_skip(text, n);
    }
    if (err)
        return err;
    if (element_count(adding->phrases) == elements)
        return BH_E_SYNTAX;
    slot_at(adding->phrases, slot_count(adding->phrases) - 1)->last = true;
    return BH_OK;
}

/* A group that holds a gap, or is all of the phrase, is written out: one phrase for each of its choices. */
static bh_err add_ways(struct adding *adding, bh_str text, unsigned depth)
{
    struct bh_buf one = bh_buf_make(PHRASE_MAX);
    size_t open = 0, close = 0;
    bh_err err = BH_OK;
    bh_str choices;

    for (;; open = close + 1) {
        bh_str rest = bh_str_skip(text, open);

        open += bh_str_find(rest, '(');
        if (open >= text.n)
            return add_chain(adding, text);
        close = group_end(text, open);
        choices = bh_str_sub(text, open + 1, close - open - 1);
        if (bh_str_find(choices, '*') != choices.n ||
            (open == 0 && close + 1 == text.n && bh_str_find(choices, '(') != choices.n))
            break;
    }
    if (depth == GROUPS_MAX)
        return BH_E_LIMIT;
    while (choices.p && !err) {
        bh_str choice = next_choice(&choices);

        bh_buf_clear(&one);
        bh_buf_add(&one, bh_str_sub(text, 0, open));
        bh_buf_add(&one, choice);
        bh_buf_add(&one, bh_str_skip(text, close + 1));
        err = bh_buf_err(&one);
        if (!err)
            err = adding->left && adding->left-- ? add_ways(adding, bh_buf_view(&one), depth + 1) : BH_E_LIMIT;
    }
    bh_buf_free(&one);
    return err;
}

static bool balanced(bh_str text)
{
    size_t depth = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == ')' && depth-- == 0)
            return false;
        depth += text.p[i] == '(';
    }
    return depth == 0;
}

bh_err bh_phrases_add(struct bh_phrases *phrases, bh_str phrase, uint16_t value)
{
    struct adding adding = {phrases, value, BH_PHRASE_CHOICES};

    if (phrase.n == 0 || !balanced(phrase))
        return BH_E_SYNTAX;
    if (value == BH_PHRASE_VALUES || phrase.n > PHRASE_MAX)
        return BH_E_LIMIT;
    if (value >= phrases->value_count)
        phrases->value_count = (uint16_t)(value + 1);
    return add_ways(&adding, phrase, 0);
}

/* ---- the automaton ---- */

static void number_classes(struct bh_phrases *phrases)
{
    phrases->class_count = 1;
    for (size_t i = 0; i < phrases->bytes.n; i++) {
        unsigned char c = (unsigned char)phrases->bytes.p[i];

        if (!phrases->classes[c])
            phrases->classes[c] = (uint8_t)phrases->class_count++;
    }
}

static uint16_t *edge(const struct bh_phrases *phrases, size_t state, size_t class)
{
    return &phrases->next[state * phrases->class_count + class];
}

static bool make_room(struct bh_phrases *phrases, size_t states)
{
    phrases->next = calloc(states * phrases->class_count, sizeof(*phrases->next));
    phrases->out = malloc(states * sizeof(*phrases->out));
    phrases->suffix = calloc(states, sizeof(*phrases->suffix));
    for (size_t i = 0; phrases->out && i < states; i++)
        phrases->out[i] = NONE;
    return phrases->next && phrases->out && phrases->suffix;
}

/* The trie: each literal a way from the root, its element in the last state's list. */
static bh_err grow_trie(struct bh_phrases *phrases)
{
    phrases->state_count = 1;
    for (uint32_t i = 0; i < element_count(phrases); i++) {
        struct element *element = element_at(phrases, i);
        size_t state = 0;

        for (size_t k = 0; k < element->length; k++) {
            unsigned char c = (unsigned char)phrases->bytes.p[element->literal_at + k];
            uint16_t *to = edge(phrases, state, phrases->classes[c]);

            if (!*to) {
                if (phrases->state_count > BH_PHRASE_STATES)
                    return BH_E_LIMIT;
                *to = (uint16_t)phrases->state_count++;
            }
            state = *to;
        }
        element->next = phrases->out[state];
        phrases->out[state] = i;
    }
    return BH_OK;
}

/* Breadth first: a state's missing edges are those of its longest proper suffix (`fail`). */
static bh_err link_suffixes(struct bh_phrases *phrases)
{
    uint16_t *queue = calloc(phrases->state_count, sizeof(*queue));
    uint16_t *fail = calloc(phrases->state_count, sizeof(*fail));
    size_t head = 0, tail = 0;

    if (queue && fail)
        queue[tail++] = 0;
    while (head < tail) {
        size_t state = queue[head++];

        for (size_t class = 1; class < phrases->class_count; class ++) {
            uint16_t *to = edge(phrases, state, class);
            uint16_t behind = state ? *edge(phrases, fail[state], class) : 0;

            if (!*to) {
                *to = behind;
                continue;
            }
            fail[*to] = behind;
            phrases->suffix[*to] = phrases->out[behind] != NONE ? behind : phrases->suffix[behind];
            queue[tail++] = *to;
        }
    }
    free(queue);
    free(fail);
    return tail ? BH_OK : BH_E_NOMEM;
}

bh_err bh_phrases_build(struct bh_phrases *phrases)
{
    size_t states = 1 + phrases->bytes.n; /* at most one for each byte */
    bh_err err;

    if (states > BH_PHRASE_STATES + 1)
        states = BH_PHRASE_STATES + 1;
    number_classes(phrases);
    if (!make_room(phrases, states))
        return BH_E_NOMEM;
    err = grow_trie(phrases);
    return err ? err : link_suffixes(phrases);
}

/* ---- searching ---- */

struct bh_phrase_search *bh_phrase_search_new(struct bh_arena *arena, const struct bh_phrases *phrases)
{
    struct bh_phrase_search *search = bh_arena_alloc(arena, sizeof(*search));

    if (!search)
        return NULL;
    search->phrases = phrases;
    search->ends = bh_arena_array(arena, slot_count(phrases), sizeof(*search->ends));
    search->value_run = bh_arena_array(arena, phrases->value_count, sizeof(*search->value_run));
    search->values = bh_arena_array(arena, phrases->value_count, sizeof(*search->values));
    return search->ends && search->value_run && search->values ? search : NULL;
}

/* True where something that starts at `start` may follow one of `ends`. */
static bool may_follow(const struct ends *ends, uint32_t start, const struct element *element, bool gap)
{
    for (size_t k = 0; k < 2; k++) {
        uint32_t far = gap ? BH_PHRASE_GAP : element->open_start || ends->open[k] ? WORD_REST : 1;

        if (ends->end[k] && start + 1 >= ends->end[k] && start <= ends->end[k] + far)
            return true;
    }
    return false;
}

/* True where the slots before `slot` lead here. Those that may be left out are looked through. */
static bool reached(const struct bh_phrase_search *search, uint32_t slot, uint32_t start, const struct element *element)
{
    bool gap = false;

    for (;; slot--) {
        const struct slot *at = slot_at(search->phrases, slot);

        if (at->first)
            return true;
        gap = gap || at->gap;
        if (search->ends[slot - 1].run == search->run && may_follow(&search->ends[slot - 1], start, element, gap))
            return true;
        if (!slot_at(search->phrases, slot - 1)->optional)
            return false;
    }
}

/* True where only slots that may be left out come behind. */
static bool completes(const struct bh_phrases *phrases, uint32_t slot)
{
    while (!slot_at(phrases, slot)->last)
        if (!slot_at(phrases, ++slot)->optional)
            return false;
    return true;
}

static void element_found(struct bh_phrase_search *search, const struct element *element)
{
    const struct slot *slot = slot_at(search->phrases, element->slot);
    struct ends *ends = &search->ends[element->slot];

    if (!reached(search, element->slot, search->at - element->length, element))
        return;
    if (ends->run != search->run)
        *ends = (struct ends){.run = search->run};
    ends->end[1] = ends->end[0];
    ends->open[1] = ends->open[0];
    ends->end[0] = search->at;
    ends->open[0] = element->open_end;
    if (search->value_run[slot->value] != search->run && completes(search->phrases, element->slot)) {
        search->value_run[slot->value] = search->run;
        search->values[search->count++] = slot->value;
    }
}

static void read_byte(struct bh_phrase_search *search, unsigned char c)
{
    const struct bh_phrases *phrases = search->phrases;
    uint16_t state = *edge(phrases, search->state, phrases->classes[c]);

    search->state = state;
    search->at++;
    if (phrases->out[state] == NONE)
        state = phrases->suffix[state];
    for (; state; state = phrases->suffix[state])
        for (uint32_t i = phrases->out[state]; i != NONE; i = element_at(phrases, i)->next)
            element_found(search, element_at(phrases, i));
}

const uint16_t *bh_phrase_search_run(struct bh_phrase_search *search, bh_str text, size_t *ret_count)
{
    struct words words = words_of(bh_str_sub(text, 0, TEXT_MAX));
    unsigned char piece[2];
    size_t n;

    search->run++;
    search->count = 0;
    search->at = LITERAL_MAX; /* so that a start is never below 0 */
    search->state = 0;
    read_byte(search, ' ');
    while ((n = words_next(&words, piece)) != 0)
        for (size_t i = 0; i < n; i++)
            read_byte(search, piece[i]);
    if (!words.blank)
        read_byte(search, ' ');
    *ret_count = search->count;
    return search->values;
}
