/* spf_tree.h: an SPF record with all that it includes, for `behalf spf lint|explain`. */
#ifndef BH_CLI_SPF_TREE_H
#define BH_CLI_SPF_TREE_H

#include "tool_lint.h"
#include "tool_options.h"

struct bh_spf_tree_node;

struct bh_spf_tree {
    struct bh_tool *tool; /* NULL: nothing is looked up */
    struct bh_arena *arena;
    struct bh_tool_lint *lint; /* what is wrong with records on the way */
    unsigned lookups;          /* lookup terms of all records together (RFC 7208 4.6.4) */
    unsigned fetched;
    unsigned voids; /* look-ups of a, mx, exists, include without an answer */
};

/* The SPF record of `domain`; false when it has not exactly one: the linter was told. */
bool bh_spf_tree_fetch(struct bh_spf_tree *tree, bh_str domain, bh_str *ret_record);
/* {domain, record, terms: [{term, words, lookup, record?}]}: one member `record` per include and redirect that could
 * be followed. Counts lookups on the way. `depth` starts at 0. */
json_t *bh_spf_tree_json(struct bh_spf_tree *tree, bh_str domain, bh_str record, unsigned depth);
/* The same as lines for people. */
void bh_spf_tree_print(const json_t *node, unsigned depth);

#endif
