/* import.h: what others have written down about sending domains: OpenDKIM's KeyTable and SigningTable
 * (opendkim.conf(5), plain files), and CSV (RFC 4180) with a heading. Each becomes a list of rows, a domain each; what
 * cannot be taken over is a row with a problem. Nothing is looked up: whether a domain or key can be had is for who
 * acts on the rows. */
#ifndef BH_DOMAIN_IMPORT_H
#define BH_DOMAIN_IMPORT_H

#include "domain.h"

enum { BH_IMPORT_ROWS_MAX = 200000 };

/* An empty view is "not said". Views of the file's text, or in the arena. */
struct bh_import_row {
    size_t line; /* in the CSV file or the signing table, from 1 */
    bh_str domain;
    bh_str customer;
    bh_str approach;
    bh_str bounces;
    bh_str selector; /* of the key in key_file, as it is published */
    bh_str key_file;
    bh_str selector_prefix;
    bh_str bounce_label, link_label, img_label;
    bh_str bounce_target, link_target, dkim_target; /* what the customer's CNAMEs point at now */
    bh_str note;                                    /* for people */
    bh_str problem;                                 /* why it cannot be taken over */
};

struct bh_import {
    struct bh_import_row *rows;
    size_t count;
};

/* The columns of a CSV file: domain, and any of customer, approach, bounces, selector, key_file, selector_prefix,
 * bounce_label, link_label, img_label, bounce_target, link_target, dkim_target; in any order. BH_E_SYNTAX: the heading
 * is not one, *ret_why says why; BH_E_LIMIT, BH_E_NOMEM. */
BH_MUST bh_err bh_import_csv(struct bh_arena *arena, bh_str text, struct bh_import *ret_import, bh_str *ret_why);

/* One row per d= domain, with the key that the first fitting line of the signing table names, since that one signs.
 * BH_E_LIMIT, BH_E_NOMEM. */
BH_MUST bh_err bh_import_opendkim(struct bh_arena *arena, bh_str key_table, bh_str signing_table,
                                  struct bh_import *ret_import);

#endif
