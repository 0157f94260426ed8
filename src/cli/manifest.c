/* manifest.c: see manifest.h. */
#include "manifest.h"
#include "base/clock.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 1 << 16, NAME_MAX_BYTES = 100 };

static void put_hash(struct bh_buf *out, const uint8_t hash[BH_MANIFEST_HASH_BYTES])
{
    bh_hex_encode(out, bh_str_of((const char *)hash, BH_MANIFEST_HASH_BYTES));
    bh_buf_char(out, '\n');
}

void bh_manifest_begin(struct bh_buf *out, bh_str build, bh_time_ms now, bh_str secret, bh_str old_secret)
{
    bh_buf_printf(out, "behalf-backup 1\nbuild %.*s\nmade ", BH_FMT(build));
    bh_time_rfc3339(out, now, true);
    bh_buf_printf(out, "\nsecret %.*s %.*s\n", BH_FMT(secret), BH_FMT(old_secret.n ? old_secret : BH_STR("-")));
}

void bh_manifest_file(struct bh_buf *out, const struct bh_manifest_file *file)
{
    bh_buf_printf(out, "file %.*s %llu ", BH_FMT(file->name), (unsigned long long)file->size);
    put_hash(out, file->hash);
}

void bh_manifest_end(struct bh_buf *out)
{
    uint8_t hash[BH_MANIFEST_HASH_BYTES];

    (void)crypto_hash_sha256(hash, (const unsigned char *)out->p, out->n);
    bh_buf_add(out, BH_STR("end "));
    put_hash(out, hash);
}

/* ---- reading ---- */

static bh_err read_hash(bh_str digits, uint8_t ret_hash[BH_MANIFEST_HASH_BYTES])
{
    struct bh_buf bytes = bh_buf_make(2 * BH_MANIFEST_HASH_BYTES);
    bh_err err = bh_hex_decode(&bytes, digits);

    if (err || bytes.n != BH_MANIFEST_HASH_BYTES)
        err = BH_E_SYNTAX;
    else
        memcpy(ret_hash, bytes.p, BH_MANIFEST_HASH_BYTES);
    bh_buf_free(&bytes);
    return err;
}

static bh_str take_line(bh_str *text, bh_str word)
{
    bh_str rest, line = bh_str_cut(*text, '\n', &rest);

    if (!bh_str_starts(line, word))
        return (bh_str){NULL, 0};
    *text = rest;
    return bh_str_skip(line, word.n);
}

/* The length of all lines but the last, whose hash must fit. */
static bh_err check_end(bh_str text, size_t *ret_bytes)
{
    uint8_t said[BH_MANIFEST_HASH_BYTES], is[BH_MANIFEST_HASH_BYTES];
    bh_str but_one = bh_str_sub(text, 0, text.n ? text.n - 1 : 0), last;
    size_t at = bh_str_rfind(but_one, '\n');

    if (at == but_one.n || text.p[text.n - 1] != '\n')
        return BH_E_SYNTAX;
    last = bh_str_sub(text, at + 1, text.n - at - 2);
    if (!bh_str_starts(last, BH_STR("end ")) || read_hash(bh_str_skip(last, 4), said))
        return BH_E_SYNTAX;
    (void)crypto_hash_sha256(is, (const unsigned char *)text.p, at + 1);
    *ret_bytes = at + 1;
    return memcmp(is, said, sizeof(is)) == 0 ? BH_OK : BH_E_CRYPTO;
}

bh_err bh_manifest_read(bh_str text, struct bh_manifest *ret_manifest)
{
    struct bh_manifest manifest;
    size_t bytes;
    bh_str secrets;
    bh_err err;

    if (!bh_str_starts(text, BH_STR("behalf-backup ")))
        return BH_E_SYNTAX;
    if (!bh_str_starts(text, BH_STR("behalf-backup 1\n")))
        return BH_E_VERSION;
    err = check_end(text, &bytes);
    if (err)
        return err;
    text = bh_str_sub(text, 16, bytes - 16);
    manifest.build = take_line(&text, BH_STR("build "));
    manifest.made = take_line(&text, BH_STR("made "));
    secrets = take_line(&text, BH_STR("secret "));
    manifest.secret = bh_str_cut(secrets, ' ', &manifest.old_secret);
    manifest.files = text;
    if (!manifest.build.p || !manifest.made.p || !manifest.secret.n || !manifest.old_secret.n)
        return BH_E_SYNTAX;
    *ret_manifest = manifest;
    return BH_OK;
}

static bool is_name(bh_str name)
{
    size_t slash = bh_str_find(name, '/');
    bh_str last = slash == name.n ? name : bh_str_skip(name, slash + 1);

    return name.n && name.n <= NAME_MAX_BYTES && last.n && last.p[0] != '.' && !memchr(name.p, '\0', name.n) &&
           bh_str_find(last, '/') == last.n &&
           (slash == name.n || bh_str_eq(bh_str_sub(name, 0, slash), BH_STR("body")));
}

bh_err bh_manifest_next(bh_str *files, struct bh_manifest_file *ret_file)
{
    bh_str line = take_line(files, BH_STR("file ")), rest, digits;
    bh_err err;

    if (!line.p)
        return files->n ? BH_E_SYNTAX : BH_DONE;
    ret_file->name = bh_str_cut(line, ' ', &rest);
    err = bh_str_to_u64(bh_str_cut(rest, ' ', &digits), INT64_MAX, &ret_file->size);
    if (!err)
        err = read_hash(digits, ret_file->hash);
    return err || !is_name(ret_file->name) ? BH_E_SYNTAX : BH_MORE;
}

/* ---- copying ---- */

static bh_err copy_bytes(int from, int to, struct bh_manifest_file *file)
{
    crypto_hash_sha256_state state;
    char block[BLOCK_BYTES];
    ssize_t n;

    (void)crypto_hash_sha256_init(&state);
    file->size = 0;
    while ((n = read(from, block, sizeof(block))) > 0) {
        (void)crypto_hash_sha256_update(&state, (const unsigned char *)block, (unsigned long long)n);
        if (to >= 0 && write(to, block, (size_t)n) != n)
            return BH_E_IO;
        file->size += (uint64_t)n;
    }
    (void)crypto_hash_sha256_final(&state, file->hash);
    return n == 0 && (to < 0 || fsync(to) == 0) ? BH_OK : BH_E_IO;
}

bh_err bh_manifest_copy(int from_dir, const char *from, int to_dir, const char *to, struct bh_manifest_file *ret_file)
{
    int in = openat(from_dir, from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), out = -1;
    struct stat st;
    bh_err err = BH_OK;

    if (in < 0)
        return errno == ENOENT ? BH_E_NOT_FOUND : BH_E_IO;
    if (fstat(in, &st) != 0 || !S_ISREG(st.st_mode))
        err = BH_E_IO;
    if (!err && to_dir >= 0) {
        out = openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        err = out < 0 ? BH_E_IO : BH_OK;
    }
    if (!err)
        err = copy_bytes(in, out, ret_file);
    (void)close(in);
    if (out >= 0 && close(out) != 0)
        err = BH_E_IO;
    return err;
}
