/* der.h: a strict reader of the little DER that public keys need (X.690 10.1, 8.3), on a cursor.
 *
 * OpenSSL's decoder costs eight times a verification; a key is three numbers, so we read them ourselves. Strict:
 * definite lengths in their shortest form, shortest positive INTEGERs, nothing behind the end. */
#ifndef BH_AUTH_DER_H
#define BH_AUTH_DER_H

#include "base/cur.h"

enum { BH_DER_INTEGER = 0x02, BH_DER_BIT_STRING = 0x03, BH_DER_NULL = 0x05, BH_DER_OID = 0x06, BH_DER_SEQUENCE = 0x30 };

/* The content of the next element, which must have `tag`; anything else makes the cursor bad. */
bh_str bh_der_take(struct bh_cur *cur, uint8_t tag);

/* An INTEGER > 0 as big-endian bytes without leading zeros. */
bh_str bh_der_positive(struct bh_cur *cur);

struct bh_der_rsa {
    bh_str n;
    bh_str e;
};

/* An RSA public key: SubjectPublicKeyInfo (RFC 5280 4.1) or the bare RSAPublicKey (RFC 8017 A.1.1), as both are
 * found in p= (RFC 6376 3.6.1 and its erratum 3017). Views into `der`. BH_E_SYNTAX. Sizes are not judged here. */
BH_MUST bh_err bh_der_rsa_public(bh_str der, struct bh_der_rsa *ret_rsa);

#endif
