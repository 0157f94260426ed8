/* received.h: what a Received field tells (RFC 5321 4.4), in the forms that servers really write: names and addresses
 * in comments, HELO in comments, TLS in comments, fields without a date. For loop detection, explanations and
 * bounces; never for trust. Views of the input; at most one pass. */
#ifndef BH_PROTO_MIME_RECEIVED_H
#define BH_PROTO_MIME_RECEIVED_H

#include "date.h"

struct bh_received {
    bh_str from;         /* the word behind "from": a name, or an address without brackets */
    bh_str from_address; /* the client's address, from a comment or brackets */
    bh_str from_name;    /* its reverse name, from a comment */
    bh_str helo;
    bh_str helo_command; /* "HELO", "EHLO", "LHLO" as written */
    bh_str ident;        /* "user@host" as the server learnt it by IDENT or AUTH */
    bh_str by;
    bh_str via;
    bh_str with; /* as the IANA registry has it: "ESMTPSA"; "LOCAL", "HTTP" …; empty for a word nobody knows. Static */
    bh_str id;   /* without <> */
    bh_str recipient;   /* of "for" */
    bh_str tls_version; /* as written: "TLSv1.3", "TLS1_2" */
    bh_str tls_cipher;
    bool has_date;
    struct bh_date date;
};

/* Reads a value. Never fails: what is not there is empty. */
void bh_received_parse(bh_str value, struct bh_received *ret_received);
/* True for the text of an IPv4 or IPv6 address. */
bool bh_is_ip_text(bh_str s);

#endif
