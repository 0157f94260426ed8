/* signer.h: the signing workers: the only threads of behalf.
 *
 * The main thread checks grants and queues jobs; each worker takes a share of what waits (up to eight, so that one
 * wake-up serves several, but never so many that another worker idles), opens and caches keys of its own (an EVP_PKEY
 * shared between threads costs 10 % in locks), signs, and hands the finished jobs back. The main thread is woken
 * through a descriptor, once for all that finished since it last looked. */
#ifndef BH_ROLES_KEYD_SIGNER_H
#define BH_ROLES_KEYD_SIGNER_H

#include "vault.h"
#include <behalf/dkim_key.h>

enum { BH_JOB_OBJECT_MAX = 8192 };

enum bh_job_kind { BH_JOB_SIGN, BH_JOB_GENERATE, BH_JOB_IMPORT, BH_JOB_ZONE_SIGN, BH_JOB_RESEAL, BH_JOB_CONNECT_SIGN };

struct bh_job {
    struct bh_job *next;
    enum bh_job_kind kind;
    uint64_t connection; /* the requester, as the main thread numbers it */
    uint32_t request;
    uint32_t item;
    uint64_t key_id;
    uint8_t refused; /* 0 or a reason of bh_rec_signature */
    uint8_t digest[BH_DKIM_HASH_BYTES];
    uint8_t signature[BH_DKIM_SIGNATURE_MAX];
    size_t signature_bytes;
    uint8_t algorithm;     /* of a key to make or to seal again; of the key that was made or imported */
    struct bh_buf sealed;  /* the new key, sealed */
    struct bh_buf record;  /* its DNS record; the coordinates of a zone's key; signatures: _ZONE_SIGN, _CONNECT_SIGN */
    struct bh_buf digests; /* of BH_JOB_ZONE_SIGN */
    size_t associated_bytes, object_bytes;
    char bytes[]; /* associated data, then the object: the sealed key, or the text of a key to import */
};

struct bh_signer;

/* Of the caches of all workers: look-ups that found the key opened, and those that had to open it. */
struct bh_signer_counts {
    uint64_t hits, misses;
    size_t opened; /* now */
};
void bh_signer_count(struct bh_signer *signer, struct bh_signer_counts *ret_counts);

/* Starts `threads` workers, each with a cache of at most `keys_per_thread` opened keys. `wake_fd` is an eventfd that is
 * written to when finished jobs wait. The vault is copied. NULL when threads cannot be made. */
struct bh_signer *bh_signer_new(const struct bh_vault *vault, unsigned threads, size_t keys_per_thread, int wake_fd);
/* From now on jobs are done with this one. */
void bh_signer_set_vault(struct bh_signer *signer, const struct bh_vault *vault);
/* Ends the workers after the job in hand; what was not begun is freed. */
void bh_signer_free(struct bh_signer *signer);

/* A zeroed job with copies of `associated` and `object`; NULL: no memory or too large. The signer owns it from submit
 * until finished gives it back. */
struct bh_job *bh_job_new(enum bh_job_kind kind, bh_str associated, bh_str object);
/* Wipes and frees. */
void bh_job_free(struct bh_job *job);
/* Queues a list of jobs (linked by next) and wakes as many workers as there is work for. */
void bh_signer_submit(struct bh_signer *signer, struct bh_job *jobs, size_t count);
/* All jobs finished since the last call, oldest first; the caller frees them. */
struct bh_job *bh_signer_finished(struct bh_signer *signer);

#endif
