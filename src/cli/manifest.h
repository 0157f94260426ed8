/* manifest.h: what a backup's directory holds, and the proof that it holds it still.
 *
 *   behalf-backup 1
 *   build <version of behalf>
 *   made <RFC 3339>
 *   secret <id> <id of the one before, or ->
 *   file <name> <bytes> <SHA-256>          one line a file
 *   end <SHA-256 of all lines above>
 */
#ifndef BH_CLI_MANIFEST_H
#define BH_CLI_MANIFEST_H

#include "base/buf.h"

enum { BH_MANIFEST_MAX = 256 << 20, BH_MANIFEST_HASH_BYTES = 32 };

struct bh_manifest_file {
    bh_str name; /* "spool.db", "body/msg_…"; no other slash, no dots at its beginning */
    uint64_t size;
    uint8_t hash[BH_MANIFEST_HASH_BYTES];
};

struct bh_manifest {
    bh_str build, made;
    bh_str secret, old_secret;
    bh_str files; /* the lines, for bh_manifest_next */
};

void bh_manifest_begin(struct bh_buf *out, bh_str build, bh_time_ms now, bh_str secret, bh_str old_secret);
void bh_manifest_file(struct bh_buf *out, const struct bh_manifest_file *file);
void bh_manifest_end(struct bh_buf *out);

/* Views point into the text. BH_E_SYNTAX; BH_E_VERSION: of another format; BH_E_CRYPTO: the last line does not fit. */
BH_MUST bh_err bh_manifest_read(bh_str text, struct bh_manifest *ret_manifest);
/* The next file of *files, which moves on: BH_MORE, BH_DONE, BH_E_SYNTAX. */
BH_MUST bh_err bh_manifest_next(bh_str *files, struct bh_manifest_file *ret_file);

/* Copies a file that is no link, and nothing but a file, between directories; to_dir -1: it is only read. The copy is
 * new and on the disk. BH_E_NOT_FOUND, BH_E_IO (errno). */
BH_MUST bh_err bh_manifest_copy(int from_dir, const char *from, int to_dir, const char *to,
                                struct bh_manifest_file *ret_file);

#endif
