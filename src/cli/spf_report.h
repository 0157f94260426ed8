/* spf_report.h: what can be said about an SPF record only with all that it includes: which branch costs what, what
 * leads nowhere, what stands twice; and the record as it should be. Works on the tree of spf_tree.h. */
#ifndef BH_CLI_SPF_REPORT_H
#define BH_CLI_SPF_REPORT_H

#include "spf_tree.h"

/* Adds to each term that looks up "lookups" (itself and all below), and "drop" (why) to each top-level term that does
 * nothing; tells the tree's linter. Returns the lookups of the whole. */
unsigned bh_spf_report(struct bh_spf_tree *tree, json_t *node);
/* The record ready to paste: without what does nothing, networks joined, ended by an `all` that is not +all. The caller
 * owns the string; NULL: out of memory, or a term is broken. */
char *bh_spf_corrected(const json_t *node);

#endif
